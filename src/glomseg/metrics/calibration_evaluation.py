"""From the counts of groups to the figures of calibration, with their intervals and reliability diagrams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.metrics.calibration import (
    N_FIGURE_BINS,
    CalibrationCounts,
    Reliability,
    calibration_figures,
    figure_bins,
)
from glomseg.metrics.figures import Figure, fraction, ratio
from glomseg.metrics.intervals import Interval, group_intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """One dot of a reliability diagram.

    Attributes
    ----------
    n
        Pixels in it.
    mean_probability, share_true
        What was said of them and what came true; NaN where there is none.
    interval
        Of `share_true`, from the groups.
    """

    n: int
    mean_probability: float
    share_true: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationEvaluation:
    """How far the probabilities of a model can be taken at their word.

    Attributes
    ----------
    groups
        Counts of each group, by name.
    counts
        Of all pixels together.
    figures, intervals
        Of `counts`, by the names that `calibration_figures` gives; the intervals from the groups. The maximum errors
        have none: the largest of several is about twice too large with few slides, and intervals missed it by that.
    top_label, foreground
        The reliability diagrams in `N_FIGURE_BINS` bins.
    """

    groups: dict[str, CalibrationCounts]
    counts: CalibrationCounts
    figures: dict[str, float]
    intervals: dict[str, Interval]
    top_label: tuple[ReliabilityBin, ...]
    foreground: tuple[ReliabilityBin, ...]


def evaluate_calibration(groups: Mapping[str, CalibrationCounts]) -> CalibrationEvaluation:
    """Add up the counts of the groups (slides, cases), at least one, and compute every figure from the sums."""
    total = sum(groups.values(), CalibrationCounts.zero())
    return CalibrationEvaluation(
        groups=dict(groups),
        counts=total,
        figures={name: float(figure.value) for name, figure in calibration_figures(total.vector).items()},
        intervals=group_intervals(np.stack([counts.vector for counts in groups.values()]), _smooth_figures),
        top_label=_diagram([counts.top_label for counts in groups.values()]),
        foreground=_diagram([counts.foreground for counts in groups.values()]),
    )


def _smooth_figures(vectors: NDArray[np.float64]) -> dict[str, Figure]:
    return {name: figure for name, figure in calibration_figures(vectors).items() if not name.endswith("mce")}


def _diagram(groups: Sequence[Reliability]) -> tuple[ReliabilityBin, ...]:
    def shares(vectors: NDArray[np.float64]) -> dict[str, Figure]:
        n, n_true, _ = figure_bins(vectors)
        return {str(index): fraction(n_true[..., index], n[..., index]) for index in range(N_FIGURE_BINS)}

    vectors = np.stack([group.vector for group in groups])
    intervals = group_intervals(vectors, shares)
    n, n_true, probability = figure_bins(vectors.sum(axis=0))
    return tuple(
        ReliabilityBin(n=int(a), mean_probability=float(b), share_true=float(c), interval=intervals[str(index)])
        for index, (a, b, c) in enumerate(zip(n, ratio(probability, n), ratio(n_true, n), strict=True))
    )
