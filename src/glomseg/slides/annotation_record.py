"""One annotation, and how its outline is made a valid one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from glomseg.errors import InvalidInputError
from glomseg.polygons import polygons_of

MAX_COORDINATE_PX = 10_000_000
"""No slide is larger, so larger coordinates come from damage or from another unit."""

IGNORE_NAME = "Ignore*"
"""QuPath's class for what shall count as nothing; masks get 255 there."""

_REGION_NAMES = frozenset({"region*", "region", "roi", "region of interest", "annotated region", "annotated area"})

_MAX_CROSSINGS = 500_000
"""Outlines with more edges that come near each other would take minutes to repair; a drawn one has a few dozen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One shape that somebody drew on a slide.

    Attributes
    ----------
    outline
        Its polygons with holes, valid, in (x, y) pixels of full resolution; empty for points and lines.
    class_name
        Its class as the file writes it ("Glomerulus: Sclerotic"), or None.
    name
        What it is called beside its class, or None.
    object_type
        "annotation", "detection", "cell", "tile" or "tmaCore", as in QuPath.
    is_region
        Whether it says where somebody annotated at all (its class, or its name where it has none, is QuPath's
        "Region*", "ROI" or the like) and is no object itself.
    repaired
        Whether its outline crossed itself and was made valid, or a part without area was dropped.
    """

    outline: shapely.MultiPolygon
    class_name: str | None = None
    name: str | None = None
    object_type: str = "annotation"
    is_region: bool = False
    repaired: bool = False


def n_beyond(annotations: Sequence[Annotation], size_px: tuple[int, int]) -> int:
    """Return how many shapes lie wholly beyond a slide of (width, height) pixels."""
    slide = shapely.box(0, 0, *size_px)
    return sum(not item.outline.is_empty and not shapely.intersects(item.outline, slide) for item in annotations)


def make_annotation(
    rings: list[list[np.ndarray]],
    *,
    what: str,
    class_name: str | None = None,
    name: str | None = None,
    object_type: str = "annotation",
) -> Annotation:
    """Return the annotation of polygons given as lists of rings, the shell first, repaired where they need it.

    Parameters
    ----------
    rings
        One list a polygon of (n, 2) float arrays, (x, y) in pixels of full resolution.
    what
        Names the object in errors.
    class_name, name, object_type
        As in `Annotation`.

    Raises
    ------
    InvalidInputError
        If a coordinate is not finite or too large, or the outline crosses itself too often to be repaired.
    """
    polygons, repaired = [], False
    for shell, *holes in rings:
        for ring in (shell, *holes):
            if not np.isfinite(ring).all() or (np.abs(ring) > MAX_COORDINATE_PX).any():
                raise InvalidInputError(
                    f"{what} has a coordinate that is not a number or beyond {MAX_COORDINATE_PX:,}; coordinates are "
                    "pixels of full resolution: the file is damaged or in another unit"
                )
        drawn = [ring for ring in holes if len(ring) >= 3]
        repaired = repaired or len(drawn) < len(holes) or len(shell) < 3
        if len(shell) >= 3:
            polygons.append(shapely.Polygon(shell, drawn))
    outline = shapely.MultiPolygon(polygons)
    if not outline.is_valid:
        if _crosses_too_often(outline):
            raise InvalidInputError(
                f"{what} crosses itself more than {_MAX_CROSSINGS:,} times, which no drawn outline does; draw it "
                "again, or simplify it in QuPath with Objects > Annotations > Simplify shape"
            )
        # The other method, "linework", takes 15 s for 200 points at random.
        outline, repaired = shapely.make_valid(outline, method="structure", keep_collapsed=False), True
    return Annotation(
        outline=shapely.MultiPolygon(polygons_of(outline)),
        class_name=class_name,
        name=name,
        object_type=object_type,
        is_region=(class_name or name or "").strip().casefold() in _REGION_NAMES,
        repaired=repaired,
    )


def _crosses_too_often(outline: shapely.MultiPolygon) -> bool:
    """Return whether so many pairs of edges have boxes that meet, beyond neighbours, that repairing is hopeless."""
    points, ring = shapely.get_coordinates(shapely.get_rings(outline.geoms), return_index=True)
    edges = shapely.linestrings(np.stack([points[:-1], points[1:]], axis=1)[ring[:-1] == ring[1:]])
    tree, n_pairs = shapely.STRtree(edges), 0
    for start in range(0, len(edges), 1000):
        part = edges[start : start + 1000]
        n_pairs += tree.query(part).shape[1] - 3 * len(part)  # itself and its two neighbours
        if n_pairs > 2 * _MAX_CROSSINGS:  # each is found from both sides
            return True
    return False


def ellipse_ring(points: np.ndarray) -> np.ndarray:
    """Return the ellipse in the box around some points as a ring of 256 points: 0.01 % of its area is lost."""
    low, high = points.min(axis=0), points.max(axis=0)
    angle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    return np.asarray((low + high) / 2 + (high - low) / 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1))
