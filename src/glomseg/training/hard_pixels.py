"""Online hard example mining: which pixels of a batch a network still finds hard."""

import torch
from torch import Tensor

from glomseg.types import IGNORE_INDEX


@torch.no_grad()
def hard_pixels(logits: Tensor, mask: Tensor, *, threshold: float, min_kept: int) -> Tensor:
    """Return which pixels (B, H, W) bool have a true class of lower probability than `threshold`.

    Where these are fewer than `min_kept` a window, over the whole batch, the threshold rises until as many are below.
    An empty tile thus keeps what looks like foreground to the network, and little else of its background.

    Parameters
    ----------
    logits
        (B, C, H, W) float; with C = 1 the logit of the second of two classes.
    mask
        (B, H, W) int64 class index, 255 ignored: such pixels are never among them.
    threshold
        Of the probability, from 0 to 1; 0 leaves it to `min_kept` alone.
    min_kept
        Pixels a window.

    References
    ----------
    Shrivastava et al., Training region-based object detectors with online hard example mining, CVPR 2016; by pixel as
    MMSegmentation's OHEMPixelSampler, of which both numbers mean the same.
    """
    valid = mask != IGNORE_INDEX
    labels = mask.where(valid, 0)[:, None]
    if logits.shape[1] == 1:
        probability = torch.where(labels == 1, logits, -logits).sigmoid()[:, 0]
    else:
        probability = logits.softmax(dim=1).gather(1, labels)[:, 0]  # (B, H, W)
    judged = probability[valid]
    if judged.numel() == 0:
        return valid
    rank = min(min_kept * len(mask), judged.numel() - 1)
    needed = judged.kthvalue(rank + 1).values
    return valid & (probability < needed.clamp_min(threshold))
