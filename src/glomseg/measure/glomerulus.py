"""One record for every glomerulus of an image or slide."""

import math
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.measure.objects import ObjectPixels, ObjectSettings, find_objects
from glomseg.measure.shape import measure_shape
from glomseg.measure.tissue_border import touches_tissue_border
from glomseg.polygons import pixel_outline
from glomseg.progress import Progress
from glomseg.types import Classes, Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Glomerulus:
    """One object of a mask, in pixels of the slide's full resolution; docs/measurements.md defines every figure.

    Attributes
    ----------
    label
        1, 2, ... in the order of the list.
    class_index
        Its class, 1 or higher.
    outline
        Its polygons along pixel edges, in (x, y); (0, 0) is the slide's upper left corner. Holes are inner rings.
    mpp
        Micrometres per pixel of full resolution; without it every figure in micrometres is None.
    area_px, perimeter_px
        Its area, and the length of its outline with those of its holes.
    max_diameter_px, min_diameter_px
        Its largest and smallest Feret diameter.
    bounding_circle_diameter_px
        Diameter of the smallest circle around it: what QuPath calls "Max diameter".
    circularity, solidity
        4 pi area / perimeter^2 with holes filled; area over that of the convex hull. Both at most 1.
    centroid_px
        (x, y) of its centre of mass.
    box
        The smallest upright rectangle around it.
    touches_slide_border
        Whether it reaches the edge of the mask, so that its area is a lower bound.
    touches_tissue_border
        Whether it lies next to what is not tissue, so that it may be torn or cut; None where the tissue is not known.
    mean_probability
        Mean foreground probability over its pixels, 0 to 1; None without probabilities.
    """

    label: int
    class_index: int
    outline: shapely.MultiPolygon
    mpp: float | None
    area_px: float
    perimeter_px: float
    max_diameter_px: float
    min_diameter_px: float
    bounding_circle_diameter_px: float
    circularity: float
    solidity: float
    centroid_px: tuple[float, float]
    box: Region
    touches_slide_border: bool
    touches_tissue_border: bool | None
    mean_probability: float | None

    @property
    def equivalent_diameter_px(self) -> float:
        """Diameter of the circle of the same area."""
        return math.sqrt(4 / math.pi * self.area_px)

    @property
    def area_um2(self) -> float | None:
        """Area in square micrometres, or None where the scale is not known."""
        return None if self.mpp is None else self.area_px * self.mpp**2

    @property
    def equivalent_diameter_um(self) -> float | None:
        """Diameter of the circle of the same area in micrometres, or None."""
        return self._um(self.equivalent_diameter_px)

    @property
    def perimeter_um(self) -> float | None:
        """Length of the outline in micrometres, or None."""
        return self._um(self.perimeter_px)

    @property
    def max_diameter_um(self) -> float | None:
        """Largest Feret diameter in micrometres, or None."""
        return self._um(self.max_diameter_px)

    @property
    def min_diameter_um(self) -> float | None:
        """Smallest Feret diameter in micrometres, or None."""
        return self._um(self.min_diameter_px)

    @property
    def bounding_circle_diameter_um(self) -> float | None:
        """Diameter of the smallest circle around it in micrometres, or None."""
        return self._um(self.bounding_circle_diameter_px)

    def _um(self, length_px: float) -> float | None:
        return None if self.mpp is None else length_px * self.mpp


def measure_glomeruli(
    mask: NDArray[np.uint8],
    *,
    classes: Classes,
    mpp: float | None,
    downsample: float = 1.0,
    probabilities: NDArray[np.uint8] | NDArray[np.floating] | None = None,
    tissue: NDArray[np.bool_] | None = None,
    tissue_downsample: float = 1.0,
    settings: ObjectSettings = ObjectSettings(),  # noqa: B008 (frozen)
    progress: Progress | None = None,
) -> list[Glomerulus]:
    """Return every object of a class mask, ordered by class, then from the top left.

    Parameters
    ----------
    mask
        (h, w) uint8 class index; it may lie in a file (`numpy.memmap`). Values of no class, such as 255, are no object.
    classes
        What the values mean.
    mpp
        Micrometres per pixel of full resolution; without it nothing is given in micrometres.
    downsample
        Pixels of full resolution per pixel of the mask; the mask's first pixel has its corner at (0, 0).
    probabilities
        (h, w) foreground probability: uint8 from 0 to 255, or floats from 0 to 1.
    tissue
        Bool mask of the same slide, True where tissue is.
    tissue_downsample
        Pixels of full resolution per pixel of `tissue`.
    settings
        What counts as one object.
    progress
        Is told of the groups of objects that lie near each other, of one class after the other.

    Raises
    ------
    InvalidInputError
        If the arrays do not fit each other, or a scale is not a positive number.
    """
    _check(mask, mpp=mpp, downsample=downsample, probabilities=probabilities, tissue=tissue)
    _check_positive("tissue_downsample", tissue_downsample)
    found = [
        _measure(
            item,
            mask_shape=mask.shape,
            mpp=mpp,
            downsample=downsample,
            probabilities=probabilities,
            at_tissue_border=None
            if tissue is None
            else touches_tissue_border(item, tissue, pixels_per_tissue=tissue_downsample / downsample),
        )
        for item in find_objects(
            mask,
            n_classes=len(classes),
            mpp=None if mpp is None else mpp * downsample,
            settings=settings,
            progress=progress,
        )
    ]
    found.sort(key=lambda item: (item.class_index, item.box.y, item.box.x, item.centroid_px))
    return [replace(item, label=label) for label, item in enumerate(found, start=1)]


