"""Write a data set as picture files that other programs train on."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from glomseg._version import __version__
from glomseg.data.record import combined_hash, hash_tiles
from glomseg.data.split import make_folds
from glomseg.data.tiles import read_tile
from glomseg.errors import GlomsegError, OutputError
from glomseg.files import json_text, make_folder, read_json, write_csv, write_json
from glomseg.images import read_mask_values, write_png
from glomseg.progress import ProgressBars, no_progress
from glomseg.steps.naming import file_stems
from glomseg.types import IGNORE_INDEX, Dataset, Sample

RECORD = "tiles.json"
"""What the set was made from: a folder that has it is gone on with, or left alone."""

N_FOLDS = 5
"""Of nnU-Net's cross-validation."""

TileLayout = Literal["pairs", "nnunet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSet:
    """A data set that was written as files.

    Attributes
    ----------
    out
        Its folder.
    n_tiles
        Pairs of image and mask in it.
    n_written
        Of these, the ones that this call wrote; an earlier one, cut off, had written the others.
    failed
        Tiles that could not be read, with the reason.
    """

    out: Path
    n_tiles: int
    n_written: int
    failed: dict[str, str]


def write_tiles(
    dataset: Dataset,
    *,
    out: str | os.PathLike[str],
    layout: TileLayout = "pairs",
    seed: int = 0,
    progress: ProgressBars = no_progress,
) -> TileSet:
    """Write every tile as a PNG image and a PNG mask of class indices, and say how the set was made.

    A call that was cut off is gone on with when it is made again. A tile that cannot be read is left out and the rest
    goes on.

    Parameters
    ----------
    dataset
        From `glomseg.open_slides` or `glomseg.open_dataset`.
    out
        The folder to write to.
    layout
        "pairs" writes ``images/<tile>.png``, ``masks/<tile>.png`` and ``tiles.csv`` with each tile's group;
        255 is ignored. "nnunet" writes ``imagesTr/<tile>_0000.png``, ``labelsTr/<tile>.png``, ``dataset.json`` and,
        where there are groups enough, ``splits_final.json`` with folds that never divide a group; the ignored value is
        the highest label there.
    seed
        Of the folds.
    progress
        Where to report.

    Raises
    ------
    OutputError
        If `out` holds another set, or other files.
    """
    out = Path(out)
    with progress("hashing tiles", unit="tile") as bar:
        record = _record(dataset, combined_hash(hash_tiles(dataset, progress=bar)), layout=layout)
    _claim(out, record)
    stems = file_stems(sample.name for sample in dataset.samples)
    ignore_value = IGNORE_INDEX if layout == "pairs" else len(dataset.classes)
    n_written, holds_ignored = 0, False
    kept: dict[str, Sample] = {}
    failed: dict[str, str] = {}
    with progress("writing tiles", unit="tile") as bar:
        for done, (sample, stem) in enumerate(zip(dataset.samples, stems, strict=True), start=1):
            image_path, mask_path = _paths(out, stem, layout=layout)
            try:
                if image_path.is_file() and mask_path.is_file():
                    stored = read_mask_values(mask_path)
                else:
                    image, mask = read_tile(dataset, sample)
                    stored = np.where(mask == IGNORE_INDEX, np.uint8(ignore_value), mask)
                    write_png(image_path, image)
                    write_png(mask_path, stored)
                    n_written += 1
                kept[stem] = sample
                holds_ignored = holds_ignored or bool((stored == ignore_value).any())
            except OutputError:
                raise
            except GlomsegError as error:
                failed[sample.name] = str(error)
            bar(done, len(dataset))
    if layout == "pairs":
        _write_table(out, kept)
    else:
        _write_nnunet_files(out, dataset, kept, holds_ignored=holds_ignored, seed=seed)
    return TileSet(out=out, n_tiles=len(kept), n_written=n_written, failed=failed)


def _record(dataset: Dataset, digest: str, *, layout: TileLayout) -> dict[str, Any]:
    return {
        "format": "glomseg tiles 1",
        "layout": layout,
        "source": str(dataset.root),
        "sha256": digest,
        "n_tiles": len(dataset),
        "mpp": dataset.mpp,
        "grouping": dataset.grouping,
        "classes": asdict(dataset.classes),
    }


def _claim(out: Path, record: Mapping[str, Any]) -> None:
    """Write down what the folder is going to hold, or raise if it holds anything else."""
    path = make_folder(out) / RECORD
    if path.is_file():
        before = read_json(path, what="record of a tile set")
        if not isinstance(before, dict) or {**before, "glomseg": None} != {**_as_read(record), "glomseg": None}:
            raise OutputError(
                f"{str(out)!r} holds tiles of other data or settings ({RECORD} tells which); choose another --out"
            )
    elif any(out.iterdir()):
        raise OutputError(f"{str(out)!r} holds other files already; choose another --out")
    else:
        write_json(path, {**record, "glomseg": __version__})


def _as_read(record: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json_text(record)))


def _paths(out: Path, stem: str, *, layout: TileLayout) -> tuple[Path, Path]:
    if layout == "pairs":
        return out / "images" / f"{stem}.png", out / "masks" / f"{stem}.png"
    return out / "imagesTr" / f"{stem}_0000.png", out / "labelsTr" / f"{stem}.png"


def _write_table(out: Path, kept: Mapping[str, Sample]) -> None:
    rows = [
        {
            "name": stem,
            "image": f"images/{stem}.png",
            "mask": f"masks/{stem}.png",
            "group": sample.group,
            "slide": "" if sample.region is None else sample.image_path.name,
            "x_px": "" if sample.region is None else round(sample.region.x, 2),
            "y_px": "" if sample.region is None else round(sample.region.y, 2),
        }
        for stem, sample in kept.items()
    ]
    write_csv(out / "tiles.csv", rows, columns=("name", "image", "mask", "group", "slide", "x_px", "y_px"))


def _write_nnunet_files(
    out: Path, dataset: Dataset, kept: Mapping[str, Sample], *, holds_ignored: bool, seed: int
) -> None:
    """Write ``dataset.json``, and ``splits_final.json`` where there are two groups or more."""
    names = [*dataset.classes.names, *(["ignore"] if holds_ignored else [])]
    write_json(
        out / "dataset.json",
        {
            "channel_names": {"0": "R", "1": "G", "2": "B"},
            "labels": {name: value for value, name in enumerate(names)},
            "numTraining": len(kept),
            "file_ending": ".png",
        },
    )
    renamed = replace(dataset, samples=tuple(replace(sample, name=stem) for stem, sample in kept.items()))
    n_groups = len({sample.group for sample in renamed.samples})
    if n_groups > 1:
        folds = make_folds(renamed, folds=min(N_FOLDS, n_groups), seed=seed)
        write_json(out / "splits_final.json", [{"train": fold.train, "val": fold.val} for fold in folds])
