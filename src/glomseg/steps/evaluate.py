"""Evaluate a model on a part of a data set, and write down what it did well and where it failed."""

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg._version import __version__
from glomseg.data.normalisation import look_of_region
from glomseg.data.predictions import KeptPrediction, expected_error_share, write_predictions
from glomseg.data.record import hash_tile
from glomseg.data.split import PARTS, read_split
from glomseg.data.tiles import read_tile
from glomseg.errors import GlomsegError, InvalidInputError
from glomseg.export.pictures import error_map, in_a_row, overlay
from glomseg.export.plots import save_confusion_matrix
from glomseg.files import make_folder, sha256_of
from glomseg.images import write_png
from glomseg.inference.predictor import Predictor, load_predictor
from glomseg.metrics.boundary import TOLERANCE
from glomseg.metrics.evaluation import Evaluation, TileCounts, evaluate_counts
from glomseg.metrics.object_evaluation import measure_objects
from glomseg.metrics.pixels import count_pixels
from glomseg.progress import ProgressBars, no_progress
from glomseg.runs import RunFolder, model_path
from glomseg.steps.evaluation_files import write_evaluation
from glomseg.steps.evaluation_notes import evaluation_notes
from glomseg.steps.naming import file_stems
from glomseg.types import Classes, Dataset, ModelCard, Prediction, Sample, TestTimeAugmentation

_HASH_DIGITS = 16
"""How much of an image's SHA-256 a model card keeps."""


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
    min_area_px: int = 0,
    tolerance: float = TOLERANCE,
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
        A model file; a run folder, whose best model is taken; or a checkpoint of MMSegmentation with its config in it.
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
        Smaller predicted objects are not counted among the objects; pixels are counted all the same.
    tolerance
        How far an outline may lie off in the surface Dice, in um, or in px where the data set has no mpp.
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
    if min_area_px < 0:
        raise InvalidInputError(f"--min-area {min_area_px} is below zero; 0 counts every object")
    if not 0 <= tolerance < math.inf:
        raise InvalidInputError(f"--tolerance {tolerance} is no distance; it is 0 or more, and 5 by default")
    predictor = load_predictor(model, weights=weights, device=device, precision=precision, tta=tta)
    classes = _check_classes(predictor.card, dataset)
    part = part or default_part(model, dataset, split=split)
    samples, split = _samples(dataset, model_path(model), part=part, split=split)
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
    image_hashes = {name: digest[:_HASH_DIGITS] for name, digest in tile_hashes.items()}
    notes = (*predictor.notes, *evaluation_notes(predictor.card, evaluation, image_hashes, mpp=dataset.mpp))
    drawn = [name for name in dict.fromkeys([*maps, *_worst(tiles, n_worst)]) if name not in failed]
    write_predictions(out, dataset, measured.kept)
    save_confusion_matrix(out / "confusion_matrix", evaluation.counts, classes)
    pictures, undrawn = _write_maps(out / "maps", predictor, dataset, drawn)
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
    n_classes = len(dataset.classes)
    stems = _file_stems(dataset)
    measured = _Measured(tiles=[], hashes={}, kept=[], failed={})
    with progress("evaluating", unit="tile") as bar:
        for done, sample in enumerate(samples, start=1):
            try:
                image, target = read_tile(dataset, sample)
                look = look_of_region(dataset, sample, predictor.card)
                predicted = predictor.predict(image, mpp=dataset.mpp, look=look, keep_probabilities=True)
                measured.hashes[sample.name] = hash_tile(sample)
            except GlomsegError as error:
                measured.failed[sample.name] = str(error)
            else:
                measured.kept.append(_keep(predicted, sample.name, out=out, stem=stems[sample.name]))
                counts = count_pixels(target=target, prediction=predicted.mask, n_classes=n_classes)
                objects = measure_objects(
                    target=target,
                    prediction=predicted.mask,
                    n_classes=n_classes,
                    mpp=dataset.mpp,
                    min_area_px=min_area_px,
                    tolerance=tolerance,
                )
                tile = TileCounts(name=sample.name, group=sample.group, counts=counts, objects=objects)
                measured.tiles.append(tile)
            bar(done, len(samples))
    return measured


def _check_classes(card: ModelCard, dataset: Dataset) -> Classes:
    if card.classes.names != dataset.classes.names:
        raise InvalidInputError(
            f"the model knows the classes {', '.join(card.classes.names)}, but the data set has "
            f"{', '.join(dataset.classes.names)}; give the data's classes with --classes in the model's order and words"
        )
    return card.classes


