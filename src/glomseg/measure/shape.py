"""Perimeter and diameters of a shape that is given in pixels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from glomseg.measure.holes import holes_of

_SMOOTHING_PX = 1.2
"""Standard deviation of the Gaussian that turns the pixels' stairs into a slope; see docs/decisions/0004."""

_MARGIN_PX = 6
"""Beyond this the Gaussian is zero."""

_NARROW_PX = 4.0
"""Shapes whose inscribed circle has a smaller radius would be thinned by the Gaussian, and are enlarged first."""

_ENLARGED = 8

_STRIP_PIXELS = 2**21
"""Shapes are smoothed in strips of about so many pixels, so that one as large as its slide fits in memory too."""


_AT_ONCE = 256
"""So many corners are compared with all others at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Lengths and ratios of one shape; lengths in pixels of its mask.

    Attributes
    ----------
    area_px
        Number of pixels: for a shape drawn by pixel centres this is its area, without bias.
    centroid_px
        (x, y) of its centre of mass; (0, 0) is the array's upper left corner, (0.5, 0.5) the centre of its first pixel.
    perimeter_px
        Length of its outline, those of its holes included.
    max_diameter_px
        Largest distance of two points (maximum Feret diameter).
    min_diameter_px
        Smallest distance of two parallel lines that hold it between them (minimum Feret diameter, minimum width).
    bounding_circle_diameter_px
        Of the smallest circle around it; at least `max_diameter_px`.
    circularity
        4 pi area / perimeter^2 with holes filled: 1 for a disc, 0.785 for a square; at most 1.
    solidity
        Area over that of its convex hull: 1 where it is convex and without holes; at most 1.
    """

    area_px: int
    centroid_px: tuple[float, float]
    perimeter_px: float
    max_diameter_px: float
    min_diameter_px: float
    bounding_circle_diameter_px: float
    circularity: float
    solidity: float


