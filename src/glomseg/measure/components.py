"""Measurements of every connected piece of a class in a mask."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.types import Classes

COMPONENT_COLUMNS = (
    "image",
    "label",
    "class",
    "area_px",
    "area_um2",
    "centroid_x_px",
    "centroid_y_px",
    "x_px",
    "y_px",
    "width_px",
    "height_px",
    "touches_border",
    "mean_probability",
)
"""Columns of the table that `component_rows` fills, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One connected piece of one class, with its size and place.

    Attributes
    ----------
    label
        1, 2, ... in the order of the list.
    class_index
        The class it is of, 1 or higher.
    area_px
        Number of its pixels.
    area_um2
        Its area in square micrometres; None where the image's mpp is not known.
    centroid_px
        (row, column) of its centre of mass, counted from the centre of the first pixel.
    x_px, y_px, width_px, height_px
        The smallest upright box that holds it; (x, y) is the box's top-left pixel.
    touches_border
        Whether one of its pixels lies on the image's border, so that it may go on outside and its
        area is a lower bound.
    mean_probability
        Mean probability of its class over its pixels, 0 to 1; None without probabilities.
    """

    label: int
    class_index: int
    area_px: int
    area_um2: float | None
    centroid_px: tuple[float, float]
    x_px: int
    y_px: int
    width_px: int
    height_px: int
    touches_border: bool
    mean_probability: float | None


def connected_components(
    mask: NDArray[np.uint8],
    *,
    n_classes: int,
    mpp: float | None = None,
    min_area_px: int = 0,
    probabilities: NDArray[np.float32] | None = None,
) -> list[Component]:
    """Return the connected pieces of every foreground class, ordered by class, then from top left.

    Pixels of one class belong together if they touch, also at a corner (8-connectivity). Touching
    glomeruli are one component. Values of `n_classes` and above, such as 255 for ignored, form none.

    Parameters
    ----------
    mask
        (H, W) uint8 class index; 0 is the background.
    n_classes
        C, background included.
    mpp
        Micrometres per pixel of the mask. Without it nothing is given in micrometres.
    min_area_px
        Smaller pieces are left out.
    probabilities
        (C, H, W) float32, as in `Prediction.probabilities`.

    Raises
    ------
    InvalidInputError
        If the mask is not two-dimensional uint8, `probabilities` do not fit it, or `mpp` is not positive.
    """
    _check(mask, n_classes=n_classes, mpp=mpp, probabilities=probabilities)
    found: list[Component] = []
    for class_index in range(1, n_classes):
        where = (mask == class_index).view(np.uint8)
        probability = None if probabilities is None else probabilities[class_index]
        if where.any():  # OpenCV cannot label an image of no pixels, and most classes are absent from most tiles
            pieces = _of_one_class(where, class_index=class_index, mpp=mpp, probability=probability)
            pieces = [piece for piece in pieces if piece.area_px >= min_area_px]
            found += sorted(pieces, key=lambda piece: (piece.y_px, piece.x_px, piece.centroid_px))
    return [replace(piece, label=label) for label, piece in enumerate(found, start=1)]


def component_rows(
    components: Sequence[Component], *, image: str | os.PathLike[str], classes: Classes
) -> list[dict[str, object]]:
    """Return one table row a component, keyed by `COMPONENT_COLUMNS`; what is not known is None.

    Parameters
    ----------
    components
        The components of one image.
    image
        What the column "image" says.
    classes
        Where the column "class" takes its names from.
    """
    return [
        {
            "image": os.fspath(image),
            "label": piece.label,
            "class": classes.names[piece.class_index],
            "area_px": piece.area_px,
            "area_um2": None if piece.area_um2 is None else round(piece.area_um2, 2),
            "centroid_x_px": round(piece.centroid_px[1], 2),
            "centroid_y_px": round(piece.centroid_px[0], 2),
            "x_px": piece.x_px,
            "y_px": piece.y_px,
            "width_px": piece.width_px,
            "height_px": piece.height_px,
            "touches_border": piece.touches_border,
            "mean_probability": None if piece.mean_probability is None else round(piece.mean_probability, 4),
        }
        for piece in components
    ]


def _of_one_class(
    where: NDArray[np.uint8], *, class_index: int, mpp: float | None, probability: NDArray[np.float32] | None
) -> list[Component]:
    height, width = where.shape
    n_labels, labels, stats, centroids = cv2.connectedComponentsWithStats(where, connectivity=8, ltype=cv2.CV_32S)
    sums = None if probability is None else np.bincount(labels.ravel(), probability.ravel(), minlength=n_labels)
    pieces = []
    for label in range(1, n_labels):  # 0 is everything else
        x, y, box_width, box_height, area = (int(value) for value in stats[label])
        pieces.append(
            Component(
                label=label,
                class_index=class_index,
                area_px=area,
                area_um2=None if mpp is None else area * mpp * mpp,
                centroid_px=(float(centroids[label, 1]), float(centroids[label, 0])),
                x_px=x,
                y_px=y,
                width_px=box_width,
                height_px=box_height,
                touches_border=x == 0 or y == 0 or x + box_width == width or y + box_height == height,
                mean_probability=None if sums is None else float(sums[label]) / area,
            )
        )
    return pieces


def _check(
    mask: NDArray[np.uint8], *, n_classes: int, mpp: float | None, probabilities: NDArray[np.float32] | None
) -> None:
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise InvalidInputError(
            f"a mask to measure has the shape (H, W) and the type uint8, not {mask.shape} {mask.dtype}"
        )
    if n_classes < 2:
        raise InvalidInputError(f"n_classes is {n_classes}; measuring needs the background and one more class")
    if probabilities is not None and probabilities.shape != (n_classes, *mask.shape):
        raise InvalidInputError(
            f"the probabilities have the shape {probabilities.shape}, but a mask of {mask.shape} with {n_classes} "
            f"classes needs {(n_classes, *mask.shape)}"
        )
    if mpp is not None and not 0 < mpp < np.inf:
        raise InvalidInputError(f"mpp is {mpp}; micrometres per pixel are a positive number, 0.25 for a 40x scan")
