"""How two sets of predictions of the same tiles differ: paired by group, with an interval and a permutation test."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.metrics.figures import Figure
from glomseg.metrics.intervals import Figures, Interval, group_intervals

MAX_EXACT_GROUPS = 14
"""Up to so many groups every way to swap is tried: 16,384 of them."""

N_RANDOM_SWAPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a figure of B differs from that of A.

    Attributes
    ----------
    a, b
        The figure of all groups together; NaN where it is undefined.
    difference
        b - a.
    interval
        Of the difference, from the groups.
    p_value
        How often a difference as large, up or down, comes about if in every group it is left to chance which of the two
        predictions is called A. NaN where the difference is undefined.
    smallest_p
        What `p_value` could be at best with the groups in which A and B differ: 2 of 2**n.
    groups
        For each group its figures (a, b).
    """

    a: float
    b: float
    difference: float
    interval: Interval
    p_value: float
    smallest_p: float
    groups: tuple[tuple[float, float], ...]


def compare_counts(
    a: NDArray[np.float64], b: NDArray[np.float64], *, figures: Figures, level: float = 0.95, seed: int = 0
) -> dict[str, Difference]:
    """Return for every figure how B differs from A.

    Both have seen the same tiles, so what makes a slide hard is in both, and cancels in the difference: it is known far
    better than either figure.

    Parameters
    ----------
    a, b
        (G, K) counts of each group, in the same order.
    figures
        Computes figures from such counts, or stacks of them.
    level
        Of the intervals.
    seed
        Of the random swaps, where there are more than `MAX_EXACT_GROUPS` groups.

    Raises
    ------
    InvalidInputError
        If the two are not of the same groups, or there is none.

    Conventions
    -----------
    The interval is that of `group_intervals` on the difference itself. The test swaps the counts of A and B group by
    group, adds them up and computes the difference anew; with up to 14 groups in every possible way, so the p-value is
    exact, else in 10,000 random ways, of which the one that was seen counts as one. Five groups cannot give a p-value
    below 2 / 32 = 0.06, however much the two differ.

    References
    ----------
    Fisher, "The Design of Experiments", 1935. Phipson and Smyth, "Permutation p-values should never be zero", 2010.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise InvalidInputError(f"counts of the shapes {a.shape} and {b.shape} are not of the same groups")
    intervals = group_intervals(np.concatenate([a, b], axis=1), _paired(figures), level=level)
    swaps, n_more = _swaps(len(a), seed=seed)
    moved = swaps @ (b - a)
    first, second = figures(a.sum(axis=0) + moved), figures(b.sum(axis=0) - moved)
    totals, own = (figures(a.sum(axis=0)), figures(b.sum(axis=0))), (figures(a), figures(b))
    found = {}
    for name, interval in intervals.items():
        one, other = (float(total[name].value) for total in totals)
        values = [side[name].value for side in own]
        n_differ = int((~((values[0] == values[1]) | np.isnan(values[0]) & np.isnan(values[1]))).sum())
        drawn = np.abs(second[name].value - first[name].value)  # NaN, a swap without the figure, is no larger one
        n_as_large = int((drawn >= abs(other - one) - 1e-12).sum()) + n_more
        p_value = np.nan if np.isnan(other - one) else n_as_large / (len(swaps) + n_more)
        found[name] = Difference(
            a=one,
            b=other,
            difference=other - one,
            interval=interval,
            p_value=p_value,
            smallest_p=max(min(1.0, 2.0 ** (1 - n_differ)), n_more / (len(swaps) + n_more)),
            groups=tuple(zip(values[0].tolist(), values[1].tolist(), strict=True)),
        )
    return found


def _paired(figures: Figures) -> Figures:
    """Return what computes the differences from counts of A and B side by side (..., 2 K)."""

    def differences(vectors: NDArray[np.float64]) -> Mapping[str, Figure]:
        n = vectors.shape[-1] // 2
        one, other = figures(vectors[..., :n]), figures(vectors[..., n:])
        return {
            name: Figure(
                value=other[name].value - one[name].value,
                weight=other[name].weight + one[name].weight,
                scale="difference",
            )
            for name in one
        }

    return differences


def _swaps(n_groups: int, *, seed: int) -> tuple[NDArray[np.float64], int]:
    """Return (R, G) float64, 1 where a group is swapped, and how often what was seen is to be counted beside these."""
    if n_groups <= MAX_EXACT_GROUPS:
        ways = np.arange(2**n_groups)[:, None]
        return ((ways >> np.arange(n_groups)) & 1).astype(np.float64), 0
    generator = np.random.default_rng(seed)
    return generator.integers(0, 2, (N_RANDOM_SWAPS, n_groups)).astype(np.float64), 1
