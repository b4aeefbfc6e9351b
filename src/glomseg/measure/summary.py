"""What one slide's glomeruli come to: how many, how dense, how large."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glomseg.errors import InvalidInputError
from glomseg.measure.glomerulus import Glomerulus
from glomseg.types import Classes

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles of the areas that a summary gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSummary:
    """Counts and sizes of the objects of one class, or of all classes, on one slide.

    Attributes
    ----------
    class_name
        The class, or None for all together.
    n_objects
        How many there are.
    n_cut
        How many of them the slide's border cuts; they count, but their areas are not among the quantiles.
    tissue_area_mm2
        Area of the tissue, or None where it or the scale is not known.
    density_per_mm2
        Objects per square millimetre of tissue; None where that is not known or none.
    area_quantiles_px, area_quantiles_um2
        Areas of the whole objects at `QUANTILES`, interpolated linearly, in pixels of full resolution and square
        micrometres; None where there is no whole object, the latter also where the scale is not known.
    """

    class_name: str | None
    n_objects: int
    n_cut: int
    tissue_area_mm2: float | None
    density_per_mm2: float | None
    area_quantiles_px: tuple[float, ...] | None
    area_quantiles_um2: tuple[float, ...] | None


def summarize_glomeruli(
    glomeruli: Sequence[Glomerulus], *, classes: Classes, mpp: float | None, tissue_area_px: float | None = None
) -> tuple[SlideSummary, ...]:
    """Return a summary of every foreground class and, where there are several, last of all together.

    Parameters
    ----------
    glomeruli
        The objects of one slide.
    classes
        What their class indices mean.
    mpp
        Micrometres per pixel of full resolution, or None.
    tissue_area_px
        Area of the slide's tissue in pixels of full resolution, or None.

    Raises
    ------
    InvalidInputError
        If the area is below zero or no number.
    """
    if tissue_area_px is not None and not 0 <= tissue_area_px < math.inf:
        raise InvalidInputError(f"tissue_area_px is {tissue_area_px}; an area is a number from 0 up")
    tissue_mm2 = None if mpp is None or tissue_area_px is None else tissue_area_px * (mpp / 1000) ** 2
    groups: list[tuple[str | None, list[Glomerulus]]] = [
        (name, [item for item in glomeruli if item.class_index == index])
        for index, name in enumerate(classes.names)
        if index > 0
    ]
    if len(groups) > 1:
        groups.append((None, list(glomeruli)))
    return tuple(_summary(name, items, mpp=mpp, tissue_mm2=tissue_mm2) for name, items in groups)


def _summary(
    name: str | None, items: Sequence[Glomerulus], *, mpp: float | None, tissue_mm2: float | None
) -> SlideSummary:
    whole = [item.area_px for item in items if not item.touches_slide_border]
    quantiles = tuple(float(value) for value in np.quantile(whole, QUANTILES)) if whole else None
    return SlideSummary(
        class_name=name,
        n_objects=len(items),
        n_cut=len(items) - len(whole),
        tissue_area_mm2=tissue_mm2,
        density_per_mm2=len(items) / tissue_mm2 if tissue_mm2 else None,
        area_quantiles_px=quantiles,
        area_quantiles_um2=None if mpp is None or quantiles is None else tuple(value * mpp**2 for value in quantiles),
    )
