"""Losses, each stating what an empty tile costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glomseg.config import LossSettings
from glomseg.models.segmentor import QueryLogits
from glomseg.training.mask_losses import MaskLoss
from glomseg.types import IGNORE_INDEX

DICE_SMOOTHING_SHARE = 0.01
"""The smoothing mass of the Dice loss as a share of the window's pixels."""


def cross_entropy(logits: Tensor, mask: Tensor, *, class_weights: Tensor | None = None) -> Tensor:
    """Return the cross-entropy summed over labelled pixels and divided by the number of all pixels.

    An empty tile costs the mean of -log p(background), as any other tile.

    Parameters
    ----------
    logits
        (B, C, H, W) float.
    mask
        (B, H, W) int64 class index, 255 ignored.
    class_weights
        (C,) factors.

    Conventions
    -----------
    Dividing by all pixels, ignored ones too, is MMSegmentation's default (``avg_non_ignore=False``).
    torch divides by the labelled ones. With the former every process of a distributed run divides
    by the same number, so the mean of their gradients is the gradient of the whole batch.
    """
    total = F.cross_entropy(logits, mask, weight=class_weights, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / mask.numel()


def dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Return one minus the soft Dice of the foreground classes, mean over windows and classes.

    For one window and class with predicted mass P, true mass T and overlap I, all sums over the n
    labelled or unlabelled pixels of the window, it is 1 - (2 I + s) / (P + T + s) with s = 0.01 n.
    **An empty tile** (T = 0) costs P / (P + s): nothing when nothing is predicted, one half when 1 % of
    the window is, 0.99 when all of it is.

    Parameters
    ----------
    logits
        (B, C, H, W) float.
    mask
        (B, H, W) int64 class index, 255 ignored.
    """
    valid = mask != IGNORE_INDEX
    probabilities = logits.softmax(dim=1)[:, 1:] * valid[:, None]  # (B, C-1, H, W)
    classes = torch.arange(1, logits.shape[1], device=mask.device).view(1, -1, 1, 1)
    truth = (mask[:, None] == classes).to(probabilities.dtype)  # (B, C-1, H, W)
    smoothing = DICE_SMOOTHING_SHARE * mask[0].numel()
    overlap = (probabilities * truth).sum(dim=(2, 3))  # (B, C-1)
    mass = probabilities.sum(dim=(2, 3)) + truth.sum(dim=(2, 3))
    return (1 - (2 * overlap + smoothing) / (mass + smoothing)).mean()


@dataclass(frozen=True, slots=True)
class TrainingLoss:
    """The whole loss of a step, from the settings."""

    settings: LossSettings

    def __call__(
        self, main: Tensor, auxiliary: Sequence[Tensor], mask: Tensor, *, queries: Sequence[QueryLogits] = ()
    ) -> Tensor:
        """Return the scalar loss of the main logits and, weighted, the auxiliary ones.

        Both are (B, C, h, w) at their head's resolution and are brought to the mask's bilinearly
        (``align_corners=False``), in float32 whatever the network computed in. Where there are queries,
        `MaskLoss` of these takes the place of the main logits' loss; of the settings it takes the class weights.
        """
        loss = self._of_queries(queries, mask) if queries else self._one_head(main, mask)
        if self.settings.auxiliary > 0:
            for logits in auxiliary:
                loss = loss + self.settings.auxiliary * self._one_head(logits, mask, dice=False)
        return loss

    def _of_queries(self, queries: Sequence[QueryLogits], mask: Tensor) -> Tensor:
        exact = [QueryLogits(classes=layer.classes.float(), masks=layer.masks.float()) for layer in queries]
        return MaskLoss(class_weights=self.settings.class_weights)(exact, mask)

    def _one_head(self, logits: Tensor, mask: Tensor, *, dice: bool = True) -> Tensor:
        logits = F.interpolate(logits.float(), size=mask.shape[-2:], mode="bilinear", align_corners=False)
        weights = self.settings.class_weights
        class_weights = None if weights is None else torch.tensor(weights, device=logits.device)
        loss = self.settings.cross_entropy * cross_entropy(logits, mask, class_weights=class_weights)
        if dice and self.settings.dice > 0:
            loss = loss + self.settings.dice * dice_loss(logits, mask)
        return loss
