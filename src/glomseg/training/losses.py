"""Losses, each stating what an empty tile costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glomseg.config import LossSettings
from glomseg.errors import InvalidInputError
from glomseg.models.segmentor import QueryLogits
from glomseg.training.hard_pixels import hard_pixels
from glomseg.training.mask_losses import MaskLoss
from glomseg.training.region_losses import boundary_loss, dice_loss, tversky_loss
from glomseg.types import IGNORE_INDEX

_LEAST = 1e-7


def cross_entropy(
    logits: Tensor,
    mask: Tensor,
    *,
    class_weights: Tensor | None = None,
    divide_by: str = "pixels",
    among: Tensor | None = None,
) -> Tensor:
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
    divide_by
        "pixels", all of them; "labelled", those that are not ignored; or "weights", the sum of the class weights of
        the latter.
    among
        (B, H, W) bool, the pixels that are summed; None takes all. The divisor stays.

    Conventions
    -----------
    Dividing by all pixels, ignored ones too, is MMSegmentation's default (``avg_non_ignore=False``).
    torch divides by the labelled ones. With the former every process of a distributed run divides
    by the same number, so the mean of their gradients is the gradient of the whole batch. Where there are class
    weights, both divide by their sum; MMSegmentation then stops at the first ignored pixel.
    """
    summed = mask if among is None else mask.where(among, IGNORE_INDEX)
    total = F.cross_entropy(logits, summed, weight=class_weights, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / _divisor(mask, divide_by, class_weights)


def binary_cross_entropy(
    logits: Tensor,
    mask: Tensor,
    *,
    class_weights: Tensor | None = None,
    divide_by: str = "pixels",
    among: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy of the sigmoid of every logit by itself, over pixels and logits.

    An empty tile costs the mean of -log(1 - p(foreground)).

    Parameters
    ----------
    logits
        (B, C, H, W) float, each class against all others; or (B, 1, H, W), class 1 against class 0.
    mask
        (B, H, W) int64 class index, 255 ignored.
    class_weights
        Factors of the pixels of each class.
    divide_by, among
        As for `cross_entropy`.

    Conventions
    -----------
    MMSegmentation's CrossEntropyLoss with ``use_sigmoid=True`` divides by "pixels" or, with ``avg_non_ignore``, by
    "labelled"; its ``class_weight`` of a single logit is the factor of class 1.
    """
    valid = mask != IGNORE_INDEX
    labels = mask.where(valid, 0)
    if logits.shape[1] == 1:
        truth = labels[:, None].to(logits.dtype)
    else:
        truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    summed = valid if among is None else valid & among
    losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * summed[:, None]
    if class_weights is not None:
        losses = losses * class_weights[labels][:, None]
    return losses.sum() / (logits.shape[1] * _divisor(mask, divide_by, class_weights))


def focal_loss(
    logits: Tensor,
    mask: Tensor,
    *,
    gamma: float,
    sigmoid: bool = False,
    class_weights: Tensor | None = None,
    divide_by: str = "pixels",
) -> Tensor:
    """Return the cross-entropy in which a pixel counts by (1 - p)^gamma, p being the probability of its true class.

    An empty tile costs the mean of -p(foreground)^gamma log p(background): next to nothing when nothing is predicted,
    as much as the cross-entropy when all of it is.

    Parameters
    ----------
    logits
        (B, C, H, W) float, or (B, 1, H, W), class 1 against class 0.
    mask
        (B, H, W) int64 class index, 255 ignored.
    gamma
        0 or more; 0 is the cross-entropy.
    sigmoid
        Each class by itself against all others, and the mean over them; a single logit always is.
    class_weights, divide_by
        As for `cross_entropy`; the weights are the paper's alpha.

    References
    ----------
    Lin et al., Focal loss for dense object detection, ICCV 2017. There the divisor is the number of objects' boxes.
    """
    valid = mask != IGNORE_INDEX
    labels = mask.where(valid, 0)
    if sigmoid or logits.shape[1] == 1:
        indices = torch.arange(logits.shape[1], device=mask.device).view(1, -1, 1, 1)
        truth = (labels[:, None] == indices) if logits.shape[1] > 1 else labels[:, None] == 1
        log_p = F.logsigmoid(torch.where(truth, logits, -logits))  # (B, C, H, W)
    else:
        log_p = logits.log_softmax(dim=1).gather(1, labels[:, None])  # (B, 1, H, W)
    wrong = (-torch.expm1(log_p)).clamp_min(_LEAST)  # the power of 0 has no gradient for exponents below 1
    losses = -(wrong**gamma) * log_p * valid[:, None]
    if class_weights is not None:
        losses = losses * class_weights[labels][:, None]
    return losses.sum() / (losses.shape[1] * _divisor(mask, divide_by, class_weights))


def _divisor(mask: Tensor, divide_by: str, class_weights: Tensor | None) -> Tensor | int:
    """Return the number, or the weight, of the pixels that a loss is the mean of; never 0."""
    if divide_by == "pixels":
        return mask.numel()
    labelled = mask[mask != IGNORE_INDEX]
    if divide_by == "labelled" or class_weights is None:
        return max(1, labelled.numel())
    return class_weights[labelled].sum().clamp_min(_LEAST)


@dataclass(frozen=True, slots=True)
class TrainingLoss:
    """The whole loss of a step, from the settings."""

    settings: LossSettings
    align_corners: bool = False

    def __call__(
        self, main: Tensor, auxiliary: Sequence[Tensor], mask: Tensor, *, queries: Sequence[QueryLogits] = ()
    ) -> Tensor:
        """Return the scalar loss of the main logits and, weighted, the auxiliary ones.

        Both are (B, C, h, w) at their head's resolution, C = 1 for a single logit, and are brought to the mask's
        bilinearly, in float32 whatever the network computed in. Where there are queries, `MaskLoss` of these takes the
        place of the main logits' loss; of the settings it takes the class weights.

        Raises
        ------
        InvalidInputError
            If the settings weigh the auxiliary heads one by one, and there are not as many; or if they ask queries for
            a loss that these do not have.
        """
        loss = self._of_queries(queries, mask) if queries else self._one_head(main, mask)
        for weight, logits in zip(self._auxiliary_weights(len(auxiliary)), auxiliary, strict=True):
            if weight > 0:
                loss = loss + weight * self._one_head(logits, mask, is_main=False)
        return loss

    def _auxiliary_weights(self, n_heads: int) -> Sequence[float]:
        weights = self.settings.auxiliary
        if not isinstance(weights, tuple):
            return [weights] * n_heads
        if n_heads and len(weights) != n_heads:
            raise InvalidInputError(f"loss.auxiliary has {len(weights)} weights for {n_heads} auxiliary heads")
        return weights[:n_heads]

    def _of_queries(self, queries: Sequence[QueryLogits], mask: Tensor) -> Tensor:
        settings = self.settings
        parts = [name for name in ("focal", "tversky", "boundary") if getattr(settings, name) > 0]
        parts += [] if settings.ohem_threshold is None else ["ohem_threshold"]
        if parts:
            raise InvalidInputError(
                f"loss.{parts[0]} does not go with a network that predicts masks by queries (Mask2Former), which has a "
                "loss of its own: leave it out"
            )
        exact = [QueryLogits(classes=layer.classes.float(), masks=layer.masks.float()) for layer in queries]
        return MaskLoss(class_weights=settings.class_weights)(exact, mask)

    def _one_head(self, logits: Tensor, mask: Tensor, *, is_main: bool = True) -> Tensor:
        """Return the loss by pixels of one head; of the main one that of its hard pixels, and the losses by regions."""
        size = mask.shape[-2:]
        logits = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=self.align_corners)
        settings = self.settings
        weights = settings.class_weights
        class_weights = None if weights is None else torch.tensor(weights, device=logits.device)
        is_binary = settings.sigmoid or logits.shape[1] == 1
        entropy = binary_cross_entropy if is_binary else cross_entropy
        hard = None
        if is_main and settings.ohem_threshold is not None:
            hard = hard_pixels(logits, mask, threshold=settings.ohem_threshold, min_kept=settings.ohem_min_kept)
        loss = settings.cross_entropy * entropy(
            logits, mask, class_weights=class_weights, divide_by=settings.divide_by, among=hard
        )
        if settings.focal > 0:
            loss = loss + settings.focal * focal_loss(
                logits,
                mask,
                gamma=settings.focal_gamma,
                sigmoid=is_binary,
                class_weights=class_weights,
                divide_by=settings.divide_by,
            )
        if not is_main:
            return loss
        if settings.dice > 0:
            loss = loss + settings.dice * dice_loss(logits, mask)
        if settings.tversky > 0:
            loss = loss + settings.tversky * tversky_loss(
                logits,
                mask,
                missed=settings.tversky_missed,
                power=settings.tversky_power,
                class_weights=class_weights,
            )
        if settings.boundary > 0:
            loss = loss + settings.boundary * boundary_loss(logits, mask, class_weights=class_weights)
        return loss
