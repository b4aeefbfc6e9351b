"""The outline of an object along the edges of its pixels."""

import numpy as np
import shapely
from numpy.typing import NDArray


def pixel_outline(pixels: NDArray[np.bool_]) -> shapely.MultiPolygon:
    """Return polygons that cover exactly the squares of the pixels that are set, in (x, y) of the array.

    The pixel at row r and column c is the square from (c, r) to (c + 1, r + 1). Holes are inner rings. Pixels that
    touch at a corner only are in polygons of their own, as no ring of a valid polygon touches itself.

    Parameters
    ----------
    pixels
        (h, w) bool.
    """
    padded = np.pad(pixels, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)  # in the order of the starts, run by run
    runs = shapely.box(starts, rows, ends, rows + 1)
    merged = shapely.union_all(runs)
    polygons = merged.geoms if isinstance(merged, shapely.MultiPolygon) else [merged]
    return shapely.MultiPolygon([_without_straight_corners(polygon) for polygon in polygons if not polygon.is_empty])


def _without_straight_corners(polygon: shapely.Polygon) -> shapely.Polygon:
    return shapely.Polygon(_corners(polygon.exterior), [_corners(ring) for ring in polygon.interiors])


def _corners(ring: shapely.LinearRing) -> NDArray[np.float64]:
    """Return the ring's points at which it turns."""
    points = shapely.get_coordinates(ring)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0] != 0
    return np.asarray(points[turns], np.float64)
