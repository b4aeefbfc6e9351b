"""glomseg split."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.cli.options import DatasetOptions, open_with

if TYPE_CHECKING:
    from glomseg.data.statistics import TileStatistics
    from glomseg.types import Dataset, Split


def split(
    data: Path,
    *,
    val: float = 0.2,
    test: float = 0.0,
    folds: int | None = None,
    seed: int = 0,
    by: Literal["group", "tile"] = "group",
    out: Path | None = None,
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
    from glomseg.data.split import make_folds, make_split, write_mmseg_lists, write_split
    from glomseg.data.statistics import scan_masks

    dataset = open_with(data, options)
    out = out or (data if data.is_dir() else data.parent) / "splits"
    with progress_bar("reading masks", unit="tile") as bar:
        statistics = scan_masks(dataset, progress=bar)
    if folds is None:
        chosen = make_split(dataset, val=val, test=test, seed=seed, by=by, statistics=statistics)
        splits = {out: chosen}
        if chosen.leaking_groups:
            n_groups = len({sample.group for sample in dataset.samples})
            say_warning(
                f"{len(chosen.leaking_groups)} of {n_groups} groups have tiles in more than one part: "
                "neighbouring tiles leak, and every figure will flatter. Use --by group for honest ones"
            )
    else:
        made = make_folds(dataset, folds=folds, seed=seed, statistics=statistics)
        splits = {out / f"fold-{number}": item for number, item in enumerate(made, start=1)}
    for folder, item in splits.items():
        write_split(folder / "split.json", item)
        write_mmseg_lists(folder, item)
        _show(folder, dataset, item, statistics)
    say(f"groups: {dataset.grouping}", f"Written to {out}")


def _show(folder: Path, dataset: "Dataset", item: "Split", statistics: "tuple[TileStatistics, ...]") -> None:
    from glomseg.data.split import summarize_split

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
            for part in summarize_split(dataset, item, statistics)
            if part.n_tiles
        ],
    )
