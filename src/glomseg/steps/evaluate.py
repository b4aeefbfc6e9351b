"""Evaluate a model on a part of a data set, and write down what it did well and where it failed."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glomseg._version import __version__
from glomseg.data.split import read_split
from glomseg.data.store import read_pair
from glomseg.errors import GlomsegError, InvalidInputError
from glomseg.export.pictures import error_map, side_by_side
from glomseg.export.plots import save_confusion_matrix
from glomseg.files import make_folder, write_csv, write_json
from glomseg.images import write_png
from glomseg.inference.predictor import Predictor, load_predictor, model_path
from glomseg.metrics.evaluation import Evaluation, TileCounts, evaluate_counts, named_figures, named_intervals
from glomseg.metrics.pixels import count_pixels, pixel_metrics
from glomseg.progress import ProgressBars, no_progress
from glomseg.runs import RunFolder
from glomseg.types import Classes, Dataset, ModelCard, Sample

PARTS = ("train", "val", "test", "all")

MAX_NAME_LENGTH = 120
"""Characters of a tile's name that are kept in the names of its pictures."""


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
        Tiles that could not be read, with the reason.
    out
        The folder that everything was written to.
    """

    evaluation: Evaluation
    part: str
    notes: tuple[str, ...]
    failed: dict[str, str]
    out: Path


def evaluate_model(
    model: str | os.PathLike[str],
    dataset: Dataset,
    *,
    out: str | os.PathLike[str],
    part: str = "all",
    split: str | os.PathLike[str] | None = None,
    maps: Sequence[str] = (),
    n_worst: int = 4,
    device: str = "auto",
    precision: str = "auto",
    progress: ProgressBars = no_progress,
) -> EvaluationResult:
    """Measure a model on a part of a data set, at the tiles' own resolution.

    Writes ``evaluation.json``, ``tiles.csv``, ``groups.csv``, ``confusion_matrix.pdf`` and ``.png``, and
    the error maps of the worst tiles and of those that are asked for, into ``maps/``.

    Parameters
    ----------
    model
        A model file, or a run folder, whose best model is taken.
    dataset
        Tiles with masks, of the model's classes.
    out
        The folder to write to.
    part
        "train", "val" or "test" of the split, or "all" tiles of the data set.
    split
        A split file; None takes the one in the model's run folder.
    maps
        Names of tiles to draw error maps of.
    n_worst
        How many of the tiles with the most wrong pixels are drawn too.
    device, precision
        As in `load_predictor`.
    progress
        Where to report.

    Raises
    ------
    InvalidInputError
        If the classes differ from the model's, the part is empty, or no tile could be read.
    """
    predictor = load_predictor(model, device=device, precision=precision)
    classes = _check_classes(predictor.card, dataset)
    samples = _samples(dataset, model_path(model), part=part, split=split)
    unknown = set(maps) - {sample.name for sample in samples}
    if unknown:
        raise InvalidInputError(f"--map {sorted(unknown)[0]!r} is not a tile of the part {part!r}")

    tiles: list[TileCounts] = []
    failed: dict[str, str] = {}
    with progress("evaluating", unit="tile") as bar:
        for done, sample in enumerate(samples, start=1):
            try:
                _, target, prediction = _predict(predictor, dataset, sample)
            except GlomsegError as error:
                failed[sample.name] = str(error)
            else:
                counts = count_pixels(target=target, prediction=prediction, n_classes=len(classes))
                tiles.append(TileCounts(name=sample.name, group=sample.group, counts=counts))
            bar(done, len(samples))
    if not tiles:
        raise InvalidInputError(
            f"none of the {len(samples)} tiles could be read; the first: {next(iter(failed.values()))}"
        )

    evaluation = evaluate_counts(tiles, classes)
    notes = _notes(predictor.card, samples, evaluation)
    out = make_folder(out)
    _write_tables(out, evaluation, part=part, notes=notes, failed=failed, card=predictor.card)
    save_confusion_matrix(out / "confusion_matrix", evaluation.counts, classes)
    _write_maps(out / "maps", predictor, dataset, [*maps, *_worst(tiles, n_worst)])
    return EvaluationResult(evaluation=evaluation, part=part, notes=notes, failed=failed, out=out)


def _check_classes(card: ModelCard, dataset: Dataset) -> Classes:
    if card.classes.names != dataset.classes.names:
        raise InvalidInputError(
            f"the model knows the classes {', '.join(card.classes.names)}, but the data set has "
            f"{', '.join(dataset.classes.names)}; give the data's classes with --classes in the model's order and words"
        )
    return card.classes


def _samples(dataset: Dataset, model: Path, *, part: str, split: str | os.PathLike[str] | None) -> tuple[Sample, ...]:
    if part not in PARTS:
        raise InvalidInputError(f"--part {part!r} is none of {', '.join(PARTS)}")
    if part == "all":
        return dataset.samples
    if split is None:
        split = RunFolder(model.parent).split
        if not split.is_file():
            raise InvalidInputError(
                f"--part {part} needs a split, and {str(model)!r} does not lie in a run folder that has one; "
                "name it with --split, or evaluate all tiles with --part all"
            )
    samples = dataset.select(read_split(split).part(part))
    if not samples:
        raise InvalidInputError(f"the part {part!r} of the split {str(split)!r} is empty")
    return samples


def _predict(
    predictor: Predictor, dataset: Dataset, sample: Sample
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    image, target = read_pair(dataset, sample)
    return image, target, predictor.predict(image, mpp=dataset.mpp).mask


def _notes(card: ModelCard, samples: Sequence[Sample], evaluation: Evaluation) -> tuple[str, ...]:
    notes = []
    hashes = {_image_hash(sample) for sample in samples}
    trained = len(hashes & set(card.trained_on.get("train_images", ())))
    chosen = len(hashes & set(card.trained_on.get("val_images", ())))
    if trained:
        notes.append(
            f"{trained} of the {len(samples)} tiles were trained on: these figures say how well the model "
            "remembers, not how well it finds glomeruli elsewhere."
        )
    if chosen:
        notes.append(
            f"{chosen} of the {len(samples)} tiles chose the step at which the model was kept: "
            "the figures are somewhat too good. An untouched test part has no such advantage."
        )
    known = set(card.trained_on.get("train_groups", ())) & set(evaluation.groups)
    if known and not trained:
        notes.append(
            f"{len(known)} of the {len(evaluation.groups)} groups also have tiles that were trained on "
            f"({', '.join(sorted(known)[:3])}{', ...' if len(known) > 3 else ''}): neighbouring tiles leak."
        )
    n_groups = len(evaluation.groups)
    if n_groups < 6:
        notes.append(
            f"{n_groups} group{'s' if n_groups > 1 else ''} bear these figures: the intervals are far too narrow."
        )
    return tuple(notes)


def _image_hash(sample: Sample) -> str:
    try:
        with open(sample.image_path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:  # reported as a failed tile already
        return ""


def _write_tables(
    out: Path,
    evaluation: Evaluation,
    *,
    part: str,
    notes: Sequence[str],
    failed: dict[str, str],
    card: ModelCard,
) -> None:
    names = evaluation.classes.names
    columns = ["pixel_accuracy", "mean_iou", *(f"iou {name}" for name in names), *(f"recall {name}" for name in names)]

    def row(counts: Any) -> dict[str, Any]:
        metrics = pixel_metrics(counts)
        values = [metrics.pixel_accuracy, metrics.mean_iou, *metrics.iou, *metrics.recall]
        cells = {key: "" if value != value else round(value, 6) for key, value in zip(columns, values, strict=True)}
        return {"n_pixels": metrics.n_pixels, **cells}

    write_csv(
        out / "tiles.csv",
        ({"tile": tile.name, "group": tile.group, **row(tile.counts)} for tile in evaluation.tiles),
        columns=["tile", "group", "n_pixels", *columns],
    )
    n_tiles = {group: sum(tile.group == group for tile in evaluation.tiles) for group in evaluation.groups}
    write_csv(
        out / "groups.csv",
        (
            {"group": group, "n_tiles": n_tiles[group], **row(counts)}
            for group, counts in sorted(evaluation.groups.items())
        ),
        columns=["group", "n_tiles", "n_pixels", *columns],
    )
    write_json(
        out / "evaluation.json",
        {
            "glomseg": __version__,
            "part": part,
            "n_tiles": len(evaluation.tiles),
            "n_groups": len(evaluation.groups),
            "notes": list(notes),
            "failed": failed,
            "classes": asdict(evaluation.classes),
            "figures": named_figures(evaluation.metrics, names),
            "interval_level": evaluation.intervals.mean_iou.level,
            "intervals": named_intervals(evaluation.intervals, names),
            "confusion_matrix": evaluation.counts.matrix,
            "model": {"architecture": card.architecture, "provenance": card.provenance},
        },
    )


def _worst(tiles: Sequence[TileCounts], n_worst: int) -> list[str]:
    def n_wrong(tile: TileCounts) -> int:
        return tile.counts.n_pixels - int(np.trace(tile.counts.matrix))

    return [tile.name for tile in sorted(tiles, key=n_wrong, reverse=True)[:n_worst] if n_wrong(tile)]


def _write_maps(folder: Path, predictor: Predictor, dataset: Dataset, names: Sequence[str]) -> None:
    for sample in dataset.select(list(dict.fromkeys(names))):
        image, target, prediction = _predict(predictor, dataset, sample)
        stem = sample.name.replace("/", "_")[:MAX_NAME_LENGTH]
        titles = ("image", "prediction", "overlay")
        picture = side_by_side(image, prediction, classes=dataset.classes, titles=titles)
        write_png(folder / f"{stem}_overlay.png", picture)
        for class_index in range(1, len(dataset.classes)):
            picture = error_map(target=target, prediction=prediction, class_index=class_index, image=image)
            write_png(folder / f"{stem}_{dataset.classes.names[class_index]}_errors.png", picture)


def default_part(model: str | os.PathLike[str], *, split: str | os.PathLike[str] | None = None) -> str:
    """Return the part that says most about a model: "test", else "val" of its split, else "all" tiles."""
    split = RunFolder(model_path(Path(model)).parent).split if split is None else Path(split)
    if not split.exists():
        return "all"
    parts = read_split(split)
    return "test" if parts.test else "val" if parts.val else "all"
