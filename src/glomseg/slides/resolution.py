"""Micrometres per pixel: what files state, and whether that can be believed."""

import math

from glomseg.errors import InvalidInputError
from glomseg.slides.levels import FileFacts

_PLAUSIBLE = (0.05, 20.0)
"""Outside of this no slide scanner works: a file that says so was saved by a program that writes 72 dpi into all."""

_SQUARE_TOLERANCE = 0.01

_UM = {"m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "\N{MICRO SIGN}m": 1.0, "\N{GREEK SMALL LETTER MU}m": 1.0, "nm": 1e-3}
_UM |= {"inch": 25400.0, "in": 25400.0}


def in_um(value: float, unit: str) -> float | None:
    """Return a length in micrometres, or None for a unit that is no length ("pixel")."""
    factor = _UM.get(unit)
    return None if factor is None else value * factor


def mpp_from_density(x: float, y: float, unit: str) -> tuple[float, float] | None:
    """Return micrometres per pixel along x and y from pixels per `unit`; None if they are not positive or unit-less."""
    unit_um = _UM.get(unit)
    if unit_um is None or not all(math.isfinite(value) and value > 0 for value in (x, y)):
        return None
    return unit_um / x, unit_um / y


def decide_mpp(facts: FileFacts, *, given: float | None) -> tuple[float | None, tuple[str, ...]]:
    """Return the micrometres per pixel to work with, and notes on whatever is not plain about it.

    Raises
    ------
    InvalidInputError
        If `given` is no positive number.
    """
    if given is not None and not (math.isfinite(given) and given > 0):
        raise InvalidInputError(f"mpp {given} is not a positive number of micrometres per pixel, such as 0.25")
    stated, notes = _stated(facts)
    if given is None:
        return stated, notes
    if stated is not None and abs(given - stated) > _SQUARE_TOLERANCE * stated:
        return given, (f"{given:g} um per pixel was given and is used; the file's {facts.mpp_source} say {stated:.4g}",)
    return given, ()


def _stated(facts: FileFacts) -> tuple[float | None, tuple[str, ...]]:
    if facts.mpp_xy is None:
        power = facts.objective_power
        more = f" (that its objective is {power}x does not tell: the camera decides too)" if power else ""
        return None, (f"the file does not say how many micrometres a pixel is{more}; give it as mpp",)
    x, y = facts.mpp_xy
    if not all(_PLAUSIBLE[0] <= value <= _PLAUSIBLE[1] for value in (x, y)):
        shown = f"{x:.4g}" if x == y else f"{x:.4g} x {y:.4g}"
        return None, (
            f"the file's {facts.mpp_source} say {shown} um per pixel, which no slide has "
            f"(image programs write such values by themselves); it is not used: give the true one as mpp",
        )
    mean = math.sqrt(x * y)
    if max(x, y) / min(x, y) - 1 > _SQUARE_TOLERANCE:
        return mean, (
            f"the file's pixels are not square ({x:.4g} x {y:.4g} um); {mean:.4g} um, which keeps areas right, is used "
            "for both directions",
        )
    return mean, ()
