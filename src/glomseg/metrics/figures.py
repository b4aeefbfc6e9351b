"""What a figure is: a number that counts give, how much it rests on, and on which scale it varies."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Scale = Literal["fraction", "positive", "difference"]
"""From 0 to 1; from 0 on without end; or anything."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figure:
    """One figure of a whole stack of counts.

    Attributes
    ----------
    value
        (...) float64, NaN where the figure is undefined.
    weight
        (...) float64, what the figure rests on: its divisor, a number of pixels or objects. 0 where nothing bears on
        it.
    scale
        What values are possible: intervals stay within.
    """

    value: NDArray[np.float64]
    weight: NDArray[np.float64]
    scale: Scale


def ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """Return part / whole as (...) float64, and NaN where there is nothing to divide by, never 0 or 1."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    result = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def fraction(part: NDArray[np.float64], whole: NDArray[np.float64]) -> Figure:
    """Return the figure part / whole, of which `part` cannot exceed `whole`."""
    return Figure(value=ratio(part, whole), weight=whole, scale="fraction")


def quotient(part: NDArray[np.float64], whole: NDArray[np.float64]) -> Figure:
    """Return the figure part / whole, which may be above 1."""
    return Figure(value=ratio(part, whole), weight=whole, scale="positive")
