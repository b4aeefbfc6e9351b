"""Write the page on an evaluation: one HTML file that opens by itself."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glomseg.data.findings import counted
from glomseg.data.predictions import FILE_NAME, KeptPrediction, read_predictions
from glomseg.data.tiles import read_tile
from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError
from glomseg.files import read_json, read_text, sha256_of
from glomseg.images import read_mask
from glomseg.progress import ProgressBars, no_progress
from glomseg.report.embedding import TilePicture, picture_side_px, tile_picture
from glomseg.report.evaluation import EvaluationContents, write_evaluation_page
from glomseg.report.records import Record, record_of
from glomseg.runs import RunFolder, read_metrics
from glomseg.types import Dataset, Sample

_EVALUATION = "evaluation.json"
_KEY_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult:
    """A page that was written.

    Attributes
    ----------
    path
        The HTML file.
    n_tiles, n_pictures
        Tiles on the page, and those whose pictures are shown.
    notes
        What is missing on the page and why, in sentences.
    failed
        Tiles whose pictures could not be read, with the reason.
    """

    path: Path
    n_tiles: int
    n_pictures: int
    notes: tuple[str, ...]
    failed: dict[str, str]


def write_report(
    source: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    max_pictures: int = 400,
    progress: ProgressBars = no_progress,
) -> ReportResult:
    """Write one HTML file on an evaluation: figures, charts, and every tile with its truth and prediction.

    The same evaluation gives the same file.

    Parameters
    ----------
    source
        The folder of an evaluation; or a run folder, whose evaluation of the test part is taken, else of the
        validation part, else the first by name.
    out
        The file.
    data
        Where the data set lies now, if it was moved since.
    max_pictures
        At most so many tiles are shown, those with the most wrong pixels; the others are listed without a picture.
    progress
        Where to report.

    Raises
    ------
    MissingInputError
        If there is no evaluation.
    InvalidInputError
        If its files are damaged, or a number is out of range.
    OutputError
        If the page cannot be written.
    """
    if max_pictures < 0:
        raise InvalidInputError(f"--pictures {max_pictures} is below zero; 0 shows no picture")
    folder = _evaluation_folder(Path(source))
    record = read_json(folder / _EVALUATION, what="evaluation")
    if not isinstance(record, Mapping):
        raise InvalidInputError(f"{str(folder / _EVALUATION)!r} is not an evaluation; write it with `glomseg evaluate`")
    pictures: dict[str, TilePicture] = {}
    doubts: dict[str, float] = {}
    failed: dict[str, str] = {}
    notes: list[str] = []
    if (folder / FILE_NAME).is_file():
        dataset, kept = read_predictions(folder, root=data)
        doubts = {item.name: item.doubt for item in kept}
        chosen = _most_wrong(record, kept, max_pictures)
        if len(chosen) < len(kept):
            notes.append(
                f"Pictures of the {counted(len(chosen), 'tile')} with the most wrong pixels; "
                f"{len(kept) - len(chosen)} more are listed without."
            )
        pictures, failed = _pictures(folder, dataset, chosen, progress=progress)
    else:
        notes.append("The evaluation kept no predictions, so no tile is shown: evaluate again to see them.")
    if failed:
        name, reason = next(iter(failed.items()))
        notes.append(f"{counted(len(failed), 'tile')} cannot be shown; the first, {name}: {reason}")
    run = _run_of(folder, record)
    contents = EvaluationContents(
        record=record,
        objects=_object_rows(folder),
        pictures=pictures,
        doubts=doubts,
        training=[] if run is None else read_metrics(run),
        records=[] if run is None else _run_records(run),
        notes=notes,
    )
    write_evaluation_page(out, contents, key=sha256_of(folder / _EVALUATION)[:_KEY_DIGITS])
    return ReportResult(
        path=Path(out), n_tiles=len(record["tiles"]), n_pictures=len(pictures), notes=tuple(notes), failed=failed
    )


def _evaluation_folder(source: Path) -> Path:
    if (source / _EVALUATION).is_file():
        return source
    if not source.is_dir():
        raise MissingInputError(f"{str(source)!r} is not a folder; give a run folder, or the folder of an evaluation")
    found = sorted(path.parent for path in source.glob(f"*/{_EVALUATION}"))
    by_name = {path.name: path for path in found}
    for name in ("evaluation-test", "evaluation-val"):
        if name in by_name:
            return by_name[name]
    if not found:
        raise MissingInputError(
            f"there is no evaluation in {str(source)!r} ({_EVALUATION}); make one with "
            f"`glomseg evaluate {source} DATA`, and give its folder if it lies elsewhere"
        )
    return found[0]


def _most_wrong(record: Mapping[str, Any], kept: Sequence[KeptPrediction], n: int) -> tuple[KeptPrediction, ...]:
    """Return the n predictions with the most wrong pixels, in their own order."""

    def n_wrong(item: KeptPrediction) -> int:
        matrix = record["tiles"][item.name]["confusion_matrix"]
        return int(sum(map(sum, matrix)) - sum(row[index] for index, row in enumerate(matrix)))

    try:
        names = {item.name for item in sorted(kept, key=n_wrong, reverse=True)[:n]}
    except (KeyError, TypeError, IndexError) as error:
        raise InvalidInputError(
            f"{FILE_NAME} and {_EVALUATION} do not belong together ({error} is not in both); evaluate again"
        ) from error
    return tuple(item for item in kept if item.name in names)


def _pictures(
    folder: Path, dataset: Dataset, chosen: Sequence[KeptPrediction], *, progress: ProgressBars
) -> tuple[dict[str, TilePicture], dict[str, str]]:
    """Return the pictures of tiles by name, and why tiles have none."""
    samples = dataset.select([item.name for item in chosen])
    side_px = picture_side_px(len(samples))
    pictures: dict[str, TilePicture] = {}
    failed: dict[str, str] = {}

    def shown(pair: tuple[Sample, KeptPrediction]) -> TilePicture | GlomsegError:
        try:
            return _picture(folder, dataset, pair[0], kept=pair[1], side_px=side_px)
        except GlomsegError as error:
            return error

    with progress("shrinking tiles", unit="tile") as bar, ThreadPoolExecutor() as pool:
        pairs = list(zip(samples, chosen, strict=True))
        for done, (sample, picture) in enumerate(zip(samples, pool.map(shown, pairs), strict=True), start=1):
            if isinstance(picture, TilePicture):
                pictures[sample.name] = picture
            else:
                failed[sample.name] = str(picture)
            bar(done, len(samples))
    return pictures, failed


def _picture(folder: Path, dataset: Dataset, sample: Sample, *, kept: KeptPrediction, side_px: int) -> TilePicture:
    image, target = read_tile(dataset, sample)
    path = folder / kept.file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InvalidInputError(f"the prediction {kept.file!r} lies outside the evaluation {str(folder)!r}")
    prediction = read_mask(path, classes=dataset.classes)
    if prediction.shape != target.shape:
        raise InvalidInputError(
            f"prediction {str(path)!r} is {prediction.shape[1]}x{prediction.shape[0]} but its tile is "
            f"{target.shape[1]}x{target.shape[0]}; the tile was probably changed since: evaluate again"
        )
    return tile_picture(image, [target, prediction], side_px=side_px)


def _object_rows(folder: Path) -> list[dict[str, str]]:
    path = folder / "objects.csv"
    return list(csv.DictReader(io.StringIO(read_text(path, what="table of objects")))) if path.is_file() else []


def _run_of(folder: Path, record: Mapping[str, Any]) -> RunFolder | None:
    """Return the run that the evaluated model came from, where it can be found."""
    model = record.get("model")
    if not isinstance(model, Mapping):
        return None
    file = Path(str(model.get("file")))
    for place in (folder.parent, file.parent):
        run = RunFolder(place)
        candidate = place / file.name
        if run.manifest.is_file() and candidate.is_file() and sha256_of(candidate) == model.get("sha256"):
            return run
    return None


def _run_records(run: RunFolder) -> list[Record]:
    records = []
    for title, path in (("Training", run.manifest), ("Settings", run.settings)):
        values = read_json(path, what=title.lower()) if path.is_file() else None
        if isinstance(values, Mapping):
            records.append(record_of(title, values))
    return records
