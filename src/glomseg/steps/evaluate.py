"""Evaluate a model on a part of a data set, and write down what it did well and where it failed."""

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg._version import __version__
from glomseg.data.predictions import KeptPrediction, write_predictions
from glomseg.data.record import hash_tile, image_digits
from glomseg.errors import GlomsegError, InvalidInputError
from glomseg.export.plots import save_confusion_matrix
from glomseg.files import make_folder, sha256_of
from glomseg.images import write_png
from glomseg.inference.loading import load_predictor
from glomseg.inference.predictor import Predictor
from glomseg.inference.tiles import predict_tile
from glomseg.metrics.boundary import TOLERANCE
from glomseg.metrics.calibration import count_calibration
from glomseg.metrics.doubt import doubt_maps, tile_doubt
from glomseg.metrics.evaluation import Evaluation, TileCounts, evaluate_counts
from glomseg.metrics.object_evaluation import measure_objects
from glomseg.metrics.pixels import count_pixels
from glomseg.progress import ProgressBars, no_progress
from glomseg.runs import model_path
from glomseg.steps.evaluation.files import write_evaluation
from glomseg.steps.evaluation.maps import worst_tiles, write_maps
from glomseg.steps.evaluation.notes import evaluation_notes
from glomseg.steps.evaluation.part import check_classes, default_part, samples_of_part
from glomseg.steps.naming import tile_stems
from glomseg.types import Dataset, Prediction, Sample, TestTimeAugmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """An evaluation and its circumstances.

    Attributes
    ----------
    evaluation
        The figures.
    part
        The part of the split that was evaluated.
    notes
        What a reader has to know to judge the figures, in sentences.
    failed
        Tiles that could not be read and are left out, with the reason.
    undrawn
        Tiles that were measured, but could not be read again for their maps, with the reason.
    out
        The folder that everything was written to.
    """

    evaluation: Evaluation
    part: str
    notes: tuple[str, ...]
    failed: dict[str, str]
    undrawn: dict[str, str]
    out: Path


