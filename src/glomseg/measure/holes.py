"""What a shape surrounds."""

import cv2
import numpy as np
from numpy.typing import NDArray


def holes_of(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels are not set and cannot be left, side by side, without crossing some that are.

    Parameters
    ----------
    pixels
        (h, w) bool; what lies beyond the array is not set. Pixels that are set hold together at corners too.
    """
    outside = np.pad(~pixels, 1, constant_values=True)
    labels = cv2.connectedComponents(outside.view(np.uint8), connectivity=4)[1]
    return np.asarray(((labels != labels[0, 0]) & outside)[1:-1, 1:-1])