def _samples(
    dataset: Dataset, model: Path, *, part: str, split: str | os.PathLike[str] | None
) -> tuple[tuple[Sample, ...], Path | None]:
    """Return the tiles of a part, and the split that says which these are."""
    if part not in (*PARTS, "all"):
        raise InvalidInputError(f"--part {part!r} is none of {', '.join(PARTS)}, all")
    if part == "all":
        return dataset.samples, None
    if split is None:
        split = RunFolder(model.parent).split
        if not split.is_file():
            raise InvalidInputError(
                f"--part {part} needs a split, and {str(model)!r} does not lie in a run folder that has one; "
                "name it with --split, or evaluate all tiles with --part all"
            )
    names = read_split(split).part(part)
    if not names:
        raise InvalidInputError(
            f"the part {part!r} of the split {str(split)!r} is empty; choose another --part, or make a split that has "
            f"it with `glomseg split {dataset.root} --test 0.2`"
        )
    known = {sample.name for sample in dataset.samples}
    missing = [name for name in names if name not in known]
    if missing:
        raise InvalidInputError(
            f"{len(missing)} of the {len(names)} tiles of the part {part!r} of {str(split)!r} are not in "
            f"{str(dataset.root)!r}, the first is {missing[0]!r}; the split was probably made for another data set: "
            "evaluate all tiles with --part all, or name this one's split with --split"
        )
    return dataset.select(names), Path(split)


def _file_stems(dataset: Dataset) -> dict[str, str]:
    """Return the name that each tile's files have: of all tiles, so that it is the same in every evaluation."""
    names = [sample.name for sample in dataset.samples]
    return dict(zip(names, file_stems(names), strict=True))


def _keep(predicted: Prediction, name: str, *, out: Path, stem: str) -> KeptPrediction:
    """Write a predicted mask, and return where it is and how sure the model was of it."""
    assert predicted.probabilities is not None
    file = f"predictions/{stem}.png"
    write_png(out / file, predicted.mask)
    doubt = expected_error_share(predicted.probabilities, predicted.mask)
    return KeptPrediction(name=name, file=file, doubt=doubt)


def _predict(
    predictor: Predictor, dataset: Dataset, sample: Sample
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    image, target = read_tile(dataset, sample)
    look = look_of_region(dataset, sample, predictor.card)
    return image, target, predictor.predict(image, mpp=dataset.mpp, look=look).mask


def _worst(tiles: Sequence[TileCounts], n_worst: int) -> list[str]:
    def n_wrong(tile: TileCounts) -> int:
        return tile.counts.n_pixels - int(np.trace(tile.counts.matrix))

    return [tile.name for tile in sorted(tiles, key=n_wrong, reverse=True)[:n_worst] if n_wrong(tile)]


def _write_maps(
    folder: Path, predictor: Predictor, dataset: Dataset, names: Sequence[str]
) -> tuple[list[Path], dict[str, str]]:
    """Draw the tiles of these names, and return the pictures, and why tiles have none.

    Tiles are read and predicted once more, since keeping every tile until the worst are known could fill the
    memory. A file that broke in between costs its map, not the figures.
    """
    classes = predictor.card.classes
    stems = _file_stems(dataset)
    written: list[Path] = []
    undrawn: dict[str, str] = {}
    for sample in dataset.select(names):
        try:
            image, target, prediction = _predict(predictor, dataset, sample)
        except GlomsegError as error:
            undrawn[sample.name] = str(error)
            continue
        marked = [overlay(image, mask, classes=classes) for mask in (target, prediction)]
        pictures = {"overlay": in_a_row([image, *marked], titles=("image", "truth", "prediction"))}
        for index, name in list(enumerate(file_stems(classes.names)))[1:]:
            pictures[f"{name}_errors"] = error_map(target=target, prediction=prediction, class_index=index, image=image)
        for kind, picture in pictures.items():
            path = folder / f"{stems[sample.name]}_{kind}.png"
            write_png(path, picture)
            written.append(path)
    return written, undrawn


def default_part(
    model: str | os.PathLike[str], dataset: Dataset, *, split: str | os.PathLike[str] | None = None
) -> str:
    """Return the part that says most about a model: "test", else "val" of its split, else "all" tiles.

    A split in the model's run folder that names none of the data set's tiles is of another data set, of which
    nothing was trained on: all tiles, then.
    """
    if split is None:
        split = RunFolder(model_path(model).parent).split
        if not split.is_file():
            return "all"
        parts = read_split(split)
        if {sample.name for sample in dataset.samples}.isdisjoint((*parts.train, *parts.val, *parts.test)):
            return "all"
    else:
        parts = read_split(split)
    return "test" if parts.test else "val" if parts.val else "all"