def evaluate_model(
    model: str | os.PathLike[str],
    dataset: Dataset,
    *,
    out: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    part: str | None = None,
    split: str | os.PathLike[str] | None = None,
    maps: Sequence[str] = (),
    n_worst: int = 4,
    min_area_px: int | None = None,
    tolerance: float = TOLERANCE,
    remarks: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    tta: TestTimeAugmentation | bool = False,
    progress: ProgressBars = no_progress,
) -> EvaluationResult:
    """Measure a model on a part of a data set, at the tiles' own resolution.

    Writes ``evaluation.json``, ``tiles.csv``, ``groups.csv``, ``objects.csv``, ``confusion_matrix.pdf`` and ``.png``,
    and the error maps of the worst tiles and of those that are asked for, into ``maps/``. The predicted masks are kept
    in ``predictions/``, and ``predictions.json`` says which tiles they belong to.

    Parameters
    ----------
    model
        A model file; a run folder, whose best model is taken; the folder of a cross-validation, whose models are taken
        together; or a checkpoint of MMSegmentation with its config in it.
    dataset
        Tiles with masks, of the model's classes.
    out
        The folder to write to. Files of an earlier evaluation there are replaced; its other maps stay.
    weights
        A checkpoint of MMSegmentation; `model` is then its config.
    part
        "train", "val" or "test" of the split, or "all" tiles of the data set; None takes `default_part`.
    split
        A split file; None takes the one in the model's run folder.
    maps
        Names of tiles to draw error maps of.
    n_worst
        How many of the tiles with the most wrong pixels are drawn too.
    min_area_px
        Smaller predicted objects are not counted among the objects; pixels are counted all the same. None takes the
        size that was chosen with an ensemble, else 0.
    tolerance
        How far an outline may lie off in the surface Dice, in um, or in px where the data set has no mpp.
    remarks
        Sentences that stand before the notes.
    device, precision, tta
        As in `load_predictor`.
    progress
        Where to report.

    Raises
    ------
    InvalidInputError
        If the classes differ from the model's, the part is empty, or no tile could be read.
    """
    if n_worst < 0:
        raise InvalidInputError(f"--worst {n_worst} is below zero; 0 draws no map but those asked for")
    if min_area_px is not None and min_area_px < 0:
        raise InvalidInputError(f"--min-area {min_area_px} is below zero; 0 counts every object")
    if not 0 <= tolerance < math.inf:
        raise InvalidInputError(f"--tolerance {tolerance} is no distance; it is 0 or more, and 5 by default")
    predictor = load_predictor(model, weights=weights, device=device, precision=precision, tta=tta)
    classes = check_classes(predictor.card, dataset)
    min_area_px = predictor.min_area_px(min_area_px, mpp=dataset.mpp)
    part = part or default_part(model, dataset, split=split)
    samples, split = samples_of_part(dataset, model_path(model), part=part, split=split)
    unknown = set(maps) - {sample.name for sample in samples}
    if unknown:
        raise InvalidInputError(
            f"--map {sorted(unknown)[0]!r} is not a tile of the part {part!r}; its tiles are called "
            f"{samples[0].name!r} and so on"
        )
    out = make_folder(out)  # before hours of work, not after
    measured = _measure_tiles(
        predictor, dataset, samples, out=out, min_area_px=min_area_px, tolerance=tolerance, progress=progress
    )
    tiles, tile_hashes, failed = measured.tiles, measured.hashes, measured.failed
    if not tiles:
        raise InvalidInputError(
            f"none of the {len(samples)} tiles could be read; the first: {next(iter(failed.values()))}"
        )

    evaluation = evaluate_counts(tiles, classes)
    image_hashes = {name: image_digits(digest) for name, digest in tile_hashes.items()}
    of_slides = any(sample.region is not None for sample in samples)
    found = evaluation_notes(predictor.card, evaluation, image_hashes, mpp=dataset.mpp, of_slides=of_slides)
    notes = (*remarks, *predictor.notes, *found)
    drawn = [name for name in dict.fromkeys([*maps, *worst_tiles(tiles, n_worst)]) if name not in failed]
    write_predictions(out, dataset, measured.kept)
    save_confusion_matrix(out / "confusion_matrix", evaluation.counts, classes)
    pictures, undrawn = write_maps(out / "maps", predictor, dataset, drawn)
    card = predictor.card
    write_evaluation(
        out,
        evaluation,
        circumstances={
            "glomseg": __version__,
            "model": {
                "file": predictor.file,
                "sha256": sha256_of(weights or model_path(model)),
                "architecture": card.architecture,
                "scaling": asdict(card.scaling),
                "provenance": card.provenance,
            },
            "data": dataset.root,
            "mpp": dataset.mpp,
            "part": part,
            "split": split,
            "device": str(predictor.device),
            "precision": predictor.precision,
            "tta": None if predictor.tta is None else asdict(predictor.tta),
            "notes": notes,
            "failed": failed,
            "undrawn": undrawn,
            "maps": [f"maps/{picture.name}" for picture in pictures],
        },
        tile_hashes=tile_hashes,
        mpp=dataset.mpp,
        min_area_px=min_area_px,
        tolerance=tolerance,
    )
    return EvaluationResult(evaluation=evaluation, part=part, notes=notes, failed=failed, undrawn=undrawn, out=out)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What was counted, kept and left out while the tiles were read."""

    tiles: list[TileCounts]
    hashes: dict[str, str]
    kept: list[KeptPrediction]
    failed: dict[str, str]


def _measure_tiles(
    predictor: Predictor,
    dataset: Dataset,
    samples: Sequence[Sample],
    *,
    out: Path,
    min_area_px: int,
    tolerance: float,
    progress: ProgressBars,
) -> _Measured:
    """Return the counts and the hashes of the tiles, and why tiles that could not be read have none.

    Every predicted mask is written at once: keeping all of them until the end could fill the memory.
    """
    stems = tile_stems(dataset)
    measured = _Measured(tiles=[], hashes={}, kept=[], failed={})
    with progress("evaluating", unit="tile") as bar:
        for done, sample in enumerate(samples, start=1):
            try:
                _, target, predicted = predict_tile(predictor, dataset, sample, keep_probabilities=True)
                measured.hashes[sample.name] = hash_tile(sample)
            except GlomsegError as error:
                measured.failed[sample.name] = str(error)
            else:
                tile = _measure_tile(
                    sample, target, predicted, mpp=dataset.mpp, min_area_px=min_area_px, tolerance=tolerance
                )
                file = f"predictions/{stems[sample.name]}.png"
                write_png(out / file, predicted.mask)
                measured.kept.append(KeptPrediction(name=sample.name, file=file, doubt=tile.doubt["expected_error"]))
                measured.tiles.append(tile)
            bar(done, len(samples))
    return measured


def _measure_tile(
    sample: Sample,
    target: NDArray[np.uint8],
    predicted: Prediction,
    *,
    mpp: float | None,
    min_area_px: int,
    tolerance: float,
) -> TileCounts:
    """Return what is right and wrong in one tile, and how sure the model was of it."""
    assert predicted.probabilities is not None
    n_classes = len(predicted.classes)
    doubt = doubt_maps(predicted.probabilities, predicted.mask, disagreement=predicted.disagreement)
    return TileCounts(
        name=sample.name,
        group=sample.group,
        counts=count_pixels(target=target, prediction=predicted.mask, n_classes=n_classes),
        objects=measure_objects(
            target=target,
            prediction=predicted.mask,
            n_classes=n_classes,
            mpp=mpp,
            min_area_px=min_area_px,
            tolerance=tolerance,
            doubt=doubt,
        ),
        calibration=count_calibration(target=target, prediction=predicted.mask, probabilities=predicted.probabilities),
        doubt=tile_doubt(doubt),
    )
