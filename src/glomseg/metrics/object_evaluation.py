"""From the masks of tiles to the figures of objects by tile, group and overall, with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from glomseg.metrics.boundary import TOLERANCE, BoundaryCounts, boundary_figures, count_boundaries
from glomseg.metrics.doubt import DOUBTS, DoubtFigure, object_doubt, separation
from glomseg.metrics.figures import Figure
from glomseg.metrics.intervals import Interval, group_intervals
from glomseg.metrics.matching import Matching, label_objects, match_objects
from glomseg.metrics.objects import ObjectCounts, count_objects, object_figures, size_limits_px
from glomseg.types import IGNORE_INDEX


@dataclass(frozen=True, slots=True, kw_only=True)
class TileObjects:
    """The objects of one class in one tile.

    Attributes
    ----------
    matching
        Which predicted object is which true one.
    boundary
        How their outlines agree.
    doubt
        How unsure the model was of each predicted object, (n_predictions,) by the names in `DOUBTS`; empty where only
        masks are known.
    """

    matching: Matching
    boundary: BoundaryCounts
    doubt: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def is_invented(self) -> NDArray[np.bool_]:
        """(n_predictions,) bool, whether the predicted object is no true one."""
        invented = np.ones(len(self.matching.predictions), np.bool_)
        invented[self.matching.pairs[:, 1]] = False
        return invented


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
    doubt
        For each doubt that all tiles have, how well it tells invented objects from found ones.
    """

    size_limits_px: tuple[float, float]
    tiles: tuple[FoundCounts, ...]
    groups: dict[str, FoundCounts]
    counts: FoundCounts
    figures: dict[str, float]
    intervals: dict[str, Interval]
    doubt: dict[str, DoubtFigure]


def measure_objects(
    *,
    target: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    n_classes: int,
    mpp: float | None = None,
    min_area_px: int = 0,
    tolerance: float = TOLERANCE,
    doubt: Mapping[str, NDArray[np.float32]] | None = None,
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
    doubt
        Maps as from `doubt_maps`, of which every predicted object gets its mean.
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
        about = object_doubt(doubt or {}, matching.predictions, labels=predicted, ignored=ignored)
        found.append(TileObjects(matching=matching, boundary=boundary, doubt=about))
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
        doubt=_doubt(tiles, groups),
    )


def _doubt(tiles: Sequence[TileObjects], groups: Sequence[str]) -> dict[str, DoubtFigure]:
    invented = np.concatenate([tile.is_invented for tile in tiles])
    of_object = [group for group, tile in zip(groups, tiles, strict=True) for _ in tile.is_invented]
    return {
        name: separation(np.concatenate([tile.doubt[name] for tile in tiles]), invented, of_object)
        for name in DOUBTS
        if all(name in tile.doubt for tile in tiles)
    }


def found_figures(vectors: NDArray[np.float64]) -> dict[str, Figure]:
    """Return every figure of objects and of outlines of every sum of counts in a stack (..., K)."""
    n_boundary = len(BoundaryCounts().vector)
    return object_figures(vectors[..., :-n_boundary]) | boundary_figures(vectors[..., -n_boundary:])


def figures_of(counts: FoundCounts) -> dict[str, float]:
    """Return every figure of these counts by name; NaN where it is undefined."""
    return {name: float(figure.value) for name, figure in found_figures(counts.vector).items()}
