"""Predict whole slides: a mask, objects and a picture of each, and a table of all."""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from glomseg.data.normalisation import look_of_slide
from glomseg.errors import GlomsegError, InvalidInputError, OutputError
from glomseg.files import json_text, make_folder, sha256_of, write_csv, write_json
from glomseg.inference.loading import load_predictor, scale_note
from glomseg.inference.predictor import Predictor
from glomseg.inference.slide import TILE_PX, predict_slide
from glomseg.inference.slide_grid import slide_grid, working_downsample
from glomseg.inference.slide_store import SlideStore, open_store
from glomseg.inference.stage_times import StageTimes
from glomseg.measure import ObjectSettings, measure_glomeruli, summarize_glomeruli
from glomseg.progress import ProgressBars, no_progress, only_if_slow
from glomseg.slides.fingerprint import slide_fingerprint
from glomseg.slides.opening import open_slide
from glomseg.slides.slide import Slide
from glomseg.slides.tissue import find_tissue
from glomseg.steps.naming import file_stems
from glomseg.steps.slide_outputs import RECORD, output_names, refuse_foreign_folder, write_outputs
from glomseg.steps.slides_record import (
    describe_grid,
    describe_slide,
    describe_speed,
    describe_versions,
    earlier_record,
    file_sizes,
    recorded_rows,
    refuse_foreign_table,
    table_columns,
)
from glomseg.training.provenance import now
from glomseg.types import TestTimeAugmentation

TABLE = "slides.csv"
"""The table of all slides, in the output folder."""

