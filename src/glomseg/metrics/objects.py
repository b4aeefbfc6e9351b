"""Figures from matched objects: counts that add up, and every figure computed from them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glomseg.metrics.figures import Figure, fraction, quotient, ratio
from glomseg.metrics.matching import Matching

IOU_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
"""0.50, 0.55, ... 0.95: where `ap_dsb` counts the objects that were found."""

SIZES = ("small", "middle", "large")

_NORMAL_95 = 1.959963984540054  # of a normal distribution 95 % lie within so many standard deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCounts:
    """What happened to the objects of one class, as numbers that add up over tiles, groups and data sets with `+`.

    Attributes
    ----------
    n_tiles
        Number of tiles.
    n_targets, n_predictions
        True and predicted objects.
    n_found
        Pairs: true objects with a predicted one of an IoU of 0.5 or more.
    n_found_at
        Of these, those that reach each of `IOU_THRESHOLDS`.
    sum_iou
        Sum of the IoU of all pairs.
    n_merges, n_splits
        Predictions that cover several true objects, and true objects in several pieces, as `Matching` defines.
    n_cut, n_cut_found
        True objects that touch the tile's border, and those of them that were found.
    n_of_size, n_found_of_size
        True objects that do not touch the border, by size (small, middle, large), and those that were found.
    target_area_px, prediction_area_px
        Areas of all true and of all predicted objects.
    sum_count_error
        Sum over tiles of the absolute difference between the numbers of predicted and of true objects.
    n_measured, sum_log_ratio, sum_squared_log_ratio
        Pairs of which neither object touches the border, and sums over them of the logarithm of the predicted area
        over the true one, and of its square.
    """

    n_tiles: int = 0
    n_targets: int = 0
    n_predictions: int = 0
    n_found: int = 0
    n_found_at: tuple[int, ...] = (0,) * len(IOU_THRESHOLDS)
    sum_iou: float = 0.0
    n_merges: int = 0
    n_splits: int = 0
    n_cut: int = 0
    n_cut_found: int = 0
    n_of_size: tuple[int, ...] = (0,) * len(SIZES)
    n_found_of_size: tuple[int, ...] = (0,) * len(SIZES)
    target_area_px: int = 0
    prediction_area_px: int = 0
    sum_count_error: int = 0
    n_measured: int = 0
    sum_log_ratio: float = 0.0
    sum_squared_log_ratio: float = 0.0

    @property
    def n_missed(self) -> int:
        """True objects that were not found."""
        return self.n_targets - self.n_found

    @property
    def n_invented(self) -> int:
        """Predicted objects that are no true one."""
        return self.n_predictions - self.n_found

    @property
    def vector(self) -> NDArray[np.float64]:
        """(K,) float64, all counts one after another: what `object_figures` takes."""
        return np.concatenate([np.atleast_1d(getattr(self, field.name)) for field in fields(self)]).astype(np.float64)

    def __add__(self, other: "ObjectCounts") -> "ObjectCounts":
        if not isinstance(other, ObjectCounts):
            return NotImplemented
        return ObjectCounts(**{f.name: _plus(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})


def _plus(one: Any, other: Any) -> Any:
    return tuple(a + b for a, b in zip(one, other, strict=True)) if isinstance(one, tuple) else one + other


def _columns() -> dict[str, int | slice]:
    """Return where in `ObjectCounts.vector` each count lies."""
    columns: dict[str, int | slice] = {}
    end = 0
    for field in fields(ObjectCounts):
        start, value = end, field.default
        end += len(value) if isinstance(value, tuple) else 1
        columns[field.name] = slice(start, end) if isinstance(value, tuple) else start
    return columns


_COLUMNS = _columns()


def size_limits_px(matchings: Iterable[Matching]) -> tuple[float, float]:
    """Return the areas that divide the true objects into three equally many: small, middle and large.

    Objects that touch the border are left out, since nobody knows how large they are. NaN where there is no other.
    """
    areas = [matching.targets.area_px[~matching.targets.touches_border] for matching in matchings]
    whole = np.concatenate(areas) if areas else np.zeros(0)
    if not whole.size:
        return math.nan, math.nan
    low, high = np.quantile(whole, [1 / 3, 2 / 3])
    return float(low), float(high)


def count_objects(matching: Matching, *, size_limits_px: tuple[float, float]) -> ObjectCounts:
    """Return the counts of one class in one tile.

    Parameters
    ----------
    matching
        Its objects.
    size_limits_px
        Where small and where middle ends, both included, as from the function of this name for the whole data set.
    """
    targets, predictions = matching.targets, matching.predictions
    row, column = matching.pairs.T
    found = np.zeros(len(targets), np.bool_)
    found[row] = True
    size = np.where(targets.touches_border, len(SIZES), np.searchsorted(size_limits_px, targets.area_px))
    whole = ~(targets.touches_border[row] | predictions.touches_border[column])
    log_ratio = np.log(predictions.area_px[column[whole]] / targets.area_px[row[whole]])
    return ObjectCounts(
        n_tiles=1,
        n_targets=len(targets),
        n_predictions=len(predictions),
        n_found=len(row),
        n_found_at=tuple(int((matching.iou >= threshold).sum()) for threshold in IOU_THRESHOLDS),
        sum_iou=float(matching.iou.sum()),
        n_merges=int(matching.merges.sum()),
        n_splits=int(matching.splits.sum()),
        n_cut=int(targets.touches_border.sum()),
        n_cut_found=int((found & targets.touches_border).sum()),
        n_of_size=_counted(size),
        n_found_of_size=_counted(size[found]),
        target_area_px=int(targets.area_px.sum()),
        prediction_area_px=int(predictions.area_px.sum()),
        sum_count_error=abs(len(predictions) - len(targets)),
        n_measured=int(whole.sum()),
        sum_log_ratio=float(log_ratio.sum()),
        sum_squared_log_ratio=float((log_ratio**2).sum()),
    )


def _counted(size: NDArray[np.integer]) -> tuple[int, ...]:
    return tuple(np.bincount(size, minlength=len(SIZES))[: len(SIZES)].tolist())


def object_figures(vectors: NDArray[np.float64]) -> dict[str, Figure]:
    """Return every figure of objects of every sum of counts in a stack.

    Parameters
    ----------
    vectors
        (..., K) float64, `ObjectCounts.vector` or sums of them.

    Returns
    -------
    dict
        ``precision``, ``recall``, ``f1``: of objects at IoU 0.5. ``ap_dsb``: mean over `IOU_THRESHOLDS` of
        TP / (TP + FP + FN), the score of the Data Science Bowl 2018. ``panoptic_quality``: ``segmentation_quality``
        (mean IoU of the pairs) times F1. ``recall_small``, ``recall_middle``, ``recall_large``, ``recall_cut``:
        by size, and of objects at the tile's border. ``count_ratio``: predicted over true objects.
        ``count_error_per_tile``: mean absolute difference of the two numbers in a tile. ``area_ratio``: predicted over
        true area of all objects. ``matched_area_ratio``, ``matched_area_low``, ``matched_area_high``: geometric mean
        of predicted over true area of a pair, and the limits of agreement, between which 95 % of pairs lie.

    Conventions
    -----------
    What has nothing to divide by is NaN. F1, ``ap_dsb`` and ``panoptic_quality`` are undefined only where there is
    neither a true nor a predicted object. Counts are added up over tiles before any figure is computed; the Data
    Science Bowl took the mean of its score over images. COCO's AP is another figure: it ranks predictions by their
    score, which objects cut from a mask do not have.

    References
    ----------
    Kirillov et al., "Panoptic Segmentation", CVPR 2019. Caicedo et al., Nature Methods 16, 2019. Bland and Altman,
    "Measuring agreement in method comparison studies", Statistical Methods in Medical Research 8, 1999, on logarithms.
    """
    count = {name: vectors[..., column] for name, column in _COLUMNS.items()}
    found, targets, predictions = count["n_found"], count["n_targets"], count["n_predictions"]
    found_at = count["n_found_at"]
    threat = ratio(found_at, (targets + predictions)[..., None] - found_at)
    figures = {
        "precision": fraction(found, predictions),
        "recall": fraction(found, targets),
        "f1": fraction(found, (targets + predictions) / 2),
        "ap_dsb": Figure(value=threat.mean(axis=-1), weight=(targets + predictions) / 2, scale="fraction"),
        "panoptic_quality": fraction(count["sum_iou"], (targets + predictions) / 2),
        "segmentation_quality": fraction(count["sum_iou"], found),
        **{
            f"recall_{size}": fraction(count["n_found_of_size"][..., i], count["n_of_size"][..., i])
            for i, size in enumerate(SIZES)
        },
        "recall_cut": fraction(count["n_cut_found"], count["n_cut"]),
        "count_ratio": quotient(predictions, targets),
        "count_error_per_tile": quotient(count["sum_count_error"], count["n_tiles"]),
        "area_ratio": quotient(count["prediction_area_px"], count["target_area_px"]),
    }
    return figures | _agreement(count["n_measured"], count["sum_log_ratio"], count["sum_squared_log_ratio"])


def _agreement(n: NDArray[np.float64], total: NDArray[np.float64], squares: NDArray[np.float64]) -> dict[str, Figure]:
    mean = ratio(total, n)
    spread = np.sqrt(np.maximum(ratio(squares - total * mean, n - 1), 0))  # standard deviation of the logarithms
    logarithms = {
        "matched_area_ratio": mean,
        "matched_area_low": mean - _NORMAL_95 * spread,
        "matched_area_high": mean + _NORMAL_95 * spread,
    }
    return {name: Figure(value=np.exp(value), weight=n, scale="positive") for name, value in logarithms.items()}