def _measure(
    item: ObjectPixels,
    *,
    mask_shape: tuple[int, ...],
    mpp: float | None,
    downsample: float,
    probabilities: NDArray[np.uint8] | NDArray[np.floating] | None,
    at_tissue_border: bool | None,
) -> Glomerulus:
    height, width = item.pixels.shape
    bottom, right = item.row + height, item.column + width
    shape = measure_shape(item.pixels)
    outline = shapely.transform(
        pixel_outline(item.pixels), lambda points: (points + np.array([item.column, item.row])) * downsample
    )
    return Glomerulus(
        label=0,
        class_index=item.class_index,
        outline=outline,
        mpp=mpp,
        area_px=shape.area_px * downsample**2,
        perimeter_px=shape.perimeter_px * downsample,
        max_diameter_px=shape.max_diameter_px * downsample,
        min_diameter_px=shape.min_diameter_px * downsample,
        bounding_circle_diameter_px=shape.bounding_circle_diameter_px * downsample,
        circularity=shape.circularity,
        solidity=shape.solidity,
        centroid_px=(
            (item.column + shape.centroid_px[0]) * downsample,
            (item.row + shape.centroid_px[1]) * downsample,
        ),
        box=Region(
            x=item.column * downsample, y=item.row * downsample, width=width * downsample, height=height * downsample
        ),
        touches_slide_border=item.row == 0 or item.column == 0 or bottom == mask_shape[0] or right == mask_shape[1],
        touches_tissue_border=at_tissue_border,
        mean_probability=None
        if probabilities is None
        else _mean_probability(probabilities[item.row : bottom, item.column : right], item.pixels),
    )


def _mean_probability(probabilities: NDArray[np.uint8] | NDArray[np.floating], pixels: NDArray[np.bool_]) -> float:
    mean = float(probabilities[pixels].mean(dtype=np.float64))
    return mean / 255 if probabilities.dtype == np.uint8 else mean


def _check(
    mask: NDArray[np.uint8],
    *,
    mpp: float | None,
    downsample: float,
    probabilities: NDArray[np.uint8] | NDArray[np.floating] | None,
    tissue: NDArray[np.bool_] | None,
) -> None:
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise InvalidInputError(
            f"a mask to measure has the shape (H, W) and the type uint8, not {mask.shape} {mask.dtype}"
        )
    if mpp is not None and not 0 < mpp < math.inf:
        raise InvalidInputError(f"mpp is {mpp}; micrometres per pixel are a positive number, 0.25 for a 40x scan")
    _check_positive("downsample", downsample)
    if probabilities is not None:
        if probabilities.shape != mask.shape:
            raise InvalidInputError(
                f"the probabilities have the shape {probabilities.shape}, but the mask {mask.shape}; "
                "one foreground probability a pixel is needed"
            )
        if probabilities.dtype != np.uint8 and not np.issubdtype(probabilities.dtype, np.floating):
            raise InvalidInputError(
                f"the probabilities are {probabilities.dtype}; give uint8 from 0 to 255, or floats from 0 to 1"
            )
    if tissue is not None and (tissue.ndim != 2 or tissue.dtype != np.bool_ or tissue.size == 0):
        raise InvalidInputError(
            f"the tissue mask has the shape (h, w) and the type bool, not {tissue.shape} {tissue.dtype}"
        )


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InvalidInputError(f"{name} is {value}; it is a positive number of full-resolution pixels per pixel")
