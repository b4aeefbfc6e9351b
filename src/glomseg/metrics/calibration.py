"""Whether probabilities are what they say: of the pixels that the model is 80 % sure of, 80 % should be right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.metrics.figures import Figure, fraction, quotient, ratio
from glomseg.types import IGNORE_INDEX

N_BINS = 60
"""Bins of equal width that are counted; they can be added up to 30, 20, 15, 12, 10, 6 or 5."""

N_FIGURE_BINS = 15
"""Bins that the calibration errors are computed from, as in Guo et al."""

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
"""Smaller probabilities of the true class count as this in the log loss, which would otherwise be infinite."""

_BLOCK = 2**20  # pixels at a time, so that copies stay small


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reliability:
    """For each range of predicted probabilities how often the event came true: a reliability diagram, as counts.

    Attributes
    ----------
    n
        (B,) int64, pixels whose probability lies in bin b, from b / B on and below (b + 1) / B; 1 is in the last.
    n_true
        (B,) int64, those of them for which the event came true.
    sum_probability
        (B,) float64, sum of their probabilities.
    """

    n: NDArray[np.int64]
    n_true: NDArray[np.int64]
    sum_probability: NDArray[np.float64]

    @classmethod
    def zero(cls) -> "Reliability":
        """Return the diagram of no pixels."""
        return cls(n=np.zeros(N_BINS, np.int64), n_true=np.zeros(N_BINS, np.int64), sum_probability=np.zeros(N_BINS))

    @classmethod
    def of(cls, probability: NDArray[np.floating], is_true: NDArray[np.bool_]) -> "Reliability":
        """Return the diagram of pixels with these (n,) probabilities, and whether the event came true."""
        places = np.clip((probability * N_BINS).astype(np.int64), 0, N_BINS - 1)
        return cls(
            n=np.bincount(places, minlength=N_BINS),
            n_true=np.bincount(places[is_true], minlength=N_BINS),
            sum_probability=np.bincount(places, weights=probability, minlength=N_BINS).astype(np.float64),
        )

    @property
    def vector(self) -> NDArray[np.float64]:
        """(3 B,) float64, the three counts one after another."""
        return np.concatenate([self.n, self.n_true, self.sum_probability])

    def __add__(self, other: "Reliability") -> "Reliability":
        if not isinstance(other, Reliability):
            return NotImplemented
        return Reliability(
            n=self.n + other.n,
            n_true=self.n_true + other.n_true,
            sum_probability=self.sum_probability + other.sum_probability,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationCounts:
    """What the probabilities of pixels said and what came true, as numbers that add up over tiles and groups with `+`.

    Ignored pixels are in none of them.

    Attributes
    ----------
    top_label
        The probability is that of the predicted class, the event that the prediction is right.
    foreground
        The probability is that of all classes but the background together, the event that the true class is one.
    sum_brier
        Sum over pixels of half the squared distance between the probabilities and the truth (1 for the true class).
    sum_log_loss
        Sum over pixels of minus the natural logarithm of the true class's probability.
    """

    top_label: Reliability
    foreground: Reliability
    sum_brier: float
    sum_log_loss: float

    @classmethod
    def zero(cls) -> "CalibrationCounts":
        """Return the counts of no pixels: where a sum starts."""
        return cls(top_label=Reliability.zero(), foreground=Reliability.zero(), sum_brier=0.0, sum_log_loss=0.0)

    @property
    def n_pixels(self) -> int:
        """Number of counted pixels."""
        return int(self.foreground.n.sum())

    @property
    def vector(self) -> NDArray[np.float64]:
        """(K,) float64: what `calibration_figures` takes."""
        return np.concatenate([self.top_label.vector, self.foreground.vector, [self.sum_brier, self.sum_log_loss]])

    def __add__(self, other: "CalibrationCounts") -> "CalibrationCounts":
        if not isinstance(other, CalibrationCounts):
            return NotImplemented
        return CalibrationCounts(
            top_label=self.top_label + other.top_label,
            foreground=self.foreground + other.foreground,
            sum_brier=self.sum_brier + other.sum_brier,
            sum_log_loss=self.sum_log_loss + other.sum_log_loss,
        )


def count_calibration(
    *, target: NDArray[np.uint8], prediction: NDArray[np.uint8], probabilities: NDArray[np.float32]
) -> CalibrationCounts:
    """Return what the probabilities of some pixels said, and what came true.

    Parameters
    ----------
    target
        (...) uint8 true class; 255 is ignored.
    prediction
        (...) uint8 predicted class. It need not be the most probable one: a single logit has its own threshold.
    probabilities
        (C, ...) float32, each pixel's sum 1.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit, a class is none of C, or a probability is not a number.
    """
    n_classes = len(probabilities)
    if not target.shape == prediction.shape == probabilities.shape[1:]:
        raise InvalidInputError(
            f"the target has the shape {target.shape}, the prediction {prediction.shape} and the probabilities "
            f"{probabilities.shape}; they must be (H, W), (H, W) and (C, H, W)"
        )
    true, chosen, flat = target.ravel(), prediction.ravel(), probabilities.reshape(n_classes, -1)
    total = CalibrationCounts.zero()
    for start in range(0, len(true), _BLOCK):
        part = slice(start, start + _BLOCK)
        known = true[part] != IGNORE_INDEX
        total += _count(true[part][known], chosen[part][known], flat[:, part][:, known].astype(np.float64))
    return total


def _count(true: NDArray[np.uint8], chosen: NDArray[np.uint8], probabilities: NDArray[np.float64]) -> CalibrationCounts:
    if true.size and max(true.max(), chosen.max()) >= len(probabilities):
        raise InvalidInputError(
            f"a mask holds the class {max(true.max(), chosen.max())}, but there are probabilities of "
            f"{len(probabilities)} classes only, 0 to {len(probabilities) - 1}"
        )
    if not np.isfinite(probabilities).all():
        raise InvalidInputError("a probability is NaN or infinite; the model overflowed in a low precision")
    of_true = np.take_along_axis(probabilities, true[None].astype(np.intp), axis=0)[0]
    of_chosen = np.take_along_axis(probabilities, chosen[None].astype(np.intp), axis=0)[0]
    # sum over k of (p_k - y_k) ** 2, where y is 1 for the true class and else 0
    squares = float((probabilities**2).sum()) - 2 * float(of_true.sum()) + true.size
    return CalibrationCounts(
        top_label=Reliability.of(of_chosen, true == chosen),
        foreground=Reliability.of(1 - probabilities[0], true != 0),
        sum_brier=squares / 2,
        sum_log_loss=-float(np.log(np.maximum(of_true, SMALLEST_PROBABILITY)).sum()),
    )


def calibration_figures(vectors: NDArray[np.float64]) -> dict[str, Figure]:
    """Return every figure of calibration of every sum of counts in a stack.

    Parameters
    ----------
    vectors
        (..., K) float64, `CalibrationCounts.vector` or sums of them.

    Returns
    -------
    dict
        ``ece``, ``mce``: of the predicted class, expected and maximum calibration error: the mean over the pixels, and
        the maximum over the bins, of the distance between the mean probability of a bin and the share that came true.
        ``overconfidence``: mean probability of the predicted class less the share of right pixels.
        ``foreground_ece``, ``foreground_mce``: the same errors of the foreground's probability.
        ``foreground_excess``: mean probability of the foreground less its true share. ``brier``, ``log_loss``: means
        over pixels. All are NaN where there is no pixel.

    Conventions
    -----------
    The errors come from `N_FIGURE_BINS` bins of equal width: Guo et al.'s, but for a probability on a border, which
    is here in the upper bin. They are computed from sums over all tiles: errors of single tiles do not add up to them.
    The Brier score is from 0 to 1 and for two classes (p - y)**2, as ``sklearn.metrics.brier_score_loss`` with
    ``scale_by_half=True``; Brier's own is twice that. The log loss is in nats, with `SMALLEST_PROBABILITY` as its
    floor, as scikit-learn's of float32.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. Brier, Monthly Weather Review 78, 1950.
    """
    n_pixels = vectors[..., :N_BINS].sum(axis=-1)
    figures: dict[str, Figure] = {}
    for name, bias, start in (("", "overconfidence", 0), ("foreground_", "foreground_excess", 3 * N_BINS)):
        n, n_true, probability = figure_bins(vectors[..., start : start + 3 * N_BINS])
        gap = probability - n_true
        worst = np.where(n > 0, np.abs(ratio(gap, n)), 0).max(axis=-1)
        figures |= {
            f"{name}ece": fraction(np.abs(gap).sum(axis=-1), n_pixels),
            f"{name}mce": fraction(worst * n_pixels, n_pixels),
            bias: Figure(value=ratio(gap.sum(axis=-1), n_pixels), weight=n_pixels, scale="difference"),
        }
    return figures | {
        "brier": fraction(vectors[..., -2], n_pixels),
        "log_loss": quotient(vectors[..., -1], n_pixels),
    }


def figure_bins(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return n, n_true and the sums of probabilities, (..., N_FIGURE_BINS), of a stack of `Reliability.vector`."""
    shape = (*vectors.shape[:-1], 3, N_FIGURE_BINS, N_BINS // N_FIGURE_BINS)
    n, n_true, probability = np.moveaxis(vectors.reshape(shape).sum(axis=-1), -2, 0)
    return n, n_true, probability
