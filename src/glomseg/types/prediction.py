"""What a model says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.types.classes import Classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says about one image, at the image's own resolution.

    Attributes
    ----------
    mask
        (H, W) uint8 class index.
    probabilities
        (C, H, W) float32, each pixel's sum 1; None unless asked for.
    disagreement
        (H, W) float32, how far the views of the image contradict each other: the mutual information between view and
        class over the logarithm of the number of classes, 0 (all say the same) to 1. None where there is one view, or
        no probabilities were asked for.
    classes
        What the indices mean.
    mpp
        Micrometres per pixel of the image, or None where it is not known.
    """

    mask: NDArray[np.uint8]
    classes: Classes
    probabilities: NDArray[np.float32] | None = None
    disagreement: NDArray[np.float32] | None = None
    mpp: float | None = None
