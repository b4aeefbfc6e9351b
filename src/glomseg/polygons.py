"""From pixels to polygons along their edges, and from polygons to the pixels whose centres they hold."""

from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

_MAX_CROSSINGS = 2**22
"""So many crossings of edges and pixel rows are worked on at a time: 0.1 GB."""


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
    merged = shapely.union_all(shapely.box(starts, rows, ends, rows + 1))
    polygons = polygons_of(merged)
    return shapely.MultiPolygon([_without_straight_corners(polygon) for polygon in polygons])


def polygons_of(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """Return the polygons with an area that a geometry of any kind consists of."""
    parts = [geometry]
    while any(hasattr(part, "geoms") for part in parts):
        parts = [inner for part in parts for inner in getattr(part, "geoms", [part])]
    return [part for part in parts if isinstance(part, shapely.Polygon) and part.area > 0]


def pixels_inside(outline: shapely.Geometry, *, height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels of an array have their centre inside a valid polygon or several, (x, y) in pixels.

    A centre that lies exactly on an edge belongs to the polygon on one side of it only, so neighbours neither
    share a pixel nor leave one out. Holes are outside.

    Parameters
    ----------
    outline
        Polygon or MultiPolygon, with (0, 0) at the array's upper left corner; it may reach beyond the array.
    height, width
        Of the array.
    """
    # A row enters or leaves the polygon at each edge it crosses, so the parity of the crossings to its left tells.
    crossings = np.zeros((height, width + 1), np.uint8)
    for start, end in _edges(outline):
        low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
        first = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int64)
        n_rows = np.clip(np.ceil(high - 0.5), 0, height).astype(np.int64) - first
        for part in _portions(n_rows):
            edge = np.repeat(np.arange(part.start, part.stop), n_rows[part])
            before = np.cumsum(n_rows[part]) - n_rows[part]
            row = np.arange(len(edge)) - np.repeat(before, n_rows[part]) + first[edge]
            share = (row + 0.5 - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
            x = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
            column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
            np.add.at(crossings, (row, column), 1)
    inside: NDArray[np.bool_] = np.cumsum(crossings, axis=1, dtype=np.uint8)[:, :width] % 2 == 1
    return inside


def _edges(outline: shapely.Geometry) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the (n, 2) start and end points of the edges of each ring."""
    rings = [ring for polygon in polygons_of(outline) for ring in (polygon.exterior, *polygon.interiors)]
    points = [shapely.get_coordinates(ring) for ring in rings]
    return [(ring[:-1], ring[1:]) for ring in points]


def _portions(n_rows: NDArray[np.int64]) -> list[slice]:
    """Return slices of the edges with about `_MAX_CROSSINGS` crossings each."""
    number = np.cumsum(n_rows) // _MAX_CROSSINGS
    bounds = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(n_rows)]
    return [slice(start, stop) for start, stop in pairwise(bounds) if n_rows[start:stop].any()]


def _without_straight_corners(polygon: shapely.Polygon) -> shapely.Polygon:
    return shapely.Polygon(_corners(polygon.exterior), [_corners(ring) for ring in polygon.interiors])


def _corners(ring: shapely.LinearRing) -> NDArray[np.float64]:
    """Return the ring's points at which it turns."""
    points = shapely.get_coordinates(ring)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0] != 0
    return np.asarray(points[turns], np.float64)
