"""Inspect a data set: count, check and show what is in it."""

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glomseg._version import __version__
from glomseg.data.crops import resize, resize_mask
from glomseg.data.findings import Finding
from glomseg.data.layout import Layout, find_files
from glomseg.data.lint import exact_copies, lint, near_copies
from glomseg.data.statistics import TileStatistics
from glomseg.data.summary import (
    ClassSummary,
    GroupSummary,
    ObjectSummary,
    TileSummary,
    summarize_classes,
    summarize_groups,
    summarize_objects,
    summarize_tiles,
)
from glomseg.data.survey import TileSurvey, statistics_of, survey_tiles
from glomseg.data.tiles import read_tile, read_tile_image
from glomseg.errors import InvalidInputError, OutputError
from glomseg.export.legend import Entry, legend_strip, text_size_px
from glomseg.export.pictures import overlay, sheet, side_by_side
from glomseg.files import make_folder, write_json
from glomseg.images import write_png
from glomseg.progress import ProgressBars, no_progress
from glomseg.steps.inspection_page import write_inspection_page
from glomseg.types import Dataset, Sample, Split

MAX_TILE_PX = 1024
"""Longest side at which one tile is shown."""

MAX_SHEET = 20
"""Most cells in a row of a sheet."""

_SHEET_PX = 1600  # a sheet's width, about what a screen shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a data set holds and what is wrong with it.

    Attributes
    ----------
    n_images, n_masks
        Files that were found in pairs or alone; broken ones count.
    grouping
        How the groups were found, in words.
    image_sizes
        (width, height, number of images), the most common first.
    image_modes
        Number of images of each of Pillow's pixel types ("RGB").
    mask_value_pixels
        For every value in the mask files, how many pixels have it.
    tiles, groups, classes, objects
        The figures; see the records of `glomseg.data.summary`.
    duplicates, near_duplicates
        Sets of names of tiles that show the same picture.
    findings
        What is wrong, the worst first.
    pictures
        The pictures that were written, by name: "tile", "sheet_foreground", "sheet_any". One that had
        nothing to show is left out.
    out
        The folder that everything was written to.
    """

    n_images: int
    n_masks: int
    grouping: str
    image_sizes: tuple[tuple[int, int, int], ...]
    image_modes: dict[str, int]
    mask_value_pixels: dict[int, int]
    tiles: tuple[TileSummary, ...]
    groups: tuple[GroupSummary, ...]
    classes: tuple[ClassSummary, ...]
    objects: tuple[ObjectSummary, ...]
    duplicates: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]
    pictures: dict[str, Path]
    out: Path

    @property
    def has_errors(self) -> bool:
        """Whether a finding would stop a later step or make its figures wrong."""
        return any(finding.severity == "error" for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """Return everything as plain values, as ``inspection.json`` holds it."""
        record = {"format": "glomseg inspection 1", "glomseg": __version__, **asdict(self)}
        record["pictures"] = {name: path.name for name, path in self.pictures.items()}
        record["out"] = str(self.out)
        return record


def inspect_dataset(
    dataset: Dataset,
    *,
    out: str | os.PathLike[str],
    opacity: float = 0.5,
    sheet_size: int = 4,
    tile: str | None = None,
    seed: int = 0,
    split: Split | None = None,
    html: str | os.PathLike[str] | None = None,
    progress: ProgressBars = no_progress,
) -> Inspection:
    """Count, check and show a data set; broken files are findings, not errors.

    Writes ``inspection.json``, ``tile.png`` (one tile with its mask and overlay), ``sheet_foreground.png``
    and ``sheet_any.png`` (overlays of tiles with foreground, and of any tiles).

    Parameters
    ----------
    dataset
        Opened with ``need_masks=False``, so that missing masks are found and not refused.
    out
        The folder to write to, outside the data set's.
    opacity
        Of the overlays, from 0 (tissue only) to 1 (colour only).
    sheet_size
        Rows and columns of the sheets.
    tile
        Name of the tile to show; None draws one with foreground.
    seed
        The same seed shows the same tiles.
    split
        Checked for groups and pictures that stand in two parts.
    html
        Also write everything as a page that opens by itself, with the tiles and their masks; None writes none.
    progress
        Where to report.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or `tile` is unknown or broken.
    OutputError
        If `out` lies in the data set's folder or cannot be written.
    """
    _check(dataset, outs=[out, *([] if html is None else [html])], opacity=opacity, sheet_size=sheet_size, tile=tile)
    are_slides = any(sample.region is not None for sample in dataset.samples)
    layout = Layout(kind="slides", pairs=()) if are_slides else find_files(dataset.root)
    with progress("reading tiles", unit="tile") as bar:
        surveys = survey_tiles(dataset, progress=bar)
    statistics = statistics_of(surveys)
    out = make_folder(out)
    inspection = Inspection(
        n_images=len(dataset),
        n_masks=sum(item.mask is not None for item in surveys) + len(layout.masks_without_image),
        grouping=dataset.grouping,
        image_sizes=_image_sizes(surveys),
        image_modes=dict(Counter(item.image.header.mode for item in surveys if item.image.header).most_common()),
        mask_value_pixels=_value_pixels(surveys),
        tiles=summarize_tiles(surveys, statistics),
        groups=summarize_groups(surveys, statistics),
        classes=summarize_classes(dataset.classes, statistics),
        objects=summarize_objects(dataset.classes, surveys, mpp=dataset.mpp),
        duplicates=_named(surveys, exact_copies(surveys)),
        near_duplicates=_named(surveys, near_copies(surveys)),
        findings=lint(dataset, layout=layout, split=split, surveys=surveys),
        pictures=_write_pictures(
            dataset, surveys, statistics, out=out, opacity=opacity, sheet_size=sheet_size, tile=tile, seed=seed
        ),
        out=out,
    )
    write_json(out / "inspection.json", inspection.record())
    if html is not None:
        write_inspection_page(html, dataset, inspection, surveys=surveys, seed=seed, progress=progress)
    return inspection


def _check(
    dataset: Dataset, *, outs: Sequence[str | os.PathLike[str]], opacity: float, sheet_size: int, tile: str | None
) -> None:
    if not 0 <= opacity <= 1:
        raise InvalidInputError(f"--opacity {opacity:g} is not from 0 (tissue only) to 1 (colour only)")
    if not 1 <= sheet_size <= MAX_SHEET:
        raise InvalidInputError(f"--sheet {sheet_size} is not from 1 to {MAX_SHEET} tiles in a row")
    names = [sample.name for sample in dataset.samples]
    if tile is not None and tile not in names:
        near = difflib.get_close_matches(tile, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; the first of {len(names)} is {names[0]!r}"
        raise InvalidInputError(f"--tile {tile!r} is not a tile of {str(dataset.root)!r}{hint}")
    root = dataset.root.resolve()
    for out in map(Path, outs):
        if not (root.is_dir() and out.resolve().is_relative_to(root)):
            continue
        raise OutputError(
            f"the output {str(out)!r} lies in the data set {str(dataset.root)!r}, where its pictures would be "
            "taken for tiles: choose another with --out"
        )


def _image_sizes(surveys: Sequence[TileSurvey]) -> tuple[tuple[int, int, int], ...]:
    headers = [item.image.header for item in surveys if item.image.header is not None]
    sizes = Counter((header.width, header.height) for header in headers)
    return tuple((width, height, count) for (width, height), count in sizes.most_common())


def _value_pixels(surveys: Sequence[TileSurvey]) -> dict[int, int]:
    totals: Counter[int] = Counter()
    for item in surveys:
        totals.update(dict(item.mask.value_pixels) if item.mask is not None else {})
    return dict(sorted(totals.items()))


def _named(surveys: Sequence[TileSurvey], sets: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(surveys[index].sample.name for index in members) for members in sets)


def _write_pictures(
    dataset: Dataset,
    surveys: Sequence[TileSurvey],
    statistics: Sequence[TileStatistics],
    *,
    out: Path,
    opacity: float,
    sheet_size: int,
    tile: str | None,
    seed: int,
) -> dict[str, Path]:
    """Write the pictures that there is something to show on, and return where they are."""
    has_foreground = {item.name for item in statistics if item.foreground_pixels}
    # Without any masks the images alone are worth a look; one lacking or broken mask is a finding instead.
    shown = [
        item.sample
        for item in surveys
        if item.is_sound or (item.image.fault is None and all(other.mask is None for other in surveys))
    ]
    foreground = [sample for sample in shown if sample.name in has_foreground]
    rng = np.random.default_rng(seed)
    pictures: dict[str, NDArray[np.uint8]] = {}
    chosen = _drawn(foreground or shown, 1, rng) if tile is None else dataset.select([tile])
    for sample in chosen:
        image, mask = _small_pair(dataset, sample, side_px=MAX_TILE_PX)
        titles = (sample.name, "no mask" if sample.mask_path is None else "mask", f"overlay, opacity {opacity:g}")
        pictures["tile"] = side_by_side(image, mask, classes=dataset.classes, opacity=opacity, titles=titles)
    for name, candidates in (("sheet_foreground", foreground), ("sheet_any", shown)):
        if candidates:
            drawn = _drawn(candidates, sheet_size**2, rng)
            pictures[name] = _sheet(dataset, drawn, opacity=opacity, sheet_size=sheet_size)
    for name, picture in pictures.items():
        write_png(out / f"{name}.png", picture)
    for name in {"tile", "sheet_foreground", "sheet_any"} - pictures.keys():
        (out / f"{name}.png").unlink(missing_ok=True)  # of an earlier inspection into this folder
    return {name: out / f"{name}.png" for name in pictures}


def _drawn(samples: Sequence[Sample], n: int, rng: np.random.Generator) -> Sequence[Sample]:
    """Return n of the samples, or all where there are fewer, drawn at random, in their own order."""
    return [samples[index] for index in sorted(rng.permutation(len(samples))[:n])]


def _sheet(dataset: Dataset, samples: Sequence[Sample], *, opacity: float, sheet_size: int) -> NDArray[np.uint8]:
    tile_px = _SHEET_PX // max(4, sheet_size)
    cells = []
    for sample in samples:
        image, mask = _small_pair(dataset, sample, side_px=tile_px)
        cells.append(overlay(image, mask, classes=dataset.classes, opacity=opacity, legend=False))
    captions = [sample.name for sample in samples]
    picture = sheet(cells, columns=sheet_size, tile_px=tile_px, captions=captions)
    entries = [
        Entry(dataset.classes.colors[index], dataset.classes.names[index]) for index in range(1, len(dataset.classes))
    ]
    width = picture.shape[1]
    return np.concatenate([picture, legend_strip(entries, width=width, size_px=text_size_px(width // 2, width))])


def _small_pair(dataset: Dataset, sample: Sample, *, side_px: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return image and mask, shrunk to `side_px` where they are larger; a missing mask is all background."""
    if sample.mask_path is None:
        image = read_tile_image(dataset, sample)
        mask = np.zeros(image.shape[:2], np.uint8)
    else:
        image, mask = read_tile(dataset, sample)
    height, width = image.shape[:2]
    ratio = min(1.0, side_px / max(height, width))
    height, width = max(1, round(height * ratio)), max(1, round(width * ratio))
    image = resize(image, height=height, width=width, interpolation="area")
    return image, resize_mask(mask, height=height, width=width)
