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
    # Where tissue pixels are the finer ones, each pixel of the object covers several: its centre is grown to them.
    reach = 1 if pixels_per_tissue >= 1 else math.ceil(0.5 / pixels_per_tissue) + 1
    rows, in_row = _window(item.row, item.pixels.shape[0], pixels_per_tissue=pixels_per_tissue, margin=reach)
    columns, in_column = _window(item.column, item.pixels.shape[1], pixels_per_tissue=pixels_per_tissue, margin=reach)
    reached = np.zeros((len(rows), len(columns)), np.uint8)
    row, column = np.nonzero(item.pixels)
    reached[in_row[row], in_column[column]] = 1
    grown = np.asarray(cv2.dilate(reached, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))) > 0
    nearby = tissue[np.clip(rows, 0, tissue.shape[0] - 1)][:, np.clip(columns, 0, tissue.shape[1] - 1)]
    return bool((grown & ~nearby).any())


def _window(
    start: int, length: int, *, pixels_per_tissue: float, margin: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tissue pixels along a box's side, with a margin, and in which of them each box pixel's centre is."""
    place = np.floor((np.arange(start, start + length) + 0.5) / pixels_per_tissue).astype(np.int64)
    window = np.arange(place[0] - margin, place[-1] + margin + 1)
    return window, place - window[0]
