"""Whether an object lies at the border of the tissue."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.measure.objects import ObjectPixels


def touches_tissue_border(item: ObjectPixels, tissue: NDArray[np.bool_], *, pixels_per_tissue: float) -> bool:
    """Return whether an object reaches a tissue pixel that is none, or that has one among its eight neighbours.

    Parameters
    ----------
    item
        The object, in pixels of its mask.
    tissue
        (h, w) bool, True where tissue is; beyond it its last rows and columns go on, so that the slide's border
        is none of the tissue.
    pixels_per_tissue
        Pixels of the object's mask per pixel of `tissue`.
    """
    height, width = item.pixels.shape
    first_row, first_column = (int(start / pixels_per_tissue) - 1 for start in (item.row, item.column))
    last_row, last_column = (
        int(end / pixels_per_tissue) + 1 for end in (item.row + height - 1, item.column + width - 1)
    )
    rows, columns = np.arange(first_row, last_row + 1), np.arange(first_column, last_column + 1)
    reached = np.zeros((len(rows), len(columns)), np.uint8)
    where = np.nonzero(item.pixels)
    in_row = ((where[0] + item.row + 0.5) / pixels_per_tissue).astype(np.int64) - first_row
    in_column = ((where[1] + item.column + 0.5) / pixels_per_tissue).astype(np.int64) - first_column
    reached[in_row, in_column] = 1
    size = max(3, 2 * math.ceil(1 / pixels_per_tissue) + 1)  # where tissue pixels are the finer ones, gaps close too
    grown = np.asarray(cv2.dilate(reached, np.ones((size, size), np.uint8))) > 0
    nearby = tissue[np.clip(rows, 0, tissue.shape[0] - 1)][:, np.clip(columns, 0, tissue.shape[1] - 1)]
    return bool((grown & ~nearby).any())
