"""Predictions as a mean over flips of the input."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_AXES = {"none": (), "horizontal": (-1,), "vertical": (-2,), "both": (-2, -1)}


def flipped(batch: Tensor, flip: str) -> Tensor:
    """Return a copy of a batch (..., H, W), flipped one of the ways in `glomseg.types.FLIPS`.

    Flipped the same way again it is as it was.
    """
    return batch.flip(_AXES[flip])


def mean_over_flips(batch: Tensor, flips: Sequence[str], *, predict: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the mean of what `predict` says of a batch flipped each way, every prediction flipped back.

    Predictions are added up one after the other, so memory holds the sum and one of them.

    Parameters
    ----------
    batch
        (B, 3, h, w), the input of `predict`.
    flips
        Of `glomseg.types.FLIPS`.
    predict
        From such a batch to (B, C, H, W) probabilities, of any H and W.
    """
    total: Tensor | None = None
    with torch.inference_mode():
        for flip in flips:
            prediction = flipped(predict(flipped(batch, flip)), flip)
            total = prediction if total is None else total.add_(prediction)
        assert total is not None
        return total.div_(len(flips))
