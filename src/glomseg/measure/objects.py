"""From a class mask to single objects: pieces joined over small holes, parted at necks, without specks.

Nothing here holds more than the mask itself and the box of one group of pieces, so a mask of a whole
slide may lie in a file (`numpy.memmap`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glomseg.errors import InvalidInputError
from glomseg.measure.holes import holes_of
from glomseg.measure.separation import separate_touching
from glomseg.progress import Progress

_BLOCK_PX = 8
"""Side of the blocks in which a mask is first looked through for groups of pieces that lie near each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSettings:
    """What counts as one object.

    Attributes
    ----------
    min_diameter_um
        Objects smaller than a circle of this diameter are dropped, and no part smaller than it is cut off. A human
        glomerulus is some 200 um across, and a plane that cuts a ball of 200 um at random gives a profile below
        50 um in 3 % of all cases.
    min_diameter_px
        The same in pixels of the mask, where micrometres per pixel are not known: what is smaller
        has too few pixels for its shape to be measured.
    max_hole_ratio
        Holes are filled, the smallest first, as long as they are together at most this many times as large as
        what surrounds them; 0 fills none. So a ring of tissue does not become an object of the size of the slide.
    max_neck_ratio
        Touching objects are parted where the neck between them is at most this share of the width of
        the narrower one; 0 parts none.
    """

    min_diameter_um: float = 50.0
    min_diameter_px: float = 8.0
    max_hole_ratio: float = 1.0
    max_neck_ratio: float = 0.8

    def __post_init__(self) -> None:
        for name in ("min_diameter_um", "min_diameter_px", "max_hole_ratio"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise InvalidInputError(f"{name} is {value}; it is a number from 0 up")
        if not 0 <= self.max_neck_ratio < 1:
            raise InvalidInputError(
                f"max_neck_ratio is {self.max_neck_ratio}; it is a share from 0 (part nothing) to below 1, such as 0.8"
            )

    def min_diameter(self, mpp: float | None) -> float:
        """Return the smallest diameter in pixels of a mask with this many micrometres per pixel, or None."""
        return self.min_diameter_px if mpp is None else self.min_diameter_um / mpp


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPixels:
    """The pixels of one object.

    Attributes
    ----------
    class_index
        1 or higher.
    row, column
        Of the box's first pixel in the mask.
    pixels
        (h, w) bool within its smallest box.
    """

    class_index: int
    row: int
    column: int
    pixels: NDArray[np.bool_]


def find_objects(
    mask: NDArray[np.uint8],
    *,
    n_classes: int,
    mpp: float | None,
    settings: ObjectSettings,
    progress: Progress | None = None,
) -> Iterator[ObjectPixels]:
    """Yield the objects of every foreground class of a mask, class by class.

    Pixels of one class that touch, also at a corner, are one piece. A piece's holes are filled with what is
    background or of the same class in them, never with another class. Then it is parted at its necks.

    Parameters
    ----------
    mask
        (H, W) uint8 class index; 0 and values of `n_classes` and above are no object.
    n_classes
        C, background included.
    mpp
        Micrometres per pixel of the mask, or None.
    settings
        What counts as one object.
    progress
        Is told of the groups of pieces that lie near each other, of one class after the other.
    """
    min_diameter_px = settings.min_diameter(mpp)
    min_area_px = math.pi / 4 * min_diameter_px**2
    for class_index in range(1, n_classes):
        for row, column, values in _groups(mask, class_index, min_area_px=min_area_px, progress=progress):
            for top, left, piece in _pieces(values, class_index, settings=settings, min_area_px=min_area_px):
                for y, x, pixels in _parts(piece, settings=settings, min_diameter_px=min_diameter_px):
                    if np.count_nonzero(pixels) >= min_area_px:
                        yield ObjectPixels(
                            class_index=class_index, row=row + top + y, column=column + left + x, pixels=pixels
                        )


def _groups(
    mask: NDArray[np.uint8], class_index: int, *, min_area_px: float, progress: Progress | None
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield (row, column, values) of boxes that hold every piece of a class whole, with all that lies in its holes.

    In `values` the class stands only where it belongs to the box's own group; a piece is in one group only.
    """
    blocks = _occupied_blocks(mask, class_index)
    if not blocks.any():  # OpenCV cannot label an image of no pixels
        return
    filled = blocks | holes_of(blocks)
    n_labels, labels, stats, _ = cv2.connectedComponentsWithStats(filled.view(np.uint8), connectivity=8)
    for label in range(1, n_labels):
        left, top, width, height, n_blocks = (int(value) for value in stats[label])
        if n_blocks * _BLOCK_PX**2 < min_area_px:
            continue
        own = labels[top : top + height, left : left + width] == label
        row, column = top * _BLOCK_PX, left * _BLOCK_PX
        values = np.array(mask[row : row + height * _BLOCK_PX, column : column + width * _BLOCK_PX])
        if not own.all():
            own_pixels = own.repeat(_BLOCK_PX, 0).repeat(_BLOCK_PX, 1)[: values.shape[0], : values.shape[1]]
            values[(values == class_index) & ~own_pixels] = 0
        yield row, column, values
        if progress is not None:
            progress(label, n_labels - 1)


def _occupied_blocks(mask: NDArray[np.uint8], class_index: int) -> NDArray[np.bool_]:
    """Return which blocks of `_BLOCK_PX` x `_BLOCK_PX` pixels hold a pixel of the class."""
    height, width = mask.shape
    blocks = np.zeros((-(-height // _BLOCK_PX), -(-width // _BLOCK_PX)), bool)
    starts = np.arange(0, width, _BLOCK_PX)
    for number in range(blocks.shape[0]):
        rows = mask[number * _BLOCK_PX : (number + 1) * _BLOCK_PX]
        if width:
            blocks[number] = np.logical_or.reduceat((rows == class_index).any(axis=0), starts)
    return blocks


def _pieces(
    values: NDArray[np.uint8], class_index: int, *, settings: ObjectSettings, min_area_px: float
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Yield (row, column, pixels) of each piece of a group with its holes filled."""
    n_labels, labels, stats, _ = cv2.connectedComponentsWithStats(
        (values == class_index).view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    box_areas = stats[:, cv2.CC_STAT_WIDTH].astype(np.int64) * stats[:, cv2.CC_STAT_HEIGHT]
    swallowed = np.zeros(n_labels, bool)
    for label in np.argsort(-box_areas, kind="stable"):  # what surrounds comes before what lies in its holes
        if label == 0 or swallowed[label] or box_areas[label] < min_area_px:
            continue
        left, top, width, height, n_pixels = (int(value) for value in stats[label])
        box = (slice(top, top + height), slice(left, left + width))
        piece = np.asarray(labels[box] == label)
        holes = _small_holes(piece, max_px=settings.max_hole_ratio * n_pixels)
        if holes is not None:
            inside = labels[box][holes]
            swallowed[inside[inside > 0]] = True
            piece |= holes & ((values[box] == 0) | (values[box] == class_index))
        yield top, left, piece


def _small_holes(piece: NDArray[np.bool_], *, max_px: float) -> NDArray[np.bool_] | None:
    """Return the pixels of the smallest holes that together have at most this many; None where there is none."""
    holes = holes_of(piece) if max_px > 0 else np.zeros_like(piece)
    if not holes.any():
        return None
    _, labels, stats, _ = cv2.connectedComponentsWithStats(holes.view(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0  # what is no hole
    order = np.argsort(areas, kind="stable")
    small = np.zeros(len(areas), bool)
    small[order] = np.cumsum(areas[order]) <= max_px
    small[0] = False
    return np.asarray(small[labels]) if small.any() else None


def _parts(
    piece: NDArray[np.bool_], *, settings: ObjectSettings, min_diameter_px: float
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Yield (row, column, pixels) of the objects that one piece consists of."""
    if settings.max_neck_ratio == 0:
        yield 0, 0, piece
        return
    parts, n_parts = separate_touching(
        piece, max_neck_ratio=settings.max_neck_ratio, min_diameter_px=max(min_diameter_px, 1)
    )
    for number, box in enumerate(ndimage.find_objects(parts, max_label=n_parts), start=1):
        yield box[0].start, box[1].start, parts[box] == number
