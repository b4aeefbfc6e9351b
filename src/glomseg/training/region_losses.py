"""Losses of whole regions and their outlines, each stating what an empty tile costs.

They judge the probabilities that prediction goes by: the sigmoid of a single logit, else the softmax.
"""

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glomseg.types import IGNORE_INDEX

SMOOTHING_SHARE = 0.01
"""The smoothing mass of the Dice and the Tversky loss as a share of the window's pixels."""

_LEAST = 1e-7


def dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Return one minus the soft Dice of the foreground classes, mean over windows and classes.

    For one window and class with predicted mass P, true mass T and overlap I, all sums over the n
    labelled or unlabelled pixels of the window, it is 1 - (2 I + s) / (P + T + s) with s = 0.01 n.
    **An empty tile** (T = 0) costs P / (P + s): nothing when nothing is predicted, one half when 1 % of
    the window is, 0.99 when all of it is.

    Parameters
    ----------
    logits
        (B, C, H, W) float; with C = 1 the logit of the second of two classes.
    mask
        (B, H, W) int64 class index, 255 ignored.
    """
    probabilities, truth, _ = _foreground(logits, mask)
    smoothing = SMOOTHING_SHARE * mask[0].numel()
    overlap = (probabilities * truth).sum(dim=(2, 3))  # (B, C-1)
    mass = probabilities.sum(dim=(2, 3)) + truth.sum(dim=(2, 3))
    return (1 - (2 * overlap + smoothing) / (mass + smoothing)).mean()


def tversky_loss(
    logits: Tensor,
    mask: Tensor,
    *,
    missed: float = 0.7,
    power: float = 1.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Return one minus the soft Tversky index of the foreground classes, mean over windows and classes.

    For one window of n pixels and one class, with found mass I, missed mass M and invented mass V, it is
    (1 - (I + s) / (I + missed M + (1 - missed) V + s))^power with s = 0.01 n. **An empty tile** costs
    ((1 - missed) V / ((1 - missed) V + s))^power: nothing when nothing is predicted, and with the values left at their
    defaults 0.23 when 1 % of the window is, 0.97 when all of it is.

    Parameters
    ----------
    logits
        (B, C, H, W) float; with C = 1 the logit of the second of two classes.
    mask
        (B, H, W) int64 class index, 255 ignored.
    missed
        What a missed pixel costs, from 0 to 1; an invented one costs the rest to 1.
    power
        0.75 gives the focal Tversky loss (its paper's 1 / gamma with gamma = 4/3).
    class_weights
        (C,) factors in the mean over the foreground classes; that of the background does not count.

    References
    ----------
    Salehi et al., Tversky loss function for image segmentation using 3D fully convolutional deep networks, MLMI 2017
    (there `missed` is beta). Abraham and Khan, A novel focal Tversky loss function, ISBI 2019.
    """
    probabilities, truth, _ = _foreground(logits, mask)
    smoothing = SMOOTHING_SHARE * mask[0].numel()
    found = (probabilities * truth).sum(dim=(2, 3))  # (B, C-1)
    lost = truth.sum(dim=(2, 3)) - found
    invented = probabilities.sum(dim=(2, 3)) - found
    index = (found + smoothing) / (found + missed * lost + (1 - missed) * invented + smoothing)
    # The power of 0 has no gradient for exponents below 1.
    losses = 1 - index if power == 1 else (1 - index).clamp_min(_LEAST) ** power
    return _mean_over_classes(losses, class_weights)


def boundary_loss(logits: Tensor, mask: Tensor, *, class_weights: Tensor | None = None) -> Tensor:
    """Return how far from the true outline the wrongly judged mass lies, mean over pixels, windows and classes.

    A pixel of the foreground costs (1 - p) times its distance to the nearest pixel outside, one of the background p
    times its distance to the nearest inside, in shares of the window's diagonal and at most 1. So a perfect
    prediction costs nothing. **An empty tile** is as far from an outline as can be: it costs the mean of p(foreground),
    nothing when nothing is predicted and 1 when all of it is. A full one costs the mean of 1 - p.

    Parameters
    ----------
    logits
        (B, C, H, W) float; with C = 1 the logit of the second of two classes.
    mask
        (B, H, W) int64 class index. Pixels of 255 cost nothing, and count as outside where distances are measured.
    class_weights
        As in `tversky_loss`.

    Conventions
    -----------
    The paper's loss is the mean of p times the signed distance in pixels, negative inside; it has the same gradient but
    for the unit, but is below 0, and nothing whatever is predicted on an empty tile. Distances inside are here to
    the next pixel outside, as outside to the next inside; the paper's code takes 1 off those inside.

    References
    ----------
    Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019.
    """
    probabilities, truth, valid = _foreground(logits, mask)
    distances = np.stack([_distances(item > 0) for item in truth.flatten(0, 1).to(torch.uint8).cpu().numpy()])
    far = torch.from_numpy(distances).to(logits.device).view_as(truth)
    losses = (probabilities - truth).abs() * far * valid[:, None]
    return _mean_over_classes(losses.mean(dim=(2, 3)), class_weights)


def _distances(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest of the other kind, as a share of the diagonal; 1 if there is none."""
    if inside.all() or not inside.any():
        return np.ones(inside.shape, np.float32)
    ways = [
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (inside, ~inside)
    ]
    return np.asarray((ways[0] + ways[1]) / math.hypot(*inside.shape), dtype=np.float32)


def _foreground(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (B, C-1, H, W) probabilities and truth of the foreground classes, 0 where ignored, and what is not."""
    valid = mask != IGNORE_INDEX
    foreground = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)[:, 1:]
    classes = torch.arange(1, 1 + foreground.shape[1], device=mask.device).view(1, -1, 1, 1)
    return foreground * valid[:, None], (mask[:, None] == classes).to(foreground.dtype), valid


def _mean_over_classes(losses: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return the mean of (B, C-1) losses, over classes by their weights."""
    if class_weights is None:
        return losses.mean()
    weights = class_weights[1:].to(losses.dtype)
    return (losses @ weights).mean() / weights.sum().clamp_min(_LEAST)
