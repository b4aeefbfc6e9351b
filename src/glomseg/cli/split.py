"""glomseg split."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.cli.options import DatasetOptions, open_with
from glomseg.errors import InvalidInputError, OutputError

if TYPE_CHECKING:
    from glomseg.data.split import PartSummary
    from glomseg.data.statistics import TileStatistics
    from glomseg.types import Dataset, Split

_MAX_NAMED_GROUPS = 8


def split(
    data: Path,
    *,
    val: float = 0.2,
    test: float = 0.0,
    folds: int | None = None,
    seed: int = 0,
    by: Literal["group", "tile"] = "group",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    options: DatasetOptions | None = None,
) -> None:
    """Divide a data set into training, validation and test parts, never dividing a slide.

    Writes split.json, and train.txt and val.txt as MMSegmentation reads them.

    Parameters
    ----------
    data
        Folder of tiles and masks.
    val
        Share of the tiles to validate on.
    test
        Share of the tiles to test on.
    folds
        Make this many folds for cross-validation instead: fold-1/ and so on.
    seed
        The same seed gives the same split.
    by
        group keeps the tiles of a slide together; tile does not, and the figures will flatter.
    out
        Folder to write to; the default is DATA/splits.
    options
        How the data set is read.
    """
    from glomseg.data.split import make_folds, make_split
    from glomseg.data.statistics import scan_masks

    if folds is not None and (test > 0 or by == "tile"):
        raise InvalidInputError("--folds divides groups into folds and takes neither --test nor --by tile")
    folder = out or (data if data.is_dir() else data.parent) / "splits"
    dataset = open_with(data, options)
    _refuse_foreign_lists(folder)
    with progress_bar("reading masks", unit="tile") as bar:
        statistics = scan_masks(dataset, progress=bar)
    if folds is None:
        splits = {folder: make_split(dataset, val=val, test=test, seed=seed, by=by, statistics=statistics)}
    else:
        made = make_folds(dataset, folds=folds, seed=seed, statistics=statistics)
        splits = {folder / f"fold-{number}": item for number, item in enumerate(made, start=1)}
    for place, item in splits.items():
        try:
            _write(place, dataset, item, statistics)
        except OutputError as error:
            raise OutputError(f"{error}" if out else f"{error}, with --out FOLDER") from error
    _warn(dataset, next(iter(splits.values())))
    say(f"groups: {dataset.grouping}", f"Written to {folder}")


def _refuse_foreign_lists(folder: Path) -> None:
    """Raise unless the lists in a folder, if any, come from an earlier split: somebody's own are not overwritten."""
    if (folder / "train.txt").exists() and not (folder / "split.json").exists():
        raise InvalidInputError(
            f"{str(folder / 'train.txt')!r} is there already and was not written by `glomseg split`; to use that, "
            f"give --split {folder} to train and evaluate; to make another, name a folder with --out"
        )


def _write(folder: Path, dataset: "Dataset", item: "Split", statistics: "tuple[TileStatistics, ...]") -> None:
    from glomseg.data.split import summarize_split, write_mmseg_lists, write_split

    summary = [part for part in summarize_split(dataset, item, statistics) if part.n_tiles]
    write_split(folder / "split.json", item, summary=summary)
    try:
        write_mmseg_lists(folder, item)
    except InvalidInputError as error:
        say_warning(f"split.json was written, but no lists for MMSegmentation: {error}")
    _show(folder, dataset, item, summary)


def _show(folder: Path, dataset: "Dataset", item: "Split", summary: "list[PartSummary]") -> None:
    show_table(
        str(folder / "split.json"),
        ["part", "tiles", "groups", "tiles with foreground", "foreground"],
        [
            [
                part.part,
                part.n_tiles,
                part.n_groups,
                part.n_tiles_with_foreground,
                f"{100 * part.foreground_share:.2f} %",
            ]
            for part in summary
        ],
    )
    for part in ("val", "test"):
        groups = sorted({sample.group for sample in dataset.select(item.part(part))})
        if 0 < len(groups) <= _MAX_NAMED_GROUPS:
            say(f"{part}: {', '.join(groups)}")


def _warn(dataset: "Dataset", item: "Split") -> None:
    from glomseg.data.groups import NO_GROUPS

    if dataset.grouping == NO_GROUPS:
        say_warning(
            "the names do not tell which slide a tile is from, so tiles of one slide may be on both sides and figures "
            "may flatter; name the slides with --group-pattern or --group-column"
        )
    elif item.leaking_groups:
        n_groups = len({sample.group for sample in dataset.samples})
        say_warning(
            f"{len(item.leaking_groups)} of {n_groups} groups have tiles in more than one part: "
            "neighbouring tiles leak, and every figure will flatter. Use --by group for honest ones"
        )
