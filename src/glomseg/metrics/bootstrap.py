"""How far a figure could move with other slides: percentile bootstrap over groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.metrics.pixels import PixelCounts, PixelRatios, pixel_ratios

MIN_GROUPS = 6
"""With fewer groups than this an interval is computed but not to be trusted."""

_MAX_DRAWN_AT_ONCE = 2**22  # weights held in memory: 32 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a figure would lie in `level` of repetitions with other groups of the same kind.

    Attributes
    ----------
    low, high
        Bounds, as fractions like the figure itself; NaN where the figure is undefined or `n_groups` is below 2:
        one group, drawn again and again, says nothing about others.
    level
        Confidence level, for example 0.95.
    n_groups
        Number of groups that bear on the figure: those in which it is defined by itself. A slide
        without any glomerulus pixel in truth and prediction does not bear on the glomerulus IoU.
    trustworthy
        False with fewer than `MIN_GROUPS` groups: such an interval is far too narrow.
    """

    low: float
    high: float
    level: float
    n_groups: int
    trustworthy: bool


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


def bootstrap_interval(
    groups: Sequence[PixelCounts], *, level: float = 0.95, n_replicates: int = 2000, seed: int = 0
) -> PixelIntervals:
    """Return how far every figure could move if other groups had been drawn.

    As many groups as there are get drawn with replacement, their counts are added, and the figures of
    the sum computed; the interval is what the middle `level` of all such replicates span (Efron's
    percentile interval). The group (slide, case or patient) is drawn, not the tile: tiles of one
    slide resemble each other, and drawing them singly gives intervals that are far too narrow.

    Parameters
    ----------
    groups
        The counts of each group.
    level
        Between 0 and 1, both excluded.
    n_replicates
        How often groups are drawn; 2,000 settle each bound to about 1.5 % of the interval's width.
    seed
        The same seed gives the same intervals.

    Raises
    ------
    InvalidInputError
        If there is no group, the class counts differ, or `level` or `n_replicates` make no sense.

    Conventions
    -----------
    A replicate in which a figure is undefined (its class was not drawn) is left out of that figure's
    interval. Percentile intervals of few groups cover less than they promise: simulated slides of very
    unlike quality gave nominal 95 % intervals that held the true IoU in 74 % of cases with 4 groups,
    83 % with 6 to 10 and 90 % with 25. Read them as a lower bound on the uncertainty.
    """
    if not 0 < level < 1:
        raise InvalidInputError(f"level is {level}; a confidence level lies between 0 and 1, for example 0.95")
    if n_replicates < 1:
        raise InvalidInputError(f"n_replicates is {n_replicates}; at least one replicate is needed, 2000 is usual")
    if not groups:
        raise InvalidInputError("there is no group to draw from; an interval needs the counts of at least one")
    if len({counts.n_classes for counts in groups}) > 1:
        raise InvalidInputError(
            f"the groups were counted with {sorted({counts.n_classes for counts in groups})} classes; "
            "all need the same class list"
        )
    stack = np.stack([counts.matrix for counts in groups])  # (G, C, C)
    replicates = pixel_ratios(_resample(stack, n_replicates=n_replicates, seed=seed))
    return _intervals(replicates, pixel_ratios(stack), level=level)


def _resample(stack: NDArray[np.int64], *, n_replicates: int, seed: int) -> NDArray[np.float64]:
    """Return (R, C, C) float64: the summed counts of each draw of G groups from G."""
    n_groups, n_classes = len(stack), stack.shape[1]
    generator = np.random.default_rng(seed)
    # float64 takes the fast matrix product and is exact: no data set has 2**53 pixels.
    flat = stack.reshape(n_groups, -1).astype(np.float64)
    sums = np.empty((n_replicates, n_classes * n_classes))
    n_at_once = max(1, _MAX_DRAWN_AT_ONCE // n_groups)
    for start in range(0, n_replicates, n_at_once):
        n = min(n_at_once, n_replicates - start)
        # How often each group is drawn: rows are drawn one after another, so n_at_once changes no figure.
        weights = generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n)
        sums[start : start + n] = weights.astype(np.float64) @ flat
    return sums.reshape(n_replicates, n_classes, n_classes)


def _intervals(replicates: PixelRatios, groups: PixelRatios, *, level: float) -> PixelIntervals:
    def one(drawn: NDArray[np.float64], own: NDArray[np.float64]) -> Interval:
        return _interval(drawn, n_groups=int((~np.isnan(own)).sum()), level=level)

    def each(drawn: NDArray[np.float64], own: NDArray[np.float64]) -> tuple[Interval, ...]:
        return tuple(one(drawn[:, k], own[:, k]) for k in range(drawn.shape[1]))

    recall = each(replicates.recall, groups.recall)
    return PixelIntervals(
        pixel_accuracy=one(replicates.pixel_accuracy, groups.pixel_accuracy),
        mean_iou=one(replicates.mean_iou, groups.mean_iou),
        mean_accuracy=one(replicates.mean_accuracy, groups.mean_accuracy),
        mean_dice=one(replicates.mean_dice, groups.mean_dice),
        iou=each(replicates.iou, groups.iou),
        accuracy=recall,
        dice=each(replicates.dice, groups.dice),
        precision=each(replicates.precision, groups.precision),
        recall=recall,
    )


def _interval(replicates: NDArray[np.float64], *, n_groups: int, level: float) -> Interval:
    defined = replicates[~np.isnan(replicates)]
    low = high = np.nan
    if defined.size and n_groups > 1:
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        low=float(low), high=float(high), level=level, n_groups=n_groups, trustworthy=n_groups >= MIN_GROUPS
    )
