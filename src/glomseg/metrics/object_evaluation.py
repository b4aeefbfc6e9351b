"""From the masks of tiles to the figures of objects by tile, group and overall, with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from glomseg.metrics.boundary import TOLERANCE, BoundaryCounts, boundary_figures, count_boundaries
from glomseg.metrics.figures import Figure
from glomseg.metrics.intervals import Interval, group_intervals
from glomseg.metrics.matching import Matching, label_objects, match_objects
from glomseg.metrics.objects import ObjectCounts, count_objects, object_figures, size_limits_px
from glomseg.types import IGNORE_INDEX


@dataclass(frozen=True, slots=True, kw_only=True)
class TileObjects:
    """The objects of one class in one tile, matched, and how their outlines agree."""

    matching: Matching
    boundary: BoundaryCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCounts:
    """The counts of objects and of outlines of one class; `+` adds both."""

    objects: ObjectCounts = field(default_factory=ObjectCounts)
    boundary: BoundaryCounts = field(default_factory=BoundaryCounts)

    @property
    def vector(self) -> NDArray[np.float64]:
        """(K,) float64: what `found_figures` takes."""
        return np.concatenate([self.objects.vector, self.boundary.vector])

    def __add__(self, other: "FoundCounts") -> "FoundCounts":
        if not isinstance(other, FoundCounts):
            return NotImplemented
        return FoundCounts(objects=self.objects + other.objects, boundary=self.boundary + other.boundary)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvaluation:
    """How well the objects of one class were found.

    Attributes
    ----------
    size_limits_px
        The areas where "small" and "middle" end, in pixels; NaN where no true object lies within a tile.
    tiles
        Counts of each tile, in the order of evaluation.
    groups
        Counts of each group, by name.
    counts
        Of all tiles together.
    figures
        Of `counts`, by the names that `object_figures` and `boundary_figures` give.
    intervals
        Of `figures`, under the same names, from the groups.
    """

    size_limits_px: tuple[float, float]
    tiles: tuple[FoundCounts, ...]
    groups: dict[str, FoundCounts]
    counts: FoundCounts
    figures: dict[str, float]
    intervals: dict[str, Interval]


def measure_objects(
    *,
    target: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    n_classes: int,
    mpp: float | None = None,
    min_area_px: int = 0,
    tolerance: float = TOLERANCE,
) -> tuple[TileObjects, ...]:
    """Return the matched objects of each class but the background in one tile.

    Parameters
    ----------
    target, prediction
        (H, W) uint8 class index; 255 in the target is ignored.
    n_classes
        C, background included.
    mpp
        Micrometres per pixel, or None where they are not known.
    min_area_px
        Smaller predicted objects are left out.
    tolerance
        Of outlines, as in `count_boundaries`.
    """
    ignored = target == IGNORE_INDEX
    found = []
    for class_index in range(1, n_classes):
        true = label_objects(target, class_index=class_index)
        predicted = label_objects(prediction, class_index=class_index, min_area_px=min_area_px)
        matching = match_objects(target=true, prediction=predicted, ignored=ignored)
        boundary = count_boundaries(
            matching, target=true, prediction=predicted, ignored=ignored, mpp=mpp, tolerance=tolerance
        )
        found.append(TileObjects(matching=matching, boundary=boundary))
    return tuple(found)


def evaluate_objects(tiles: Sequence[TileObjects], groups: Sequence[str]) -> ObjectEvaluation:
    """Add up the tiles' counts of one class by group and overall, and compute every figure from the sums.

    Parameters
    ----------
    tiles
        The objects of each tile; at least one.
    groups
        The group of each tile.
    """
    limits = size_limits_px(tile.matching for tile in tiles)
    counts = tuple(
        FoundCounts(objects=count_objects(tile.matching, size_limits_px=limits), boundary=tile.boundary)
        for tile in tiles
    )
    by_group: dict[str, FoundCounts] = {}
    for group, tile in zip(groups, counts, strict=True):
        by_group[group] = by_group.get(group, FoundCounts()) + tile
    total = sum(counts, FoundCounts())
    return ObjectEvaluation(
        size_limits_px=limits,
        tiles=counts,
        groups=by_group,
        counts=total,
        figures=figures_of(total),
        intervals=group_intervals(np.stack([group.vector for group in by_group.values()]), found_figures),
    )


def found_figures(vectors: NDArray[np.float64]) -> dict[str, Figure]:
    """Return every figure of objects and of outlines of every sum of counts in a stack (..., K)."""
    n_boundary = len(BoundaryCounts().vector)
    return object_figures(vectors[..., :-n_boundary]) | boundary_figures(vectors[..., -n_boundary:])


def figures_of(counts: FoundCounts) -> dict[str, float]:
    """Return every figure of these counts by name; NaN where it is undefined."""
    return {name: float(figure.value) for name, figure in found_figures(counts.vector).items()}
