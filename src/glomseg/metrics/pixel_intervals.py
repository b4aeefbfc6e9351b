"""The interval of every pixel figure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.metrics.figures import Figure
from glomseg.metrics.intervals import Interval, group_intervals
from glomseg.metrics.pixels import PixelCounts, pixel_ratios


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelIntervals:
    """One interval for each figure of `PixelMetrics`, under the same names."""

    pixel_accuracy: Interval
    mean_iou: Interval
    mean_accuracy: Interval
    mean_dice: Interval
    iou: tuple[Interval, ...]
    accuracy: tuple[Interval, ...]
    dice: tuple[Interval, ...]
    precision: tuple[Interval, ...]
    recall: tuple[Interval, ...]


def pixel_intervals(groups: Sequence[PixelCounts], *, level: float = 0.95) -> PixelIntervals:
    """Return how far every pixel figure could move if other groups had been drawn, as `group_intervals` has it.

    Parameters
    ----------
    groups
        The counts of each group (slide, case or patient).
    level
        Between 0 and 1, both excluded.

    Raises
    ------
    InvalidInputError
        If there is no group, the class counts differ, or `level` makes no sense.
    """
    n_classes = {counts.n_classes for counts in groups}
    if len(n_classes) > 1:
        raise InvalidInputError(
            f"the groups were counted with {sorted(n_classes)} classes; all need the same class list"
        )
    vectors = np.array([counts.matrix.ravel() for counts in groups], np.float64)
    found = group_intervals(vectors, pixel_figures, level=level)

    def by_class(name: str) -> tuple[Interval, ...]:
        return tuple(found[f"{name} {k}"] for k in range(*n_classes))

    return PixelIntervals(
        pixel_accuracy=found["pixel_accuracy"],
        mean_iou=found["mean_iou"],
        mean_accuracy=found["mean_accuracy"],
        mean_dice=found["mean_dice"],
        iou=by_class("iou"),
        accuracy=by_class("recall"),
        dice=by_class("dice"),
        precision=by_class("precision"),
        recall=by_class("recall"),
    )


def pixel_figures(vectors: NDArray[np.float64]) -> dict[str, Figure]:
    """Return every pixel figure of every confusion matrix in a stack.

    Parameters
    ----------
    vectors
        (..., C * C) counts, the rows of the matrix one after another.

    Returns
    -------
    dict
        ``pixel_accuracy``, ``mean_iou``, ``mean_accuracy``, ``mean_dice``; and of each class k ``iou k``, ``recall k``,
        ``dice k`` and ``precision k``.
    """
    n_classes = round(vectors.shape[-1] ** 0.5)
    matrices = vectors.reshape(*vectors.shape[:-1], n_classes, n_classes)
    ratios = pixel_ratios(matrices)
    found = np.diagonal(matrices, axis1=-2, axis2=-1)
    true, predicted = matrices.sum(axis=-1), matrices.sum(axis=-2)
    weights = {
        "iou": true + predicted - found,
        "recall": true,
        "dice": (true + predicted) / 2,
        "precision": predicted,
    }
    return {
        name: Figure(value=getattr(ratios, name), weight=matrices.sum(axis=(-2, -1)), scale="fraction")
        for name in ("pixel_accuracy", "mean_iou", "mean_accuracy", "mean_dice")
    } | {
        f"{name} {k}": Figure(value=getattr(ratios, name)[..., k], weight=weight[..., k], scale="fraction")
        for name, weight in weights.items()
        for k in range(n_classes)
    }
