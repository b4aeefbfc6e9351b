"""Make a model's probabilities what they say, by one number found on tiles that it did not learn from."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glomseg._version import __version__
from glomseg.data.record import hash_tile, image_digits
from glomseg.data.split import read_split
from glomseg.errors import GlomsegError, InvalidInputError
from glomseg.inference.loading import load_predictor
from glomseg.inference.predictor import Predictor
from glomseg.inference.tiles import predict_tile
from glomseg.metrics.calibration import CalibrationCounts, count_calibration
from glomseg.metrics.calibration_evaluation import CalibrationEvaluation, evaluate_calibration
from glomseg.metrics.intervals import Interval
from glomseg.metrics.temperature import TemperatureFit, fit_temperature, with_temperature
from glomseg.models.model_files import SUFFIX, load_model, save_model
from glomseg.progress import ProgressBars, no_progress
from glomseg.runs import RunFolder, folder_beside, model_path
from glomseg.steps.evaluation.part import check_classes, samples_of_part
from glomseg.types import IGNORE_INDEX, Dataset, ModelCard, Sample, TestTimeAugmentation

MAX_PIXELS = 2**19
"""Pixels that the temperature is fitted on: enough for three digits, and a few MB whatever the data set's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationResult:
    """A model with a temperature.

    Attributes
    ----------
    path
        The model file that was written.
    temperature, interval
        What was fitted, and from the groups how far it could move. A temperature that the model had is in it.
    n_tiles, n_groups, n_pixels
        What it rests on.
    before, after
        Calibration of these pixels without and with it. Of several groups each is measured at the temperature of the
        others, so `after` is what to expect of a new slide; of one group it flatters.
    notes
        What a reader has to know, in sentences.
    failed
        Tiles that could not be read and are left out, with the reason.
    """

    path: Path
    temperature: float
    interval: Interval
    n_tiles: int
    n_groups: int
    n_pixels: int
    before: CalibrationEvaluation
    after: CalibrationEvaluation
    notes: tuple[str, ...]
    failed: dict[str, str]


def calibrate_model(
    model: str | os.PathLike[str],
    dataset: Dataset,
    *,
    out: str | os.PathLike[str] | None = None,
    part: str = "val",
    split: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
    tta: TestTimeAugmentation | bool = False,
    progress: ProgressBars = no_progress,
) -> CalibrationResult:
    """Write a copy of a model whose probabilities have the temperature of the smallest log loss.

    Its masks stay what they are.

    Parameters
    ----------
    model
        A model file, or a run folder, whose best model is taken.
    dataset
        Tiles with masks, of the model's classes.
    out
        The file to write; None takes ``<model>-calibrated.safetensors`` beside the model, which is never touched.
    part
        "val", or "all" tiles of a data set that is kept for calibration.
    split
        A split file; None takes the one in the model's run folder.
    device, precision, tta
        As in `load_predictor`: predict with the same views.
    progress
        Where to report.

    Raises
    ------
    InvalidInputError
        If the tiles are those of the training or the test, the classes differ from the model's, none could be read,
        or no temperature makes the probabilities better.
    """
    path = model_path(model)
    out = Path(out) if out is not None else folder_beside(model) / f"{path.stem}-calibrated{SUFFIX}"
    if out.suffix != SUFFIX:
        raise InvalidInputError(f"--out {str(out)!r} has to end in {SUFFIX}: a glomseg model is written")
    if out.exists() and path.exists() and out.samefile(path):
        raise InvalidInputError(f"--out {str(out)!r} is the model itself, which is kept as it is; name another file")
    network, card = load_model(path)
    check_classes(card, dataset)
    samples = _samples(dataset, path, part=part, split=split)
    predictor = load_predictor(path, device=device, precision=precision, tta=tta)
    drawn = _draw_pixels(predictor, dataset, samples, progress=progress)
    if not drawn.groups:
        raise InvalidInputError(
            f"none of the {len(samples)} tiles could be read; the first: {next(iter(drawn.failed.values()))}"
        )
    hashes = {name: image_digits(digest) for name, digest in drawn.hashes.items()}
    _check_unseen(card, hashes)
    pixels = {group: _joined(tiles) for group, tiles in sorted(drawn.groups.items())}
    fit = fit_temperature([one.probabilities for one in pixels.values()], [one.target for one in pixels.values()])
    before, after = _measured(pixels, fit)
    temperature = card.inference.temperature * fit.temperature
    n_pixels = before.counts.n_pixels
    record = {
        "glomseg": __version__,
        "data": str(dataset.root),
        "part": part,
        "n_tiles": len(hashes),
        "n_groups": len(pixels),
        "n_pixels": n_pixels,
        "tta": None if predictor.tta is None else asdict(predictor.tta),
        "images": sorted(hashes.values()),
    }
    calibrated = replace(
        card,
        inference=replace(card.inference, temperature=temperature),
        provenance={**card.provenance, "calibration": record},
    )
    save_model(out, network, calibrated)
    before_it = card.inference.temperature
    return CalibrationResult(
        path=out,
        temperature=temperature,
        interval=replace(fit.interval, low=before_it * fit.interval.low, high=before_it * fit.interval.high),
        n_tiles=len(hashes),
        n_groups=len(pixels),
        n_pixels=n_pixels,
        before=before,
        after=after,
        notes=(*predictor.notes, *_notes(before, after, n_groups=len(pixels))),
        failed=drawn.failed,
    )


