"""Measure the objects of mask pictures, and write them as a table and for QuPath."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glomseg.errors import GlomsegError
from glomseg.export.qupath import write_geojson
from glomseg.files import make_folder, write_csv
from glomseg.images import read_mask
from glomseg.measure import (
    OBJECT_COLUMNS,
    Glomerulus,
    ObjectSettings,
    SlideSummary,
    glomerulus_rows,
    measure_glomeruli,
    summarize_glomeruli,
)
from glomseg.progress import ProgressBars, no_progress
from glomseg.steps.inputs import find_images
from glomseg.steps.naming import file_stems
from glomseg.types import GLOMERULUS, Classes

TABLE = "objects.csv"
"""The table of all objects, in the output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredMask:
    """What was found on one mask picture, and where it was written for QuPath."""

    mask: Path
    geojson: Path
    glomeruli: tuple[Glomerulus, ...]
    summaries: tuple[SlideSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureResult:
    """A batch of measured masks.

    Attributes
    ----------
    masks
        In the order of the input.
    failed
        Inputs that could not be measured, with the reason.
    out
        The folder that everything was written to.
    """

    masks: tuple[MeasuredMask, ...]
    failed: dict[Path, str]
    out: Path


def measure_masks(
    masks: Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    classes: Classes = GLOMERULUS,
    mask_values: Sequence[int] | None = None,
    mpp: float | None = None,
    downsample: float = 1.0,
    settings: ObjectSettings = ObjectSettings(),  # noqa: B008 (frozen)
    object_type: Literal["annotation", "detection"] = "annotation",
    locked: bool = False,
    progress: ProgressBars = no_progress,
) -> MeasureResult:
    """Measure mask pictures and write ``objects.csv`` and, for each, ``geojson/<name>.geojson``.

    A file that cannot be read is reported and the rest goes on. The table is written when all is done, or with
    what there is when it is interrupted.

    Parameters
    ----------
    masks
        Files, folders and patterns such as ``masks/*.png``.
    out
        The folder to write to.
    classes, mask_values
        What the values in the masks mean, as in `read_mask`.
    mpp
        Micrometres per pixel of full resolution; without it nothing is given in micrometres.
    downsample
        Pixels of full resolution per pixel of the masks; coordinates are given in the former.
    settings
        What counts as one object.
    object_type, locked
        As in `write_geojson`.
    progress
        Where to report.

    Raises
    ------
    MissingInputError
        If a pattern fits nothing, or a folder has no image.
    InvalidInputError
        If an option makes no sense.
    OutputError
        If a file cannot be written.
    """
    paths = find_images(masks)
    out = make_folder(out)
    measured: list[MeasuredMask] = []
    failed: dict[Path, str] = {}
    try:
        with progress("measuring", unit="mask") as bar:
            names = file_stems(path.stem for path in paths)
            for done, (path, name) in enumerate(zip(paths, names, strict=True), start=1):
                try:
                    mask = read_mask(path, classes=classes, mask_values=mask_values)
                except GlomsegError as error:
                    failed[path] = str(error)
                else:
                    glomeruli = measure_glomeruli(
                        mask, classes=classes, mpp=mpp, downsample=downsample, settings=settings
                    )
                    geojson = write_geojson(
                        out / "geojson" / f"{name}.geojson",
                        glomeruli,
                        classes=classes,
                        object_type=object_type,
                        locked=locked,
                    )
                    summaries = summarize_glomeruli(glomeruli, classes=classes, mpp=mpp)
                    measured.append(
                        MeasuredMask(mask=path, geojson=geojson, glomeruli=tuple(glomeruli), summaries=summaries)
                    )
                bar(done, len(paths))
    finally:
        rows = (row for item in measured for row in glomerulus_rows(item.glomeruli, image=item.mask, classes=classes))
        write_csv(out / TABLE, rows, columns=OBJECT_COLUMNS)
    return MeasureResult(masks=tuple(measured), failed=failed, out=out)
