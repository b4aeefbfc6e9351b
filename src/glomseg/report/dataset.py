"""The page on a data set before training: what is in it, what is wrong with it, and how it looks."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glomseg.data.findings import SEVERITIES, Finding, counted
from glomseg.data.summary import ClassSummary, GroupSummary, ObjectSummary, Quantiles, TileSummary
from glomseg.report.charts import Chart, histogram_chart, interval_chart, swatch_chart
from glomseg.report.embedding import TilePicture
from glomseg.report.gallery import GalleryTile, Order, gallery_data
from glomseg.report.page import percent, write_page
from glomseg.report.records import Record
from glomseg.report.tables import Table, count_cell, number_cell, share_cell
from glomseg.types import Classes

_MAX_GROUPS_DRAWN = 40
_MAX_FILES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetContents:
    """What the page on a data set shows.

    Attributes
    ----------
    name
        Of the data set.
    classes, mpp
        Of the data set.
    tiles, groups, class_summaries, objects
        The figures.
    overview
        Lines of words and values.
    findings
        What is wrong, the worst first.
    findings_of_tiles
        For a tile's name the codes of the findings that name its files.
    duplicates, near_duplicates
        Sets of names of tiles that show the same picture.
    """

    name: str
    classes: Classes
    mpp: float | None
    tiles: tuple[TileSummary, ...]
    groups: tuple[GroupSummary, ...]
    class_summaries: tuple[ClassSummary, ...]
    objects: tuple[ObjectSummary, ...]
    overview: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    findings_of_tiles: Mapping[str, Sequence[str]]
    duplicates: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[tuple[str, ...], ...]


def write_dataset_page(
    path: str | os.PathLike[str],
    contents: DatasetContents,
    *,
    key: str,
    pictures: Mapping[str, TilePicture],
    notes: Sequence[str] = (),
) -> None:
    """Write the page on a data set as one HTML file.

    Parameters
    ----------
    path
        The file.
    contents
        What it shows.
    key
        What the reader's list is remembered under: different for different data sets.
    pictures
        Of the tiles by name; a tile without one is listed with its figures only.
    notes
        What to know about the pictures.
    """
    charts = [*_tile_charts(contents), *_group_charts(contents.tiles, contents.groups)]
    pairs = [
        *_sets(contents.duplicates, contents.tiles, "The same pixels"),
        *_sets(contents.near_duplicates, contents.tiles, "Nearly the same picture"),
    ]
    sections = {
        "findings": "Findings",
        "counts": "Counts",
        **({"charts": "Distributions"} if charts else {}),
        **({"duplicates": "Same pictures"} if pairs else {}),
        "tiles": "Tiles",
    }
    write_page(
        path,
        "dataset.html",
        title=contents.name,
        kind="Data set",
        sentences=[_summary(contents)],
        notes=[],
        sections=list(sections.items()),
        findings=[_finding(finding) for finding in contents.findings],
        records=[Record(title="Overview", rows=contents.overview)],
        tables=[_class_table(contents.class_summaries), _object_table(contents.objects), _group_table(contents.groups)],
        charts=charts,
        duplicates=pairs,
        page=_gallery(contents, key=key, pictures=pictures, notes=notes),
    )


def _summary(contents: DatasetContents) -> str:
    counts = Counter(finding.severity for finding in contents.findings)
    found = [counted(counts[severity], severity) for severity in SEVERITIES if counts[severity]]
    return (
        f"{counted(len(contents.tiles), 'tile')} of {counted(len(contents.groups), 'group')}: "
        f"{', '.join(found) or 'nothing is wrong with it'}."
    )


def _gallery(
    contents: DatasetContents, *, key: str, pictures: Mapping[str, TilePicture], notes: Sequence[str]
) -> dict[str, Any]:
    codes = contents.findings_of_tiles
    return gallery_data(
        [_tile(tile, codes=codes.get(tile.name, ()), picture=pictures.get(tile.name)) for tile in contents.tiles],
        key=key,
        classes=contents.classes,
        views={"image": "Image", "truth": "Mask"},
        orders=(
            Order(key="foreground", label="most foreground first"),
            Order(key="objects", label="most objects first"),
            Order(key="dark", label="darkest first", is_ascending=True),
            Order(key="bright", label="brightest first"),
        ),
        kinds={
            "foreground": "with foreground",
            "empty": "without foreground",
            **{finding.code: f"finding: {finding.code}" for finding in contents.findings},
        },
        review_file="review.csv",
        notes=notes,
    )


def _tile(tile: TileSummary, *, codes: Sequence[str], picture: TilePicture | None) -> GalleryTile:
    share = tile.foreground_share
    kinds = [*codes, *([] if share is None else ["foreground" if share else "empty"])]
    size = "-" if tile.height is None else f"{tile.width} x {tile.height}"
    return GalleryTile(
        name=tile.name,
        group=tile.group,
        picture=picture or TilePicture(),
        line="no usable mask" if share is None else f"{percent(share)} % foreground",
        values={
            "foreground": share,
            "objects": tile.n_objects,
            "dark": tile.brightness,
            "bright": tile.brightness,
        },
        kinds=tuple(dict.fromkeys(kinds)),
        facts=(
            ("size in pixels", size),
            ("foreground", "-" if share is None else f"{percent(share, digits=2)} %"),
            ("objects", "-" if tile.n_objects is None else str(tile.n_objects)),
            ("brightness", "-" if tile.brightness is None else f"{tile.brightness:.0f} of 255"),
            *((("findings", ", ".join(codes)),) if codes else ()),
        ),
    )


def _finding(finding: Finding) -> dict[str, object]:
    n_more = len(finding.files) - _MAX_FILES
    files = [*finding.files[:_MAX_FILES], *([f"and {n_more:,} more, in inspection.json"] if n_more > 0 else [])]
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "fix": finding.fix,
        "files": files,
        "counted_files": counted(len(finding.files), "file"),
    }


def _sets(sets: Sequence[Sequence[str]], tiles: Sequence[TileSummary], words: str) -> list[dict[str, object]]:
    index = {tile.name: position for position, tile in enumerate(tiles)}
    return [
        {
            "words": f"{words} ({len(names)} tiles).",
            "tiles": [{"name": name, "group": tiles[index[name]].group, "index": index[name]} for name in names],
        }
        for names in sets
    ]


def _class_table(classes: Sequence[ClassSummary]) -> Table:
    return Table(
        title="Classes",
        head=("class", "pixels", "share (%)", "tiles with it"),
        rows=tuple(
            (item.name, count_cell(item.n_pixels), share_cell(item.share), count_cell(item.n_tiles)) for item in classes
        ),
    )


def _object_table(objects: Sequence[ObjectSummary]) -> Table:
    with_um = any(item.diameter_um is not None for item in objects)
    head = ["class", "objects", "cut by the border", "diameter (px)", *(["diameter (µm)"] if with_um else [])]
    return Table(
        title="Objects",
        caption="Connected pieces; diameters of those that touch no border, as median (5 % to 95 %).",
        head=tuple(head),
        rows=tuple(
            (
                item.class_name,
                count_cell(item.n_objects),
                count_cell(item.n_touching_border),
                _range(item.diameter_px),
                *((_range(item.diameter_um),) if with_um else ()),
            )
            for item in objects
        ),
    )


def _group_table(groups: Sequence[GroupSummary]) -> Table:
    return Table(
        title="Groups",
        head=("group", "tiles", "with foreground", "foreground (%)", "brightness"),
        rows=tuple(
            (
                item.group,
                count_cell(item.n_tiles),
                count_cell(item.n_tiles_with_foreground),
                share_cell(item.foreground_share),
                number_cell(None if item.brightness is None else item.brightness.median, digits=0),
            )
            for item in groups
        ),
    )


def _range(item: Quantiles | None) -> str:
    return "-" if item is None else f"{item.median:,.0f} ({item.low:,.0f} to {item.high:,.0f})"


def _tile_charts(contents: DatasetContents) -> list[Chart]:
    charts = []
    shares = [100 * tile.foreground_share for tile in contents.tiles if tile.foreground_share is not None]
    if shares:
        drawing = histogram_chart(shares, x_label="foreground of a tile (%)", y_label="tiles")
        charts.append(Chart(title="Foreground", caption="How much of a tile is marked.", drawing=drawing))
    unit, px = ("px", 1.0) if contents.mpp is None else ("µm", contents.mpp)
    for item in contents.objects:
        diameters = [2 * math.sqrt(area / math.pi) * px for area in item.whole_areas_px]
        if diameters:
            drawing = histogram_chart(diameters, x_label=f"diameter ({unit})", y_label="objects")
            caption = "Of the disc of the same area; objects that touch the tile's border are left out."
            charts.append(Chart(title=f"Size of {item.class_name}", caption=caption, drawing=drawing))
    return charts


def _group_charts(tiles: Sequence[TileSummary], groups: Sequence[GroupSummary]) -> list[Chart]:
    drawn = groups[:_MAX_GROUPS_DRAWN]
    more = f" {len(groups) - len(drawn)} more groups stand in the table." if len(groups) > len(drawn) else ""
    shares = [(g.group, 100 * g.foreground_share, None) for g in drawn if g.foreground_share is not None]
    light = [(g.group, g.brightness.median, (g.brightness.low, g.brightness.high)) for g in drawn if g.brightness]
    charts = []
    if len(shares) > 1:
        drawing = interval_chart(shares, x_label="foreground (%)")
        charts.append(Chart(title="Foreground by group", caption=f"Of all pixels of a group.{more}", drawing=drawing))
    if len(light) > 1:
        drawing = interval_chart(light, x_label="brightness of a tile (0 to 255)", from_zero=False)
        caption = f"Median of the group's tiles, and the range of all but the outermost twentieths.{more}"
        charts.append(Chart(title="Brightness by group", caption=caption, drawing=drawing))
    colors: dict[str, list[tuple[str, tuple[float, float, float]]]] = {item.group: [] for item in drawn}
    for tile in sorted(tiles, key=lambda tile: tile.brightness or 0.0):
        if tile.mean_rgb is not None and tile.group in colors:
            colors[tile.group].append((tile.name, tile.mean_rgb))
    rows = [(group, swatches) for group, swatches in colors.items() if swatches]
    if rows:
        caption = (
            f"One swatch a tile, from dark to bright: a group that stands out was stained or scanned otherwise.{more}"
        )
        charts.append(Chart(title="Mean colour of the tiles", caption=caption, drawing=swatch_chart(rows)))
    return charts
