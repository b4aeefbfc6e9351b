"""Dividing things of unequal size into parts of wanted shares."""

import numpy as np
from numpy.typing import NDArray

_N_TRIALS = 256
_MAX_TABLE = 2**18  # trials times units, so that thousands of units take a fraction of a second


def balanced_parts(
    sizes: NDArray[np.float64], shares: NDArray[np.float64], *, rng: np.random.Generator
) -> list[list[int]]:
    """Return the units of each part, chosen so that every part comes near its share of every kind of size.

    Many divisions are made and the one with the smallest error is taken. Each handles the units in an
    order of its own, large ones roughly first, and gives each unit to the part where the error then is
    smallest. No part stays empty.

    Parameters
    ----------
    sizes
        (N, K) float64: of each unit, K kinds of size (tiles, foreground), each kind adding up to 1 or 0.
    shares
        (P,) float64 wanted share of each part, above 0 and adding up to 1; P is at most N.
    rng
        Draws the orders.

    Returns
    -------
    For each part the positions of its units, in order.

    Conventions
    -----------
    The error is chi-square's: over parts and kinds, the sum of (filled - share)^2 / share.
    """
    n_units, n_parts = len(sizes), len(shares)
    n_trials = max(4, min(_N_TRIALS, _MAX_TABLE // n_units))
    # Sizes times a random factor: large units still tend to come first, when there is room to balance them.
    disturbed = sizes.mean(axis=1) * np.exp(rng.normal(size=(n_trials, n_units)))
    order = np.argsort(-disturbed, axis=1)  # (T, N)
    part_of = np.empty((n_trials, n_units), dtype=np.intp)
    missing = np.tile(shares[:, None] * sizes.sum(axis=0), (n_trials, 1, 1))  # (T, P, K)
    is_empty = np.ones((n_trials, n_parts), dtype=bool)
    trials = np.arange(n_trials)
    for position in range(n_units):
        unit = order[:, position]
        size = sizes[unit][:, None, :]  # (T, 1, K)
        # (missing - size)^2 - missing^2: how the error changes if the unit goes there.
        change = (size * (size - 2 * missing)).sum(axis=2) / shares
        only_empty = is_empty.sum(axis=1) == n_units - position
        change[only_empty[:, None] & ~is_empty] = np.inf
        chosen = change.argmin(axis=1)
        part_of[trials, unit] = chosen
        missing[trials, chosen] -= size[:, 0]
        is_empty[trials, chosen] = False
    error = ((missing**2).sum(axis=2) / shares).sum(axis=1)
    best = part_of[error.argmin()]
    return [np.flatnonzero(best == part).tolist() for part in range(n_parts)]
