"""Figures from counted pixels: one integer confusion matrix, and every ratio computed from it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.metrics.figures import ratio
from glomseg.types import IGNORE_INDEX

# cv2.calcHist gives float32, which holds whole numbers exactly only up to here; larger pictures are counted in parts.
_EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelCounts:
    """How many pixels of each true class were predicted as each class.

    Counts of tiles, groups and whole data sets add up with `+`; `sum` needs a start value:
    ``sum(counts, PixelCounts.zero(n_classes))``.

    Attributes
    ----------
    matrix
        (C, C) int64, rows truth, columns prediction, read-only. Ignored pixels are in none of its cells.
    """

    matrix: NDArray[np.int64]

    def __post_init__(self) -> None:
        given = np.asarray(self.matrix)
        if given.ndim != 2 or given.shape[0] != given.shape[1] or given.shape[0] < 1:
            raise InvalidInputError(
                f"a confusion matrix has one row and one column a class, not the shape {given.shape}"
            )
        if not np.issubdtype(given.dtype, np.integer):
            raise InvalidInputError(
                f"a confusion matrix holds whole numbers of pixels, not {given.dtype}; shares cannot be added up: "
                "give the counts they were made from"
            )
        if given.min() < 0:
            raise InvalidInputError(f"a confusion matrix holds numbers of pixels, but its smallest is {given.min()}")
        matrix = given.astype(np.int64)  # a copy, so that nobody else can change the record
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def zero(cls, n_classes: int) -> "PixelCounts":
        """Return the counts of no pixels at all: where a sum starts."""
        if n_classes < 1:
            raise InvalidInputError(f"counting pixels needs at least one class, not {n_classes}")
        return cls(matrix=np.zeros((n_classes, n_classes), np.int64))

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return len(self.matrix)

    @property
    def n_pixels(self) -> int:
        """Number of counted pixels; ignored ones are not among them."""
        return int(self.matrix.sum())

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        if not isinstance(other, PixelCounts):
            return NotImplemented
        if other.n_classes != self.n_classes:
            raise InvalidInputError(
                f"counts of {self.n_classes} and of {other.n_classes} classes cannot be added; "
                "they come from different class lists"
            )
        return PixelCounts(matrix=self.matrix + other.matrix)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PixelCounts) and np.array_equal(self.matrix, other.matrix)

    def __hash__(self) -> int:
        return hash((self.n_classes, self.matrix.tobytes()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelMetrics:
    """How well predicted pixels agree with the truth, as fractions from 0 to 1.

    The first four are MMSegmentation's aAcc, mIoU, mAcc and mDice (which it prints times 100).

    Attributes
    ----------
    pixel_accuracy
        Share of pixels whose predicted class is the true one. NaN where no pixel was counted.
    mean_iou, mean_accuracy, mean_dice
        Means of `iou`, `accuracy` and `dice` over the classes for which they are defined, background
        included; NaN where they are defined for none.
    iou
        Per class, intersection over union: TP / (TP + FP + FN).
    accuracy
        Per class, share of its true pixels that were found: TP / (TP + FN). The same as `recall`;
        MMSegmentation calls it Acc.
    dice
        Per class, 2 TP / (2 TP + FP + FN), also known as the F1 of pixels.
    precision
        Per class, share of the pixels predicted as it that are it: TP / (TP + FP).
    recall
        Per class, TP / (TP + FN).
    n_pixels
        Number of pixels the figures rest on; ignored ones are not among them.
    n_classes_left_out
        Number of classes absent from truth and prediction alike: their figures are NaN and count in no mean.

    Conventions
    -----------
    A ratio with nothing to divide by is NaN, never 0 or 1. A class that is predicted somewhere but is
    nowhere in the truth has IoU and Dice 0 and no accuracy; one that is in the truth but never
    predicted has IoU, Dice and accuracy 0 and no precision.
    """

    pixel_accuracy: float
    mean_iou: float
    mean_accuracy: float
    mean_dice: float
    iou: tuple[float, ...]
    accuracy: tuple[float, ...]
    dice: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    n_pixels: int
    n_classes_left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRatios:
    """The figures of `PixelMetrics` for a whole stack of confusion matrices at once.

    Attributes
    ----------
    pixel_accuracy, mean_iou, mean_accuracy, mean_dice
        (...) float64, the shape of the stack.
    iou, recall, dice, precision
        (..., C) float64, one figure a class. `recall` is MMSegmentation's Acc.
    """

    pixel_accuracy: NDArray[np.float64]
    mean_iou: NDArray[np.float64]
    mean_accuracy: NDArray[np.float64]
    mean_dice: NDArray[np.float64]
    iou: NDArray[np.float64]
    recall: NDArray[np.float64]
    dice: NDArray[np.float64]
    precision: NDArray[np.float64]


def count_pixels(
    *,
    target: NDArray[np.integer],
    prediction: NDArray[np.integer],
    n_classes: int,
    ignore_index: int = IGNORE_INDEX,
) -> PixelCounts:
    """Return how many pixels of each true class were predicted as each class.

    Parameters
    ----------
    target
        True class index of each pixel, any shape, 0 to C - 1, or `ignore_index`. uint8 is fastest.
    prediction
        Predicted class index, the shape of `target`, 0 to C - 1. Where the target is ignored it may
        be anything from 0 to 255.
    n_classes
        C, at most 255.
    ignore_index
        Pixels with this value in `target` are not counted.

    Raises
    ------
    InvalidInputError
        If the shapes differ, or a value stands for no class.

    Conventions
    -----------
    MMSegmentation drops a target value at or above C without a word but keeps what was predicted
    there in the unions, so every IoU falls. Here such a value is an error.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.array([[0, 0, 1], [1, 255, 1]], dtype=np.uint8)
    >>> prediction = np.array([[0, 1, 1], [1, 1, 0]], dtype=np.uint8)
    >>> count_pixels(target=target, prediction=prediction, n_classes=2).matrix
    array([[1, 1],
           [1, 2]])
    """
    if not 1 <= n_classes <= IGNORE_INDEX:
        raise InvalidInputError(f"n_classes is {n_classes}; a mask of bytes can hold 1 to {IGNORE_INDEX} classes")
    if target.shape != prediction.shape:
        raise InvalidInputError(
            f"the prediction has the shape {prediction.shape} but the target {target.shape}; both must be of one "
            "size: resize the prediction to the tile's own size before it is counted"
        )
    joint = _joint_histogram(_as_bytes(target, what="target"), _as_bytes(prediction, what="prediction"))
    if 0 <= ignore_index <= 255:
        joint[ignore_index] = 0
    _check_labels(joint.sum(axis=1), n_classes=n_classes, what="target", ignore_index=ignore_index)
    _check_labels(joint.sum(axis=0), n_classes=n_classes, what="prediction", ignore_index=ignore_index)
    return PixelCounts(matrix=joint[:n_classes, :n_classes])


def pixel_metrics(counts: PixelCounts) -> PixelMetrics:
    """Return every figure of one confusion matrix.

    Examples
    --------
    >>> metrics = pixel_metrics(PixelCounts(matrix=np.array([[90, 2], [4, 4]])))
    >>> round(metrics.pixel_accuracy, 2), metrics.recall, metrics.iou[1]
    (0.94, (0.9782608695652174, 0.5), 0.4)
    """
    ratios = pixel_ratios(counts.matrix)
    recall = tuple(ratios.recall.tolist())
    return PixelMetrics(
        pixel_accuracy=float(ratios.pixel_accuracy),
        mean_iou=float(ratios.mean_iou),
        mean_accuracy=float(ratios.mean_accuracy),
        mean_dice=float(ratios.mean_dice),
        iou=tuple(ratios.iou.tolist()),
        accuracy=recall,
        dice=tuple(ratios.dice.tolist()),
        precision=tuple(ratios.precision.tolist()),
        recall=recall,
        n_pixels=counts.n_pixels,
        n_classes_left_out=int(np.isnan(ratios.iou).sum()),
    )


def pixel_ratios(matrices: NDArray[np.integer] | NDArray[np.floating]) -> PixelRatios:
    """Return the figures of every confusion matrix in a stack.

    Parameters
    ----------
    matrices
        (..., C, C) counts, rows truth, columns prediction; whole numbers below 2**53.
    """
    found = np.diagonal(matrices, axis1=-2, axis2=-1).astype(np.float64)  # (..., C) true positives
    true = matrices.sum(axis=-1, dtype=np.float64)
    predicted = matrices.sum(axis=-2, dtype=np.float64)
    iou = ratio(found, true + predicted - found)
    recall = ratio(found, true)
    dice = ratio(2 * found, true + predicted)
    return PixelRatios(
        pixel_accuracy=ratio(found.sum(axis=-1), true.sum(axis=-1)),
        mean_iou=_mean_of_defined(iou),
        mean_accuracy=_mean_of_defined(recall),
        mean_dice=_mean_of_defined(dice),
        iou=iou,
        recall=recall,
        dice=dice,
        precision=ratio(found, predicted),
    )


def _mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # np.nanmean warns where all are NaN; here that simply has no mean.
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))


def _as_bytes(labels: NDArray[np.integer], *, what: str) -> NDArray[np.uint8]:
    if labels.dtype == np.uint8:
        return labels.astype(np.uint8, copy=False)
    if labels.dtype == np.bool_:
        return labels.astype(np.uint8)
    if not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInputError(
            f"the {what} holds {labels.dtype} values; class indices are whole numbers. "
            "It looks like probabilities or logits: take their argmax first"
        )
    if labels.size and (labels.min() < 0 or labels.max() > 255):
        raise InvalidInputError(
            f"the {what} holds values from {labels.min()} to {labels.max()}; class indices are 0 to 255, "
            f"{IGNORE_INDEX} meaning ignored. It looks like a label map of objects, or ignored pixels marked -1: "
            f"mark them {IGNORE_INDEX}"
        )
    return labels.astype(np.uint8)


def _joint_histogram(target: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (256, 256) int64: how often each pair of values stands at the same pixel.

    OpenCV's histogram of two byte pictures takes half the time of numpy.bincount on a combined index.
    """
    joint = np.zeros((256, 256), np.int64)
    rows, columns = target.reshape(1, -1), prediction.reshape(1, -1)
    for start in range(0, target.size, _EXACT_IN_FLOAT32):
        part = slice(start, start + _EXACT_IN_FLOAT32)
        pair = [rows[:, part], columns[:, part]]
        joint += cv2.calcHist(pair, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    return joint


def _check_labels(histogram: NDArray[np.int64], *, n_classes: int, what: str, ignore_index: int) -> None:
    unknown = n_classes + np.flatnonzero(histogram[n_classes:])
    if not unknown.size:
        return
    if what == "target":
        cause = "the mask's values are not class indices (look with `glomseg inspect`), or classes are missing"
    else:
        cause = "the model knows more classes than the data, or these are grey values such as 0 and 255"
    raise InvalidInputError(
        f"the {what} holds the value {', '.join(map(str, unknown[:5]))} at {int(histogram[unknown].sum()):,} pixels, "
        f"but with {n_classes} classes it may hold 0 to {n_classes - 1}"
        + (f" (and {ignore_index} for ignored)" if what == "target" else "")
        + f"; probably {cause}"
    )
