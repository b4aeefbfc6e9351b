"""How unsure a model is of tiles and objects, and whether it is unsure where it is wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from glomseg.metrics.intervals import Interval, jackknife_interval
from glomseg.metrics.matching import Objects

DOUBTS = ("expected_error", "entropy", "disagreement")
"""Kinds of doubt, each from 0 (sure) to 1; `doubt_maps` says what they are."""

Statistic = Callable[[NDArray[np.bool_]], float]
"""From which items count, (n,) bool, to a number from 0 to 1; NaN where it is undefined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtFigure:
    """Whether doubt tells right from wrong.

    Attributes
    ----------
    value
        The figure; NaN where it is undefined.
    interval
        From the groups.
    n
        Tiles or objects that it rests on.
    """

    value: float
    interval: Interval
    n: int


def doubt_maps(
    probabilities: NDArray[np.float32], mask: NDArray[np.uint8], *, disagreement: NDArray[np.float32] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Return how unsure a model is of every pixel, as (H, W) float32 maps from 0 to 1 by the names in `DOUBTS`.

    ``expected_error``: one minus the probability of the class that was chosen; its mean over a tile is the share of
    pixels that the model itself expects to have wrong. ``entropy``: of the probabilities, over the logarithm of the
    number of classes; 1 where all are alike. ``disagreement``: as given, where it is.

    Parameters
    ----------
    probabilities
        (C, H, W) float32, each pixel's sum 1.
    mask
        (H, W) uint8, the chosen class.
    disagreement
        (H, W) float32, as `Prediction` has it.
    """
    expected = np.ones(mask.shape, np.float32)
    entropy = np.zeros(mask.shape, np.float32)
    # Class by class, since an index of eight bytes a pixel would be larger than the probabilities.
    for index, probability in enumerate(probabilities):
        np.subtract(1, probability, out=expected, where=mask == index)
        entropy -= probability * np.log(np.maximum(probability, np.finfo(np.float32).tiny))
    maps = {"expected_error": expected, "entropy": entropy / np.float32(np.log(len(probabilities)))}
    return maps if disagreement is None else {**maps, "disagreement": disagreement}


def tile_doubt(maps: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
    """Return the mean of each map: the doubt about a tile. Ignored pixels count too: doubt asks for no truth."""
    return {name: float(values.mean(dtype=np.float64)) for name, values in maps.items()}


def object_doubt(
    maps: Mapping[str, NDArray[np.float32]],
    objects: Objects,
    *,
    labels: NDArray[np.int32],
    ignored: NDArray[np.bool_],
) -> dict[str, NDArray[np.float64]]:
    """Return the mean of each map over every object's pixels that are not ignored, (n,) float64.

    Parameters
    ----------
    maps
        As from `doubt_maps`.
    objects
        The objects.
    labels
        (H, W), the map that `objects` has its labels from.
    ignored
        (H, W), pixels that count in no object.
    """
    inside = (labels > 0) & ~ignored
    numbers = labels[inside]
    n_labels = int(objects.label.max(initial=0)) + 1
    return {
        name: np.bincount(numbers, weights=values[inside], minlength=n_labels)[objects.label] / objects.area_px
        for name, values in maps.items()
    }


def rank_correlation(doubts: ArrayLike, errors: ArrayLike, groups: Sequence[str]) -> DoubtFigure:
    """Return whether what is doubted more is more wrong: Spearman's rank correlation, -1 to 1, of tiles.

    NaN with fewer than three tiles, or where all doubts or all errors are equal. Tiles whose doubt or error is NaN
    are left out.

    Parameters
    ----------
    doubts, errors, groups
        Of each tile.

    Conventions
    -----------
    Ties have their mean rank. The interval is that of Fisher's z from leaving out one group after another.
    """
    doubt, error = np.array(doubts, np.float64), np.array(errors, np.float64)
    known = np.isfinite(doubt) & np.isfinite(error)
    doubt, error = doubt[known], error[known]

    def half_correlation(chosen: NDArray[np.bool_]) -> float:
        """Spearman's r as (1 + r) / 2, whose log-odds are twice Fisher's z."""
        ranks = rankdata(doubt[chosen]), rankdata(error[chosen])
        if chosen.sum() < 3 or any(np.ptp(rank) == 0 for rank in ranks):
            return np.nan
        return float(np.clip((1 + np.corrcoef(*ranks)[0, 1]) / 2, 0, 1))

    found = _figure(half_correlation, np.array(groups)[known])
    interval = replace(found.interval, low=2 * found.interval.low - 1, high=2 * found.interval.high - 1)
    return replace(found, value=2 * found.value - 1, interval=interval)


def separation(doubts: ArrayLike, is_wrong: ArrayLike, groups: Sequence[str]) -> DoubtFigure:
    """Return how well doubt tells wrong objects from right ones: the area under the ROC curve.

    That is the probability that of a wrong and a right object, each drawn at random, the wrong one is doubted more;
    0.5 is a coin. NaN unless there are both.

    Parameters
    ----------
    doubts, is_wrong, groups
        Of each object.

    Conventions
    -----------
    Equal doubts count half, as in the statistic of Mann and Whitney.
    """
    doubt, wrong = np.array(doubts, np.float64), np.array(is_wrong, np.bool_)

    def area(chosen: NDArray[np.bool_]) -> float:
        positive = wrong[chosen]
        n_wrong, n_right = int(positive.sum()), int((~positive).sum())
        if not n_wrong or not n_right:
            return np.nan
        rank_sum = float(rankdata(doubt[chosen])[positive].sum())
        return (rank_sum - n_wrong * (n_wrong + 1) / 2) / (n_wrong * n_right)

    return _figure(area, np.array(groups))


def _figure(statistic: Statistic, groups: NDArray[np.str_]) -> DoubtFigure:
    """Return a statistic of all items and its interval from leaving out one group after another."""
    names, sizes = np.unique(groups, return_counts=True)
    value = statistic(np.ones(len(groups), np.bool_))
    left_out = np.array([statistic(groups != name) for name in names], np.float64)
    interval = jackknife_interval(value, weights=sizes.astype(np.float64), left_out=left_out, scale="fraction")
    return DoubtFigure(value=value, interval=interval, n=len(groups))