_FORMAT = 1
_CPU_BATCH, _GPU_BATCH = 1, 16  # on a processor one window fills the cores, and its maps stay in the caches


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
        What counts as one object. A smallest diameter that was chosen with an ensemble takes the place of the default.
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
class PredictedSlides:
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
    settings: SlideSettings = SlideSettings(),
    device: str = "auto",
    precision: str = "auto",
    tta: TestTimeAugmentation | bool = False,
    engine: str | None = None,
    progress: ProgressBars = no_progress,
) -> PredictedSlides:
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
    device, precision, tta, engine
        As in `load_predictor`; views at other scales than the working one are refused.
    progress
        Where to report: one bar a slide, counting windows, and one for each other stage that takes long.

    Raises
    ------
    InvalidInputError
        If an option makes no sense.
    OutputError
        If a file cannot be written, or would replace one that is not of an earlier prediction.
    """
    paths = [Path(path) for path in slides]
    predictor = load_predictor(model, weights=weights, device=device, precision=precision, tta=tta, engine=engine)
    if predictor.tta is not None and predictor.tta.scales != (1.0,):
        raise InvalidInputError(
            f"slides are predicted at the working size alone, but the test-time augmentation is of "
            f"{predictor.tta.describe()}; choose flips with --tta-flips horizontal,vertical,both"
        )
    settings = _with_chosen_size(settings, predictor)
    refuse_foreign_table(Path(out) / TABLE)
    batch = _Batch(predictor=predictor, settings=settings, out=make_folder(out), progress=progress)
    predicted: list[PredictedSlide] = []
    failed: dict[Path, str] = {}
    notes: list[str] = list(predictor.notes)
    try:
        for number, (path, name) in enumerate(zip(paths, _folder_names(paths), strict=True), start=1):
            try:
                title = name if len(paths) == 1 else f"{name} ({number} of {len(paths)})"
                item, remarks = batch.predict(path, name=name, title=title)
            except OutputError:
                raise  # a full disk stays full for the next slide too
            except GlomsegError as error:
                failed[path] = str(error)
            else:
                predicted.append(item)
                notes += [f"{path.name}: {remark}" for remark in remarks if remark]
    finally:
        classes = predictor.card.classes
        write_csv(Path(out) / TABLE, recorded_rows(Path(out), classes=classes), columns=table_columns(classes))
    return PredictedSlides(slides=tuple(predicted), failed=failed, notes=tuple(notes), out=Path(out))


def _with_chosen_size(settings: SlideSettings, predictor: Predictor) -> SlideSettings:
    smallest, objects = predictor.smallest, settings.objects
    if smallest is None or smallest.unit != "um" or objects.min_diameter_um != ObjectSettings().min_diameter_um:
        return settings
    return replace(settings, objects=replace(objects, min_diameter_um=smallest.diameter))


class _Batch:
    """What all slides of a batch share."""

    def __init__(self, *, predictor: Predictor, settings: SlideSettings, out: Path, progress: ProgressBars) -> None:
        self.predictor = predictor
        self.settings = settings
        self.out = out
        self.progress = progress
        self.model = {
            "file": None if predictor.file is None else os.path.abspath(predictor.file),  # noqa: PTH100 (links stay)
            "sha256": None if predictor.file is None else sha256_of(predictor.file),
            "architecture": predictor.card.architecture,
            "device": predictor.device.type,
            "precision": predictor.precision,
            "engine": predictor.engine,
            "tta": None if predictor.tta is None else asdict(predictor.tta),
        }
        on_processor = predictor.device.type == "cpu"
        self.batch_size = settings.batch_size or (_CPU_BATCH if on_processor else _GPU_BATCH)

    def predict(self, path: Path, *, name: str, title: str) -> tuple[PredictedSlide, list[str]]:
        """Return a slide predicted now or before, and notes on it."""
        folder = self.out / name
        refuse_foreign_folder(folder)
        made_of = self._made_of(path)
        record, reason = earlier_record(folder, made_of, files=output_names(probabilities=self.settings.probabilities))
        if record is not None:
            return PredictedSlide(slide=path, folder=folder, record=record, is_new=False), []
        times = StageTimes()
        with times.stage("open"):
            slide = open_slide(path, mpp=self.settings.mpp)
        try:
            (folder / RECORD).unlink(missing_ok=True)  # from here on the files in the folder may be of two kinds
            record, resumed = self._predict(slide, folder, made_of=made_of, title=title, times=times)
        finally:
            slide.close()
        write_json(folder / RECORD, record)
        shutil.rmtree(_partial(folder), ignore_errors=True)
        item = PredictedSlide(slide=path, folder=folder, record=record, is_new=True)
        return item, [*slide.notes, scale_note(self.predictor.card, mpp=slide.mpp), reason or resumed]

    def _predict(
        self, slide: Slide, folder: Path, *, made_of: Mapping[str, Any], title: str, times: StageTimes
    ) -> tuple[dict[str, Any], str]:
        """Write everything but the record of one slide; return the record, and a note on an earlier start."""
        started_at, start = now(), time.perf_counter()
        card, settings = self.predictor.card, self.settings
        downsample = working_downsample(card, slide_mpp=slide.mpp, working_mpp=settings.working_mpp)
        bars, found, look = only_if_slow(self.progress), None, None
        with times.stage("tissue"), bars(f"{title}: tissue", unit="megapixel") as bar:
            if settings.tissue_only or card.stain is not None:
                found = find_tissue(slide, n_threads=settings.n_threads, progress=bar)
        tissue = found if settings.tissue_only else None
        if card.stain is not None and found is not None:
            with times.stage("stain"):
                look = look_of_slide(slide, found, method=card.stain.method, downsample=downsample)
        grid = slide_grid(
            slide.size_px,
            downsample=downsample,
            inference=card.inference,
            tissue=None if tissue is None else tissue.mask,
            tissue_downsample=1.0 if tissue is None else tissue.downsample,
        )
        with open_store(_partial(folder), height=grid.height, width=grid.width, made_of=made_of) as store:
            note, was_resumed = _resuming_note(store), store.n_bands_done > 0
            with self.progress(title, unit="window") as bar:
                predict_slide(
                    self.predictor,
                    slide,
                    grid=grid,
                    store=store,
                    batch_size=self.batch_size,
                    look=look,
                    tile_px=settings.tile_px,
                    n_threads=settings.n_threads,
                    times=times,
                    progress=bar,
                )
            mask, foreground = store.mask, store.foreground
            with times.stage("objects"), bars(f"{title}: objects", unit="group") as bar:
                glomeruli = measure_glomeruli(
                    mask,
                    classes=card.classes,
                    mpp=slide.mpp,
                    downsample=downsample,
                    probabilities=foreground,
                    tissue=None if tissue is None else tissue.mask,
                    tissue_downsample=1.0 if tissue is None else tissue.downsample,
                    settings=settings.objects,
                    progress=bar,
                )
            with times.stage("write"):
                write_outputs(
                    folder,
                    slide,
                    mask=mask,
                    foreground=foreground if settings.probabilities else None,
                    downsample=downsample,
                    glomeruli=glomeruli,
                    tissue=tissue,
                    classes=card.classes,
                    n_threads=settings.n_threads,
                    progress=bars,
                )
        times.add("total", time.perf_counter() - start)
        summary = summarize_glomeruli(
            glomeruli, classes=card.classes, mpp=slide.mpp, tissue_area_px=None if tissue is None else tissue.area_px
        )
        record = {
            "made_of": made_of,
            "slide": describe_slide(slide, given_mpp=settings.mpp),
            "model": self.model,
            "working": describe_grid(grid, mpp=slide.mpp),
            "stain": None if look is None else asdict(look),
            "settings": asdict(settings) | {"batch_size": self.batch_size},
            "summary": [asdict(item) for item in summary],
            "files": file_sizes(folder, output_names(probabilities=settings.probabilities)),
            "seconds": {stage: round(seconds, 4) for stage, seconds in times.seconds.items()},
            "speed": describe_speed(slide, tissue_mm2=summary[-1].tissue_area_mm2, seconds=times.seconds["total"]),
            "resumed": was_resumed,
            "versions": describe_versions(),
            "started_at": started_at,
            "finished_at": now(),
        }
        return record, note

    def _made_of(self, path: Path) -> dict[str, Any]:
        """Return everything that the results on a slide depend on: a record with the same needs no second prediction.

        How much is read and predicted at once is left out, since the result does not depend on it, and so is which
        files are wanted.
        """
        settings = asdict(self.settings)
        for name in ("batch_size", "tile_px", "n_threads", "probabilities"):
            del settings[name]
        model = {key: value for key, value in self.model.items() if key != "file"}
        made_of = {"format": _FORMAT, "model": model, "slide": slide_fingerprint(path), "settings": settings}
        plain: dict[str, Any] = json.loads(json_text(made_of))  # as it will be read back
        return plain


def _folder_names(slides: Sequence[Path]) -> list[str]:
    """Return for each slide the name of its folder; none is that of a folder in which tiles' predictions lie."""
    tile_folders = ("masks", "overlays")
    return file_stems([*tile_folders, *(path.stem for path in slides)])[len(tile_folders) :]


def _partial(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.partial")


def _resuming_note(store: SlideStore) -> str:
    if store.fresh_reason:
        return f"begun anew: {store.fresh_reason}"
    return "went on from where an earlier prediction was interrupted" if store.n_bands_done else ""