def measure_shape(pixels: NDArray[np.bool_]) -> Shape:
    """Return the figures of a shape.

    Lengths are taken from the line on which the Gaussian-smoothed mask is one half: at that smoothing the
    stairs of a pixel outline are gone, and its corners are hardly rounded. Discs, ellipses and rings come out within
    1 % from 80 pixels across at any rotation and sub-pixel position, and within 2 % from 24; only the smallest
    diameter, which a single row of pixels decides, may be off by one pixel. Rectangles lose up to 2 % of their
    perimeter at their corners. What is less than 8 pixels wide is measured with its stairs; threads
    one pixel wide on something wider are left out.

    Parameters
    ----------
    pixels
        (h, w) bool with at least one pixel; nothing lies beyond the array.

    Notes
    -----
    Counting pixel sides gives 4/pi = 1.27 times the perimeter of every disc, however fine the pixels; chains of steps
    between pixel centres 1.05 times. Diameters from pixel corners are about a pixel too large.

    References
    ----------
    W. E. Lorensen, H. E. Cline, Marching cubes, SIGGRAPH 1987 (in two dimensions: the line at one level).
    """
    area = int(np.count_nonzero(pixels))
    columns, rows = pixels.sum(axis=0), pixels.sum(axis=1)
    centroid = (
        float(columns @ (np.arange(pixels.shape[1]) + 0.5)) / area,
        float(rows @ (np.arange(pixels.shape[0]) + 0.5)) / area,
    )
    distance = cv2.distanceTransform(np.pad(pixels, 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    enlarged = 1 if float(distance.max()) >= _NARROW_PX else _ENLARGED
    hull, perimeter = _hull_and_perimeter(pixels, enlarged=enlarged)
    filled = pixels | holes_of(pixels)
    filled_area = int(np.count_nonzero(filled))
    outer = perimeter if filled_area == area else _hull_and_perimeter(filled, enlarged=enlarged)[1]
    max_diameter, min_diameter = _feret(shapely.get_coordinates(hull))
    return Shape(
        area_px=area,
        centroid_px=centroid,
        perimeter_px=perimeter,
        max_diameter_px=max_diameter,
        min_diameter_px=min_diameter,
        bounding_circle_diameter_px=max(2 * float(shapely.minimum_bounding_radius(hull)), max_diameter),
        circularity=min(1.0, 4 * math.pi * filled_area / outer**2),
        solidity=min(1.0, area / float(hull.area)),
    )


def _hull_and_perimeter(pixels: NDArray[np.bool_], *, enlarged: int) -> tuple[shapely.Polygon, float]:
    """Return the convex hull and the length of the line at one half of the smoothed shape, in pixels."""
    hull, length = shapely.Polygon(), 0.0
    for top, smooth in _smoothed_strips(pixels, enlarged=enlarged):
        points, added = _line_at_half(smooth)
        length += added
        points[:, 1] += top
        hull = shapely.convex_hull(shapely.union(hull, shapely.convex_hull(shapely.MultiPoint(points))))
    return shapely.transform(hull, lambda points: points / enlarged), length / enlarged


def _smoothed_strips(pixels: NDArray[np.bool_], *, enlarged: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (top, values) of strips of the smoothed and enlarged shape; neighbours share one row."""
    height, width = (side * enlarged + 2 * _MARGIN_PX for side in pixels.shape)
    step = max(_MARGIN_PX, _STRIP_PIXELS // width)
    for top in range(0, height - 1, step):
        bottom = min(top + step + 1, height)
        first, last = max(0, top - _MARGIN_PX), min(height, bottom + _MARGIN_PX)
        rows = np.arange(first, last) - _MARGIN_PX
        inside = (rows >= 0) & (rows < pixels.shape[0] * enlarged)
        strip = np.zeros((last - first, width), np.float32)
        strip[inside, _MARGIN_PX:-_MARGIN_PX] = pixels[rows[inside] // enlarged].repeat(enlarged, axis=1)
        smooth = np.asarray(cv2.GaussianBlur(strip, (0, 0), _SMOOTHING_PX, borderType=cv2.BORDER_CONSTANT), np.float32)
        yield top - _MARGIN_PX, smooth[top - first : bottom - first]


def _line_at_half(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Return the points (x, y) where the line at one half crosses the grid of pixel centres, and the line's length."""
    above = values >= 0.5
    row, column = np.nonzero(above[:, :-1] != above[:, 1:])  # on the way to the right neighbour
    across = [column + _share(values[row, column], values[row, column + 1]), row]
    row, column = np.nonzero(above[:-1] != above[1:])
    down = [column, row + _share(values[row, column], values[row + 1, column])]
    points = np.concatenate([np.stack(across, axis=1), np.stack(down, axis=1)])
    n_above = above[:-1, :-1].astype(np.uint8) + above[:-1, 1:] + above[1:, :-1] + above[1:, 1:]
    row, column = np.nonzero((n_above > 0) & (n_above < 4))  # cells of four pixel centres that the line passes
    corners = [values[row + down, column + right] for down, right in ((0, 0), (0, 1), (1, 1), (1, 0))]
    return points + 0.5, _length_in_cells(np.stack(corners, axis=1).astype(np.float64))


def _length_in_cells(corners: NDArray[np.float64]) -> float:
    """Return the length of the line at one half in (n, 4) cells, whose corners are given in turn."""
    after = np.roll(corners, -1, axis=1)
    crossed = (corners >= 0.5) != (after >= 0.5)  # top, right, bottom, left
    share = np.where(crossed, _share(corners, np.where(crossed, after, corners + 1)), 0)
    zero, one = np.zeros(len(corners)), np.ones(len(corners))
    x = np.stack([share[:, 0], one, 1 - share[:, 2], zero], axis=1)
    y = np.stack([zero, share[:, 1], one, 1 - share[:, 3]], axis=1)
    length = 0.0
    for n_crossed in (2, 4):  # with four, the line passes twice; which sides belong together hardly matters
        cells = crossed.sum(axis=1) == n_crossed
        ends = np.stack([x[cells][crossed[cells]], y[cells][crossed[cells]]], axis=1).reshape(-1, 2, 2)
        length += float(np.hypot(*(ends[:, 0] - ends[:, 1]).T).sum())
    return length


def _share(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return where, from 0 to 1, the way from one value to the other passes one half."""
    return np.asarray((first - 0.5) / (first - second), np.float64)


def _feret(hull: NDArray[np.float64]) -> tuple[float, float]:
    """Return the largest distance of two corners of a convex polygon, and the smallest width between parallel lines."""
    edges = np.diff(hull, axis=0)
    edges = edges[np.hypot(*edges.T) > 1e-9]
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1) / np.hypot(*edges.T)[:, None]
    largest, smallest = 0.0, math.inf
    for start in range(0, len(hull), _AT_ONCE):  # a slide-sized shape has thousands of corners
        reach = normals[start : start + _AT_ONCE] @ hull.T
        smallest = min(smallest, float(np.min(reach.max(axis=1) - reach.min(axis=1), initial=math.inf)))
        across = hull[start : start + _AT_ONCE, None] - hull
        largest = max(largest, float(np.hypot(across[..., 0], across[..., 1]).max()))
    return largest, smallest
