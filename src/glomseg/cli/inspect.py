"""glomseg inspect."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_json, show_table
from glomseg.cli.options import DatasetOptions, open_with

if TYPE_CHECKING:
    from glomseg.data.findings import Finding
    from glomseg.data.summary import ObjectSummary, Quantiles
    from glomseg.steps.inspect import Inspection

_N_ROWS, _N_FILES = 20, 3


def inspect(
    data: Path,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    opacity: float = 0.5,
    sheet: int = 4,
    tile: str | None = None,
    seed: int = 0,
    split: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    html: Path | None = None,
    options: DatasetOptions | None = None,
) -> int:
    """Count, check and show a data set.

    Writes figures and pictures to a folder of their own, never into the data. Exits with 1 if something
    is wrong that would stop a later step or make its figures wrong.

    Parameters
    ----------
    data
        Folder of tiles and masks, or a CSV of pairs.
    out
        Folder to write to; the default is <data>-inspection in the current folder.
    opacity
        Of the overlays' colour, from 0 (tissue only) to 1 (colour only).
    sheet
        Rows and columns of the sheets of tiles.
    tile
        Show this tile; the default is one with foreground.
    seed
        The same seed shows the same tiles.
    split
        Split file to check for groups in two parts; the default is DATA/splits/split.json, if there is one.
    json
        Print everything as JSON and nothing else.
    html
        Also write a page that opens in any browser to this file.
    options
        How the data set is read.
    """
    from glomseg.data.split import read_split
    from glomseg.progress import no_progress
    from glomseg.steps.inspect import inspect_dataset

    dataset = open_with(data, options, need_masks=False)
    if split is None and (data / "splits" / "split.json").is_file():
        split = data / "splits" / "split.json"
    inspection = inspect_dataset(
        dataset,
        out=out or Path(f"{data.resolve().stem if data.is_file() else data.resolve().name}-inspection"),
        opacity=opacity,
        sheet_size=sheet,
        tile=tile,
        seed=seed,
        split=None if split is None else read_split(split),
        html=html,
        progress=no_progress if json else progress_bar,
    )
    if json:
        say_json(inspection.record())
    else:
        _show(inspection, data=data, split=split)
        if html is not None:
            say(f"  {html}")
    return 1 if inspection.has_errors else 0


def _show(inspection: "Inspection", *, data: Path, split: Path | None) -> None:
    show_table(str(data), ["", ""], _overview(inspection))
    show_table(
        "classes",
        ["class", "pixels", "share", "tiles with it"],
        [[item.name, f"{item.n_pixels:,}", _percent(item.share), item.n_tiles] for item in inspection.classes],
    )
    show_table(
        "objects (connected pieces); sizes as median (5 % to 95 %)",
        ["", *(item.class_name for item in inspection.objects)],
        _object_rows(inspection.objects),
    )
    _show_groups(inspection)
    if split is not None:
        say(f"checked with the split {split}")
    _show_findings(inspection.findings)
    say("Written:", *(f"  {path}" for path in (inspection.out / "inspection.json", *inspection.pictures.values())))


def _overview(inspection: "Inspection") -> list[list[object]]:
    sizes = [f"{width} x {height} ({count})" for width, height, count in inspection.image_sizes[:4]]
    if len(inspection.image_sizes) > len(sizes):
        sizes.append(f"{len(inspection.image_sizes) - len(sizes)} more sizes")
    values = [str(value) for value in inspection.mask_value_pixels]
    if len(values) > 12:
        values = [*values[:6], "...", *values[-3:]]
    shares = sorted(item.foreground_share for item in inspection.tiles if item.foreground_share is not None)
    rows: list[list[object]] = [
        ["images", inspection.n_images],
        ["masks", inspection.n_masks],
        ["sizes in pixels", ", ".join(sizes) or "-"],
        ["image kinds", ", ".join(f"{mode} ({count})" for mode, count in inspection.image_modes.items()) or "-"],
        ["values in the masks", ", ".join(values) or "-"],
    ]
    if shares:
        n_with = sum(share > 0 for share in shares)
        rows += [
            ["tiles with foreground", f"{n_with} of {len(shares)}"],
            [
                "foreground of a tile",
                f"{_percent(shares[0])} to {_percent(shares[-1])}, median {_percent(shares[len(shares) // 2])}",
            ],
        ]
    return rows


def _object_rows(objects: "Sequence[ObjectSummary]") -> list[list[object]]:
    """Return one row a measure: with one column a class the table fits a narrow terminal."""
    rows: list[list[object]] = [
        ["objects", *(item.n_objects for item in objects)],
        ["cut by the tile's border", *(item.n_touching_border for item in objects)],
        ["diameter of a whole one (px)", *(_range(item.diameter_px) for item in objects)],
        ["area of a whole one (px)", *(_range(item.area_px) for item in objects)],
    ]
    if any(item.area_um2 is not None for item in objects):
        rows += [
            ["diameter of a whole one (um)", *(_range(item.diameter_um) for item in objects)],
            ["area of a whole one (um2)", *(_range(item.area_um2) for item in objects)],
        ]
    return rows


def _show_groups(inspection: "Inspection") -> None:
    groups = inspection.groups
    if len(groups) == inspection.n_images:
        say(f"groups: {_printable(inspection.grouping)}")
        return
    show_table(
        f"groups: {_printable(inspection.grouping)}",
        ["group", "tiles", "with foreground", "foreground"],
        [
            [_printable(item.group), item.n_tiles, item.n_tiles_with_foreground, _percent(item.foreground_share)]
            for item in groups[:_N_ROWS]
        ],
    )
    if len(groups) > _N_ROWS:
        say(f"... and {len(groups) - _N_ROWS} more groups, in inspection.json")


def _range(item: "Quantiles | None") -> str:
    return "-" if item is None else f"{item.median:,.0f} ({item.low:,.0f} to {item.high:,.0f})"


def _show_findings(findings: "Sequence[Finding]") -> None:
    if not findings:
        say("Nothing is wrong with it.")
        return
    say(f"{len(findings)} finding{'s' if len(findings) > 1 else ''}:")
    for finding in findings:
        say(f"{finding.severity} {finding.code}: {_printable(finding.message)}")
        if finding.files:
            shown = ", ".join(map(_printable, finding.files[:_N_FILES]))
            more = len(finding.files) - _N_FILES
            say(f"  files: {shown}" + (f" and {more} more, in inspection.json" if more > 0 else ""))
        say(f"  fix: {_printable(finding.fix)}")


def _printable(text: str) -> str:
    """Return text on one line: a name from a stranger must not steer the terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
