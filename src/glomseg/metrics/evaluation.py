"""From the counts of tiles to the figures of tiles, groups and the whole, with their intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.metrics.calibration import CalibrationCounts
from glomseg.metrics.calibration_evaluation import CalibrationEvaluation, evaluate_calibration
from glomseg.metrics.doubt import DOUBTS, DoubtFigure, rank_correlation
from glomseg.metrics.intervals import Interval
from glomseg.metrics.object_evaluation import ObjectEvaluation, TileObjects, evaluate_objects
from glomseg.metrics.pixel_intervals import PixelIntervals, pixel_intervals
from glomseg.metrics.pixels import PixelCounts, PixelMetrics, pixel_metrics
from glomseg.types import Classes


@dataclass(frozen=True, slots=True, kw_only=True)
class TileCounts:
    """What was counted in one tile.

    Attributes
    ----------
    name, group
        The tile's, as in its `Sample`.
    counts
        Its pixels.
    objects
        Its objects of each class but the background, as `measure_objects` returns them; empty where only pixels were
        counted.
    calibration
        What its probabilities said and what came true; None where only masks are known.
    doubt
        How unsure the model was of it, by the names in `DOUBTS`.
    """

    name: str
    group: str
    counts: PixelCounts
    objects: tuple[TileObjects, ...] = ()
    calibration: CalibrationCounts | None = None
    doubt: Mapping[str, float] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """Share of the pixels that are wrong, NaN where all are ignored."""
        return 1 - pixel_metrics(self.counts).pixel_accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How well a model did on some tiles.

    Attributes
    ----------
    classes
        What the figures' positions mean.
    tiles
        In the order of evaluation.
    groups
        Counts of each group (slide, case), by name.
    counts, metrics
        Of all pixels together.
    intervals
        Of `metrics`, from the groups.
    objects
        The objects of each class but the background, in order; empty where the tiles have none.
    calibration
        How far the probabilities can be taken at their word; None where tiles have none.
    doubt
        For each doubt that all tiles have, the rank correlation with the share of wrong pixels, over tiles.
    """

    classes: Classes
    tiles: tuple[TileCounts, ...]
    groups: dict[str, PixelCounts]
    counts: PixelCounts
    metrics: PixelMetrics
    intervals: PixelIntervals
    objects: tuple[ObjectEvaluation, ...]
    calibration: CalibrationEvaluation | None
    doubt: dict[str, DoubtFigure]


def evaluate_counts(tiles: Sequence[TileCounts], classes: Classes) -> Evaluation:
    """Add up the tiles' counts by group and overall, and compute every figure from the sums.

    Parameters
    ----------
    tiles
        At least one.
    classes
        As many as the counts have.

    Raises
    ------
    InvalidInputError
        If there is no tile, or the counts are of another number of classes.
    ValueError
        If objects were measured in some of the tiles only.
    """
    if not tiles:
        raise InvalidInputError("there is no tile to evaluate")
    zero = PixelCounts.zero(len(classes))
    groups: dict[str, PixelCounts] = {}
    for tile in tiles:
        groups[tile.group] = groups.get(tile.group, zero) + tile.counts
    total = sum(groups.values(), zero)
    return Evaluation(
        classes=classes,
        tiles=tuple(tiles),
        groups=groups,
        counts=total,
        metrics=pixel_metrics(total),
        intervals=pixel_intervals(list(groups.values())),
        objects=tuple(
            evaluate_objects(of_class, [tile.group for tile in tiles])
            for of_class in zip(*(tile.objects for tile in tiles), strict=True)
        ),
        calibration=_calibration(tiles),
        doubt={
            name: rank_correlation(
                [tile.doubt[name] for tile in tiles], [tile.error for tile in tiles], [tile.group for tile in tiles]
            )
            for name in DOUBTS
            if all(name in tile.doubt for tile in tiles)
        },
    )


def _calibration(tiles: Sequence[TileCounts]) -> CalibrationEvaluation | None:
    groups: dict[str, CalibrationCounts] = {}
    for tile in tiles:
        if tile.calibration is None:
            return None
        groups[tile.group] = groups.get(tile.group, CalibrationCounts.zero()) + tile.calibration
    return evaluate_calibration(groups)


def named_figures(metrics: PixelMetrics, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the figures by name, those of each class as a mapping from class name to value."""

    def by_class(values: Sequence[float]) -> dict[str, float]:
        return dict(zip(class_names, values, strict=True))

    return {
        "pixel_accuracy": metrics.pixel_accuracy,
        "mean_iou": metrics.mean_iou,
        "mean_accuracy": metrics.mean_accuracy,
        "mean_dice": metrics.mean_dice,
        "iou": by_class(metrics.iou),
        "accuracy": by_class(metrics.accuracy),
        "dice": by_class(metrics.dice),
        "precision": by_class(metrics.precision),
        "recall": by_class(metrics.recall),
    }


def named_intervals(intervals: PixelIntervals, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the intervals in the shape of `named_figures`, each as [low, high], or None where there is none."""

    def by_class(values: Sequence[Interval]) -> dict[str, list[float] | None]:
        return {name: bounds(value) for name, value in zip(class_names, values, strict=True)}

    return {
        "pixel_accuracy": bounds(intervals.pixel_accuracy),
        "mean_iou": bounds(intervals.mean_iou),
        "mean_accuracy": bounds(intervals.mean_accuracy),
        "mean_dice": bounds(intervals.mean_dice),
        "iou": by_class(intervals.iou),
        "accuracy": by_class(intervals.accuracy),
        "dice": by_class(intervals.dice),
        "precision": by_class(intervals.precision),
        "recall": by_class(intervals.recall),
    }


def bounds(interval: Interval) -> list[float] | None:
    """Return [low, high], or None where there is no interval."""
    return None if math.isnan(interval.low) else [interval.low, interval.high]
