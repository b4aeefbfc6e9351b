"""Predict whole slides: a mask, objects and a picture of each, and a table of all."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glomseg.errors import GlomsegError, InvalidInputError, OutputError
from glomseg.files import json_text, make_folder, read_json, sha256_of, write_csv
from glomseg.inference.predictor import Predictor, load_predictor
from glomseg.inference.slide import TILE_PX, predict_slide
from glomseg.inference.slide_grid import SlideGrid, slide_grid, working_downsample
from glomseg.inference.slide_store import open_store
from glomseg.inference.stage_times import StageTimes
from glomseg.measure.objects import ObjectSettings
from glomseg.progress import Progress, ProgressBars, no_progress
from glomseg.slides.fingerprint import slide_fingerprint
from glomseg.slides.opening import open_slide
from glomseg.slides.slide import Slide
from glomseg.slides.tissue import Tissue, find_tissue
from glomseg.steps.naming import file_stems
from glomseg.steps.slide_outputs import RECORD, SlideOutputs, table_columns, table_row, write_outputs

TABLE = "slides.csv"
"""The table of all slides, in the output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSettings:
    """How slides are predicted.

    Attributes
    ----------
    mpp
        Micrometres per pixel of the slides at full resolution, in place of what their files say.
    working_mpp
        Micrometres per pixel that the model works at, in place of what its card says.
    tissue_only
        Whether windows without tissue are taken for background instead of being predicted.
    objects
        What counts as one object.
    probabilities
        Whether ``probability.tif`` is written.
    batch_size
        Windows that the network sees at once; None takes 1 on a processor and 16 on a GPU.
    tile_px
        The largest side of what is read at once, in working pixels.
    n_threads
        Threads that read.
    """

    mpp: float | None = None
    working_mpp: float | None = None
    tissue_only: bool = True
    objects: ObjectSettings = field(default_factory=ObjectSettings)
    probabilities: bool = False
    batch_size: int | None = None
    tile_px: int = TILE_PX
    n_threads: int = 2

    def __post_init__(self) -> None:
        for option, mpp in (("--mpp", self.mpp), ("--working-mpp", self.working_mpp)):
            if mpp is not None and not 0 < mpp < 1000:
                raise InvalidInputError(f"{option} {mpp} is not a plausible number of micrometres per pixel")
        if self.batch_size is not None and self.batch_size < 1:
            raise InvalidInputError(f"--batch-size {self.batch_size} is below 1")
        if not 64 <= self.tile_px <= 2**14:
            raise InvalidInputError(f"--tile-size {self.tile_px} is not from 64 to 16,384 working pixels")
        if not 1 <= self.n_threads <= 256:
            raise InvalidInputError(f"--workers {self.n_threads} is not from 1 to 256")


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedSlide:
    """One slide of a batch.

    Attributes
    ----------
    slide
        Its file.
    folder
        Where its files were written.
    record
        What ``slide.json`` holds.
    is_new
        Whether it was predicted now, and not in an earlier run.
    """

    slide: Path
    folder: Path
    record: Mapping[str, Any]
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidesResult:
    """A batch of predicted slides.

    Attributes
    ----------
    slides
        In the order of the input.
    failed
        Slides that could not be predicted, with the reason.
    notes
        What a reader has to know to judge the predictions, in sentences.
    out
        The folder that everything was written to.
    """

    slides: tuple[PredictedSlide, ...]
    failed: dict[Path, str]
    notes: tuple[str, ...]
    out: Path


def predict_slides(
    model: str | os.PathLike[str],
    slides: Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    settings: SlideSettings = SlideSettings(),  # noqa: B008 (frozen)
    device: str = "auto",
    precision: str = "auto",
    progress: ProgressBars = no_progress,
) -> SlidesResult:
    """Predict whole slides and write, for each, a folder of its own below `out`, and ``slides.csv`` of all.

    The folder holds ``mask.tif``, ``probability.tif`` where asked for, ``objects.geojson``, ``objects.csv``,
    ``overlay.png`` and the record ``slide.json``. A slide whose record says that it was predicted with this model
    and these settings is not predicted again; one that was interrupted goes on from its last finished rows. A slide
    that cannot be read is reported and the rest goes on.

    Parameters
    ----------
    model
        As in `predict_images`.
    slides
        Files. `glomseg.steps.prediction_inputs.find_inputs` finds them in folders.
    out
        The folder to write to.
    weights
        A checkpoint of MMSegmentation; `model` is then its config.
    settings
        How they are predicted.
    device, precision
        As in `load_predictor`.
    progress
        Where to report: one bar a slide, counting windows.

    Raises
    ------
    InvalidInputError
        If an option makes no sense.
    OutputError
        If a file cannot be written, or would replace one that is not of an earlier prediction.
    """
    paths = [Path(path) for path in slides]
    predictor = load_predictor(model, weights=weights, device=device, precision=precision)
    batch = _Batch(predictor=predictor, settings=settings, out=make_folder(out), progress=progress)
    predicted: list[PredictedSlide] = []
    failed: dict[Path, str] = {}
    notes: list[str] = list(predictor.notes)
    try:
        for number, (path, name) in enumerate(
            zip(paths, file_stems(path.stem for path in paths), strict=True), start=1
        ):
            try:
                title = name if len(paths) == 1 else f"{name} ({number} of {len(paths)})"
                item, remarks = batch.predict(path, name=name, title=title)
            except OutputError:
                raise  # a full disk stays full for the next slide too
            except GlomsegError as error:
                failed[path] = str(error)
            else:
                predicted.append(item)
                notes += [f"{path.name}: {remark}" for remark in remarks]
    finally:
        rows = [table_row(item.slide, item.folder, item.record) for item in predicted]
        write_csv(Path(out) / TABLE, rows, columns=table_columns(predictor.card.classes))
    return SlidesResult(slides=tuple(predicted), failed=failed, notes=tuple(filter(None, notes)), out=Path(out))


class _Batch:
    """What all slides of a batch share."""

    def __init__(self, *, predictor: Predictor, settings: SlideSettings, out: Path, progress: ProgressBars) -> None:
        self.predictor = predictor
        self.settings = settings
        self.out = out
        self.progress = progress
        self.model_sha256 = sha256_of(predictor.file) if predictor.file else ""

    def predict(self, path: Path, *, name: str, title: str) -> tuple[PredictedSlide, list[str]]:
        """Return a predicted slide, from now or from before, and notes on it."""
        times = StageTimes()
        with times.stage("open"), _opened(path, self.settings) as slide:
            pass
        raise NotImplementedError
