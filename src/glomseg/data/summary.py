"""The figures that describe a data set: how much of each class, in which groups, in objects of what size."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.data.statistics import TileStatistics
from glomseg.data.survey import TileSurvey
from glomseg.types import Classes


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSummary:
    """One tile; what depends on a mask is None where no mask could be read.

    Attributes
    ----------
    name, group
        Of the tile.
    height, width
        Of the image in pixels; None where it cannot be read.
    foreground_share
        Share of the pixels that are not ignored, 0 to 1.
    n_objects
        Connected pieces of the foreground classes.
    mean_rgb
        Mean of the red, green and blue values, each 0 to 255; None where the image cannot be read.
    brightness
        Weighted mean of these three (Rec. 601), 0 to 255; None where the image cannot be read.
    """

    name: str
    group: str
    height: int | None
    width: int | None
    foreground_share: float | None
    n_objects: int | None
    mean_rgb: tuple[float, float, float] | None
    brightness: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """The 5th percentile, the median and the 95th percentile."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """One slide, case or patient. Tiles whose masks cannot be read count in `n_tiles` and `brightness` only."""

    group: str
    n_tiles: int
    n_tiles_with_foreground: int
    foreground_share: float | None
    brightness: Quantiles | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSummary:
    """How much there is of one class: pixels, their share of all that are not ignored, and tiles that have any."""

    name: str
    n_pixels: int
    share: float | None
    n_tiles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSummary:
    """Sizes of the connected pieces of one class.

    Attributes
    ----------
    class_name
        The class.
    n_objects, n_touching_border
        All pieces, and those that touch the tile's border and may go on beyond it.
    n_tiles
        Tiles that have any.
    whole_areas_px
        Area of each piece that touches no border.
    area_px, diameter_px
        Area, and diameter of the disc of that area, of the pieces that touch no border (of all, where
        every piece touches one); None without pieces.
    area_um2, diameter_um
        The same in micrometres; None without an mpp.
    """

    class_name: str
    n_objects: int
    n_touching_border: int
    n_tiles: int
    whole_areas_px: tuple[int, ...]
    area_px: Quantiles | None
    diameter_px: Quantiles | None
    area_um2: Quantiles | None
    diameter_um: Quantiles | None


def summarize_tiles(surveys: Sequence[TileSurvey], statistics: Sequence[TileStatistics]) -> tuple[TileSummary, ...]:
    """Return one line a tile, in the order of the surveys."""
    by_name = {item.name: item for item in statistics}
    lines = []
    for item in surveys:
        counts = by_name.get(item.sample.name)
        header = item.image.header
        lines.append(
            TileSummary(
                name=item.sample.name,
                group=item.sample.group,
                height=None if header is None else header.height,
                width=None if header is None else header.width,
                foreground_share=None if counts is None else foreground_share([counts]),
                n_objects=None if counts is None or item.mask is None else len(item.mask.objects),
                mean_rgb=item.image.mean_rgb,
                brightness=None if item.image.mean_rgb is None else _brightness(*item.image.mean_rgb),
            )
        )
    return tuple(lines)


def summarize_groups(surveys: Sequence[TileSurvey], statistics: Sequence[TileStatistics]) -> tuple[GroupSummary, ...]:
    """Return one line a group, by name."""
    counts: dict[str, list[TileStatistics]] = {}
    brightness: dict[str, list[float]] = {}
    for item in statistics:
        counts.setdefault(item.group, []).append(item)
    for tile in surveys:
        if tile.image.mean_rgb is not None:
            brightness.setdefault(tile.sample.group, []).append(_brightness(*tile.image.mean_rgb))
    n_tiles = Counter(item.sample.group for item in surveys)
    return tuple(
        GroupSummary(
            group=group,
            n_tiles=n_tiles[group],
            n_tiles_with_foreground=sum(item.foreground_pixels > 0 for item in counts.get(group, ())),
            foreground_share=foreground_share(counts.get(group, ())),
            brightness=_quantiles(np.array(brightness.get(group, []))),
        )
        for group in sorted(n_tiles)
    )


def summarize_classes(classes: Classes, statistics: Sequence[TileStatistics]) -> tuple[ClassSummary, ...]:
    """Return one line a class, in their order."""
    table = np.array([item.class_pixels for item in statistics], dtype=np.int64).reshape(-1, len(classes))
    totals, n_tiles = table.sum(axis=0), np.count_nonzero(table, axis=0)
    n_labelled = int(totals.sum())
    return tuple(
        ClassSummary(
            name=name,
            n_pixels=int(total),
            share=int(total) / n_labelled if n_labelled else None,
            n_tiles=int(count),
        )
        for name, total, count in zip(classes.names, totals, n_tiles, strict=True)
    )


def summarize_objects(
    classes: Classes, surveys: Sequence[TileSurvey], *, mpp: float | None
) -> tuple[ObjectSummary, ...]:
    """Return one line a foreground class, in their order."""
    lines = []
    for index, name in list(enumerate(classes.names))[1:]:
        per_tile = [
            [piece for piece in item.mask.objects if piece.class_index == index]
            for item in surveys
            if item.mask is not None
        ]
        pieces = [piece for tile in per_tile for piece in tile]
        whole = [piece for piece in pieces if not piece.touches_border]
        areas = np.array([piece.area_px for piece in whole or pieces], dtype=float)
        diameters = 2 * np.sqrt(areas / np.pi)
        lines.append(
            ObjectSummary(
                class_name=name,
                n_objects=len(pieces),
                n_touching_border=len(pieces) - len(whole),
                n_tiles=sum(bool(tile) for tile in per_tile),
                whole_areas_px=tuple(piece.area_px for piece in whole),
                area_px=_quantiles(areas),
                diameter_px=_quantiles(diameters),
                area_um2=None if mpp is None else _quantiles(areas * mpp**2),
                diameter_um=None if mpp is None else _quantiles(diameters * mpp),
            )
        )
    return tuple(lines)


def foreground_share(statistics: Sequence[TileStatistics]) -> float | None:
    """Return the foreground's share of the pixels that are not ignored; None where all are."""
    n_labelled = sum(sum(item.class_pixels) for item in statistics)
    return sum(item.foreground_pixels for item in statistics) / n_labelled if n_labelled else None


def _brightness(red: float, green: float, blue: float) -> float:
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _quantiles(values: NDArray[np.float64]) -> Quantiles | None:
    if not values.size:
        return None
    low, median, high = np.percentile(values, (5, 50, 95))
    return Quantiles(low=float(low), median=float(median), high=float(high))
