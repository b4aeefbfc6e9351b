"""Choosing the threshold, the smallest object and test-time augmentation on tiles that the models never saw."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glomseg.data.normalisation import look_of_region
from glomseg.data.tiles import read_tile, read_tile_mask
from glomseg.errors import InvalidInputError, did_you_mean
from glomseg.inference.ensemble import SmallestObject
from glomseg.inference.loading import load_predictor
from glomseg.measure import connected_components
from glomseg.metrics.matching import label_objects, match_objects
from glomseg.metrics.objects import ObjectCounts, count_objects, object_figures
from glomseg.metrics.pixels import PixelCounts, count_pixels, pixel_metrics
from glomseg.progress import ProgressBars, no_progress
from glomseg.training.run import score_of
from glomseg.types import IGNORE_INDEX, Dataset, Prediction, Sample, TestTimeAugmentation

CHOICES = ("threshold", "min-size", "tta")
"""What can be chosen."""

THRESHOLDS = tuple(round(0.2 + 0.05 * step, 2) for step in range(13))
"""Probabilities of the foreground that are tried: 0.2, 0.25, ... 0.8."""

SIZE_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Smallest diameters that are tried, as shares of the true objects' median diameter."""

_Counts = TypeVar("_Counts", PixelCounts, ObjectCounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A model of a fold, and the tiles that it never saw."""

    model: Path
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen.

    Attributes
    ----------
    threshold, tta, smallest
        As in `Ensemble`; None where it was not to be chosen, or where the default is best.
    record
        What was tried with its figures, in plain values.
    notes
        The same in sentences.
    """

    threshold: float | None
    tta: TestTimeAugmentation | None
    smallest: SmallestObject | None
    record: Mapping[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOption:
    """The best of some options, the first of which is the default.

    Attributes
    ----------
    scores
        The figure of each option over all folds.
    best
        The position of the one with the best figure; the first one of equals.
    nested
        The figure where each fold takes the option that is best on the others.
    """

    scores: tuple[float, ...]
    best: int
    nested: float

    @property
    def position(self) -> int:
        """The position to choose: the best one if choosing gained something on other folds too, else the default."""
        return self.best if self.nested > self.scores[0] else 0


def best_option(counts: Sequence[Sequence[_Counts]], score: Callable[[_Counts], float]) -> BestOption:
    """Return which option is best, what it gains where it was chosen, and what choosing gains elsewhere.

    Parameters
    ----------
    counts
        For each fold, what each option counts in its held-out tiles. Two folds or more.
    score
        The figure of counts, higher is better.
    """

    def scores(folds: Sequence[Sequence[_Counts]]) -> tuple[float, ...]:
        return tuple(score(reduce(operator.add, of_option)) for of_option in zip(*folds, strict=True))

    def best(found: Sequence[float]) -> int:
        return max(range(len(found)), key=lambda position: found[position])

    everywhere = scores(counts)
    folds = list(counts)
    apart = [fold[best(scores(folds[:place] + folds[place + 1 :]))] for place, fold in enumerate(folds)]
    return BestOption(scores=everywhere, best=best(everywhere), nested=score(reduce(operator.add, apart)))


def check_choices(choices: Sequence[str], dataset: Dataset) -> None:
    """Raise InvalidInputError if one of the choices is none, or the data set has too many classes for it."""
    for name in choices:
        if name not in CHOICES:
            raise InvalidInputError(f"--choose {name!r}: {did_you_mean(name, CHOICES)}")
    if "threshold" in choices and len(dataset.classes) != 2:
        raise InvalidInputError(
            f"--choose threshold is for two classes, and the data set has {len(dataset.classes)} "
            f"({', '.join(dataset.classes.names)}): leave it out"
        )


def choose(
    folds: Sequence[HeldOut],
    dataset: Dataset,
    *,
    choices: Sequence[str],
    figure: str,
    default_threshold: float = 0.5,
    device: str = "auto",
    precision: str = "auto",
    progress: ProgressBars = no_progress,
) -> Choice:
    """Choose what is best on tiles that were held out, and say what it gains there.

    Threshold and test-time augmentation are chosen together by a figure of pixels; with these, the smallest object by
    the F1 of the objects of all classes. The default is kept where nothing is better, or where what is best on some
    folds is no better on the others.

    Parameters
    ----------
    folds
        Two or more.
    dataset
        The tiles.
    choices
        Of `CHOICES`.
    figure
        By which pixels are judged; as `run.best_metric` of the settings.
    default_threshold
        What the models take where nothing is chosen.
    device, precision
        As in `load_predictor`.
    progress
        Where to report.
    """
    predict = _Predictions(folds, dataset, device=device, precision=precision, progress=progress)
    views = [None, TestTimeAugmentation()] if "tta" in choices else [None]
    thresholds: list[float | None] = [None]
    if "threshold" in choices:
        thresholds = [*sorted({*THRESHOLDS, default_threshold}, key=lambda value: abs(value - default_threshold))]
    options = [(view, threshold) for view in views for threshold in thresholds]
    view, threshold = options[0]
    record: dict[str, Any] = {}
    notes: list[str] = []
    if len(options) > 1:
        best = best_option(
            _pixel_counts(predict, views=views, thresholds=thresholds),
            lambda counts: score_of(pixel_metrics(counts), figure),
        )
        view, threshold = options[best.position]
        tried = [
            {"tta": of is not None, "threshold": at, figure: score}
            for (of, at), score in zip(options, best.scores, strict=True)
        ]
        record["pixels"] = {"figure": figure, **_outcome(best), "tried": tried}
        words = [f"test-time augmentation {'off' if view is None else 'on'}"] if len(views) > 1 else []
        words += [] if threshold is None else [f"threshold {threshold:g}"]
        notes.append(_note(", ".join(words), best, figure=figure))
    smallest = None
    if "min-size" in choices and (sizes := _sizes(folds, dataset)):
        best = best_option(_object_counts(predict, view=view, threshold=threshold, sizes=sizes), _f1)
        smallest = sizes[best.position]
        tried = [{**asdict(size), "f1": score} for size, score in zip(sizes, best.scores, strict=True)]
        record["objects"] = {"figure": "f1", **_outcome(best), "tried": tried}
        notes.append(_note(f"smallest diameter {smallest.diameter:g} {smallest.unit}", best, figure="F1 of objects"))
    chosen = {
        "threshold": threshold,
        "tta": None if view is None else asdict(view),
        "smallest": None if smallest is None else asdict(smallest),
    }
    return Choice(threshold=threshold, tta=view, smallest=smallest, record=chosen | record, notes=tuple(notes))


def _outcome(best: BestOption) -> dict[str, float]:
    return {"default": best.scores[0], "best": best.scores[best.best], "nested": best.nested}


def _note(what: str, best: BestOption, *, figure: str) -> str:
    outcome = {name: f"{100 * value:.2f}" for name, value in _outcome(best).items()}
    if best.position == 0:
        return (
            f"Chosen on the held-out tiles: the default, {what}, with a {figure} of {outcome['default']}. The best of "
            f"what was tried has {outcome['best']} on the same tiles, but chosen for each fold on the other folds it "
            f"is {outcome['nested']}: choosing gains nothing."
        )
    return (
        f"Chosen on the held-out tiles: {what}, with a {figure} of {outcome['best']}; {outcome['default']} by default. "
        "The former flatters, since it was chosen on the same tiles: chosen for each fold on the other folds, it is "
        f"{outcome['nested']}."
    )


class _Predictions:
    """Predicts the held-out tiles, as often as it is asked: keeping all probabilities could fill the memory."""

    def __init__(
        self, folds: Sequence[HeldOut], dataset: Dataset, *, device: str, precision: str, progress: ProgressBars
    ) -> None:
        self.folds, self.dataset, self.progress = folds, dataset, progress
        self.device, self.precision = device, precision

    def each(
        self, views: Sequence[TestTimeAugmentation | None], description: str
    ) -> Iterator[tuple[int, NDArray[np.uint8], list[Prediction]]]:
        """Yield for each tile the position of its fold, the truth (H, W), and the prediction of each view."""
        done, total = 0, sum(len(fold.samples) for fold in self.folds)
        with self.progress(description, unit="tile") as bar:
            for position, fold in enumerate(self.folds):
                predictors = [
                    load_predictor(fold.model, tta=view or False, device=self.device, precision=self.precision)
                    for view in views
                ]
                for sample in fold.samples:
                    image, target = read_tile(self.dataset, sample)
                    mpp = self.dataset.mpp
                    look = look_of_region(self.dataset, sample, predictors[0].card)
                    found = [item.predict(image, mpp=mpp, look=look, keep_probabilities=True) for item in predictors]
                    yield position, target, found
                    done += 1
                    bar(done, total)


def _mask(prediction: Prediction, threshold: float | None) -> NDArray[np.uint8]:
    if threshold is None:
        return prediction.mask
    assert prediction.probabilities is not None
    return np.asarray(prediction.probabilities[1] > threshold, np.uint8)


def _pixel_counts(
    predict: _Predictions, *, views: Sequence[TestTimeAugmentation | None], thresholds: Sequence[float | None]
) -> list[list[PixelCounts]]:
    """Return for each fold what each threshold of each view counts."""
    n_classes = len(predict.dataset.classes)
    counts = [[PixelCounts.zero(n_classes)] * (len(views) * len(thresholds)) for _ in predict.folds]
    for fold, target, predictions in predict.each(views, "trying thresholds and views"):
        masks = (_mask(prediction, threshold) for prediction in predictions for threshold in thresholds)
        for option, mask in enumerate(masks):
            counts[fold][option] += count_pixels(target=target, prediction=mask, n_classes=n_classes)
    return counts


def _object_counts(
    predict: _Predictions,
    *,
    view: TestTimeAugmentation | None,
    threshold: float | None,
    sizes: Sequence[SmallestObject],
) -> list[list[ObjectCounts]]:
    """Return for each fold what each smallest size counts."""
    dataset = predict.dataset
    counts = [[ObjectCounts()] * len(sizes) for _ in predict.folds]
    for fold, target, (prediction,) in predict.each([view], "trying smallest sizes"):
        mask, ignored = _mask(prediction, threshold), target == IGNORE_INDEX
        for class_index in range(1, len(dataset.classes)):
            true = label_objects(target, class_index=class_index)
            for option, size in enumerate(sizes):
                found = label_objects(mask, class_index=class_index, min_area_px=size.area_px(dataset.mpp) or 0)
                matching = match_objects(target=true, prediction=found, ignored=ignored)
                counts[fold][option] += count_objects(matching, size_limits_px=(np.nan, np.nan))
    return counts


def _f1(counts: ObjectCounts) -> float:
    value = float(object_figures(counts.vector)["f1"].value)
    return value if value == value else -1.0


def _sizes(folds: Sequence[HeldOut], dataset: Dataset) -> list[SmallestObject]:
    """Return the smallest sizes to try, 0 first; none where there is no whole object."""
    areas: list[int] = []
    for sample in (sample for fold in folds for sample in fold.samples):
        objects = connected_components(read_tile_mask(dataset, sample), n_classes=len(dataset.classes))
        areas += [item.area_px for item in objects if not item.touches_border]
    if not areas:
        return []
    median = 2 * float(np.sqrt(np.median(areas) / np.pi)) * (dataset.mpp or 1.0)
    return [
        SmallestObject(diameter=float(f"{share * median:.2g}"), unit="px" if dataset.mpp is None else "um")
        for share in SIZE_SHARES
    ]
