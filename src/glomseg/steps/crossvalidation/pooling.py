"""One evaluation of the held-out tiles of all folds, each predicted by the model that never saw its group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glomseg._version import __version__
from glomseg.data.findings import counted
from glomseg.data.predictions import KeptPrediction, read_predictions, write_predictions
from glomseg.data.tiles import read_tile_mask
from glomseg.errors import InvalidInputError
from glomseg.export.plots import save_confusion_matrix
from glomseg.files import make_folder, read_json
from glomseg.images import read_mask, write_png
from glomseg.metrics.boundary import TOLERANCE
from glomseg.metrics.evaluation import Evaluation, TileCounts, evaluate_counts
from glomseg.metrics.object_evaluation import measure_objects
from glomseg.metrics.pixels import count_pixels
from glomseg.progress import ProgressBars, no_progress
from glomseg.steps.evaluation.files import EVALUATION_FILE, write_evaluation
from glomseg.steps.evaluation.notes import START_SAW, notes_on_groups
from glomseg.types import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledEvaluation:
    """The evaluation of all held-out tiles.

    Attributes
    ----------
    evaluation
        The figures, with intervals from the groups of all folds.
    notes
        What a reader has to know to judge the figures, in sentences.
    failed
        Tiles that could not be read, with the reason.
    """

    evaluation: Evaluation
    notes: tuple[str, ...]
    failed: dict[str, str]


def write_pooled_evaluation(
    folds: Sequence[Path], dataset: Dataset, *, out: Path, notes: Sequence[str], progress: ProgressBars = no_progress
) -> PooledEvaluation:
    """Put the evaluations of the folds together, and write the whole as an evaluation.

    The predicted masks that each fold kept are counted together with those of the others, so that what depends on all
    tiles (what is a small object, say) is of all tiles. Nothing is predicted.

    Parameters
    ----------
    folds
        The folders of their evaluations; no tile is in two of them.
    dataset
        The tiles.
    out
        The folder to write to.
    notes
        Sentences that stand before the others.
    progress
        Where to report.

    Raises
    ------
    InvalidInputError
        If a file of the folds' evaluations is damaged.
    """
    records = [_record(folder) for folder in folds]
    kept = {item.name: (folder, item) for folder in folds for item in read_predictions(folder)[1]}
    samples = [sample for sample in dataset.samples if sample.name in kept]
    make_folder(out)
    tiles = []
    with progress("counting held-out tiles", unit="tile") as bar:
        for done, sample in enumerate(samples, start=1):
            folder, item = kept[sample.name]
            target = read_tile_mask(dataset, sample)
            prediction = read_mask(folder / item.file, classes=dataset.classes)
            write_png(out / item.file, prediction)  # a page shows only what lies below its evaluation
            n_classes = len(dataset.classes)
            objects = measure_objects(target=target, prediction=prediction, n_classes=n_classes, mpp=dataset.mpp)
            counts = count_pixels(target=target, prediction=prediction, n_classes=n_classes)
            tiles.append(TileCounts(name=sample.name, group=sample.group, counts=counts, objects=objects))
            bar(done, len(samples))
    evaluation = evaluate_counts(tiles, dataset.classes)
    failed = {name: str(reason) for record in records for name, reason in record["failed"].items()}
    n_leaking = sum(any(START_SAW in note for note in record["notes"]) for record in records)
    leak = f"Held-out tiles of {counted(n_leaking, 'fold')} {START_SAW}: the figures flatter, do not report them."
    all_notes = (*([leak] if n_leaking else []), *notes, *notes_on_groups(evaluation))
    kept_tiles: list[KeptPrediction] = [kept[sample.name][1] for sample in samples]
    write_predictions(out, dataset, kept_tiles)
    save_confusion_matrix(out / "confusion_matrix", evaluation.counts, evaluation.classes)
    write_evaluation(
        out,
        evaluation,
        circumstances={
            "glomseg": __version__,
            "model": {
                "folds": {folder.parent.name: record["model"] for folder, record in zip(folds, records, strict=True)}
            },
            "data": dataset.root,
            "mpp": dataset.mpp,
            "part": "out-of-fold",
            "split": None,
            "device": records[0]["device"],
            "precision": records[0]["precision"],
            "tta": None,
            "notes": all_notes,
            "failed": failed,
            "undrawn": {},
            "maps": [],
        },
        tile_hashes={name: tile["sha256"] for record in records for name, tile in record["tiles"].items()},
        mpp=dataset.mpp,
        min_area_px=0,
        tolerance=TOLERANCE,
    )
    return PooledEvaluation(evaluation=evaluation, notes=all_notes, failed=failed)


def _record(folder: Path) -> Mapping[str, Any]:
    record = read_json(folder / EVALUATION_FILE, what="evaluation")
    wanted = ("model", "device", "precision", "failed", "tiles", "notes")
    if not isinstance(record, Mapping) or not all(key in record for key in wanted):
        raise InvalidInputError(f"evaluation {str(folder / EVALUATION_FILE)!r} is damaged; remove it to evaluate again")
    return record