def _samples(dataset: Dataset, model: Path, *, part: str, split: str | os.PathLike[str] | None) -> tuple[Sample, ...]:
    if part in ("train", "test"):
        reason = (
            "a model is surer of the tiles that it learnt from than of any other"
            if part == "train"
            else "a figure of the test part means something only while nothing was chosen by it"
        )
        raise InvalidInputError(f"--part {part} is not for calibration: {reason}; use --part val")
    samples, _ = samples_of_part(dataset, model, part=part, split=split)
    file = RunFolder(model.parent).split if split is None else Path(split)
    if part == "all" and (split is not None or file.is_file()):
        parts = read_split(file)
        known = {sample.name for sample in samples}.intersection((*parts.train, *parts.test))
        if known:
            raise InvalidInputError(
                f"{len(known)} of the {len(samples)} tiles are of the training or test part of {str(file)!r}, the "
                f"first is {min(known)!r}: use --part val"
            )
    return samples


def _check_unseen(card: ModelCard, hashes: dict[str, str]) -> None:
    learnt = card.listed("train_images")
    seen = [name for name, digest in hashes.items() if digest in learnt]
    if seen:
        raise InvalidInputError(
            f"{len(seen)} of the {len(hashes)} tiles were trained on, the first is {seen[0]!r}: a model is surer of "
            "them than of any other; calibrate with tiles that it never saw, such as --part val"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pixels:
    """Some pixels of a group: (C, n) probabilities, (n,) predicted and true class."""

    probabilities: NDArray[np.float32]
    prediction: NDArray[np.uint8]
    target: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    groups: dict[str, list[_Pixels]]
    hashes: dict[str, str]
    failed: dict[str, str]


def _draw_pixels(
    predictor: Predictor, dataset: Dataset, samples: Sequence[Sample], *, progress: ProgressBars
) -> _Drawn:
    """Return the same number of pixels of each tile, drawn at random, so that memory does not grow with the tiles."""
    rng = np.random.default_rng(0)
    per_tile = max(1, MAX_PIXELS // len(samples))
    drawn = _Drawn(groups={}, hashes={}, failed={})
    with progress("predicting", unit="tile") as bar:
        for done, sample in enumerate(samples, start=1):
            try:
                _, target, predicted = predict_tile(predictor, dataset, sample, keep_probabilities=True)
                drawn.hashes[sample.name] = hash_tile(sample)
            except GlomsegError as error:
                drawn.failed[sample.name] = str(error)
            else:
                assert predicted.probabilities is not None
                known = np.flatnonzero(target != IGNORE_INDEX)
                chosen = known if len(known) <= per_tile else rng.choice(known, per_tile, replace=False)
                pixels = _Pixels(
                    probabilities=predicted.probabilities.reshape(len(dataset.classes), -1)[:, chosen],
                    prediction=predicted.mask.ravel()[chosen],
                    target=target.ravel()[chosen],
                )
                drawn.groups.setdefault(sample.group, []).append(pixels)
            bar(done, len(samples))
    return drawn


def _joined(tiles: Sequence[_Pixels]) -> _Pixels:
    return _Pixels(
        probabilities=np.concatenate([tile.probabilities for tile in tiles], axis=1),
        prediction=np.concatenate([tile.prediction for tile in tiles]),
        target=np.concatenate([tile.target for tile in tiles]),
    )


def _measured(pixels: dict[str, _Pixels], fit: TemperatureFit) -> tuple[CalibrationEvaluation, CalibrationEvaluation]:
    """Return the calibration before, and after with each group at the temperature of the others where there are any."""
    before: dict[str, CalibrationCounts] = {}
    after: dict[str, CalibrationCounts] = {}
    for (group, one), of_others in zip(pixels.items(), fit.without, strict=True):
        temperature = fit.temperature if np.isnan(of_others) else of_others
        counted: dict[str, Any] = {"target": one.target, "prediction": one.prediction}
        before[group] = count_calibration(**counted, probabilities=one.probabilities)
        after[group] = count_calibration(**counted, probabilities=with_temperature(one.probabilities, temperature))
    return evaluate_calibration(before), evaluate_calibration(after)


def _notes(before: CalibrationEvaluation, after: CalibrationEvaluation, *, n_groups: int) -> list[str]:
    notes = []
    if n_groups == 1:
        notes.append(
            "1 group bears the temperature: nothing tells whether it suits other slides, and the figures after it are "
            "of the pixels that it was fitted to."
        )
    if after.figures["log_loss"] >= before.figures["log_loss"]:
        notes.append(
            "The log loss of slides that were left out did not fall: the temperature does not carry over from slide "
            "to slide here, and the model is better left as it is."
        )
    return notes
