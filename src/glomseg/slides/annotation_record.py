"""One annotation, and how its outline is made a valid one."""

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

_MAX_REPAIRED_POINTS = 200_000
"""Repairing a self-crossing outline takes time that grows with the square of its points."""


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
        If a coordinate is not finite or too large, or the outline is too long to be repaired.
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
        n_points = int(shapely.get_num_coordinates(outline))
        if n_points > _MAX_REPAIRED_POINTS:
            raise InvalidInputError(
                f"{what} crosses itself and has {n_points:,} points, more than the {_MAX_REPAIRED_POINTS:,} that can "
                "be repaired; simplify it in QuPath with Objects > Annotations > Simplify shape"
            )
        outline, repaired = shapely.make_valid(outline), True
    return Annotation(
        outline=shapely.MultiPolygon(polygons_of(outline)),
        class_name=class_name,
        name=name,
        object_type=object_type,
        is_region=(class_name or name or "").strip().casefold() in _REGION_NAMES,
        repaired=repaired,
    )


def ellipse_ring(points: np.ndarray) -> np.ndarray:
    """Return the ellipse in the box around some points as a ring of 256 points: 0.01 % of its area is lost."""
    low, high = points.min(axis=0), points.max(axis=0)
    angle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    return np.asarray((low + high) / 2 + (high - low) / 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1))
