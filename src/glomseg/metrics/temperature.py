"""One number that makes probabilities what they say, found on tiles that the model did not learn from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from glomseg.errors import InvalidInputError
from glomseg.metrics.intervals import Interval, jackknife_interval

LIMITS = (0.05, 20.0)
"""Temperatures that are tried: what lies beyond is no calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureFit:
    """The temperature of the smallest log loss.

    Attributes
    ----------
    temperature
        Above 1 where the model was too sure, below 1 where it was not sure enough.
    interval
        From leaving out one group after another.
    without
        For each group, in their order, the temperature of all others; NaN where no pixel is left.
    """

    temperature: float
    interval: Interval
    without: tuple[float, ...]


def with_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return (C, ...) probabilities at another temperature: each to the power of 1 / temperature, their sum again 1.

    The order of the classes stays. Of a softmax this is the softmax of the logits over the temperature.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    if temperature == 1:
        return probabilities
    powers = (probabilities / probabilities.max(axis=0)) ** np.float32(
        1 / temperature
    )  # the largest is 1: no underflow
    scaled: NDArray[np.float32] = powers / powers.sum(axis=0)
    return scaled


def fit_temperature(
    probabilities: Sequence[NDArray[np.float32]], targets: Sequence[NDArray[np.uint8]]
) -> TemperatureFit:
    """Return the temperature at which the mean log loss over all pixels is smallest.

    Parameters
    ----------
    probabilities
        Of each group (C, n) float32; n may differ.
    targets
        Of each group (n,) uint8, the true class; none is ignored.

    Raises
    ------
    InvalidInputError
        If there is no pixel, or the loss falls beyond `LIMITS`.
    """
    losses = [_LogLoss.of(*group) for group in zip(probabilities, targets, strict=True)]
    if not any(loss.n for loss in losses):
        raise InvalidInputError("there is no pixel to calibrate with: all of them are ignored")
    temperature = _best(losses)
    if not LIMITS[0] * 1.01 < temperature < LIMITS[1] / 1.01:
        raise InvalidInputError(
            f"the log loss still falls at a temperature of {temperature:.3g}, the last that is tried: "
            + (
                "hardly a pixel is wrong, so nothing tells how sure the model may be: calibrate with more tiles; "
                "or the model is hardly trained"
                if temperature < 1
                else "the model is sure of what is wrong nearly everywhere; look at an evaluation of it first"
            )
        )
    without = [_best(losses[:left] + losses[left + 1 :]) for left in range(len(losses))]
    interval = jackknife_interval(
        temperature,
        weights=np.array([loss.n for loss in losses], np.float64),
        left_out=np.array(without),
        scale="positive",
    )
    return TemperatureFit(temperature=temperature, interval=interval, without=tuple(without))


@dataclass(frozen=True, slots=True)
class _LogLoss:
    """The log loss of some pixels as a function of the temperature.

    It is convex in one over the temperature, so the smallest that is found is the smallest there is.
    """

    logarithms: NDArray[np.float64]  # (C, n), of the probabilities
    of_true: NDArray[np.float64]  # (n,), of that of the true class

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], target: NDArray[np.uint8]) -> "_LogLoss":
        logarithms = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
        return cls(logarithms, np.take_along_axis(logarithms, target[None].astype(np.intp), axis=0)[0])

    @property
    def n(self) -> int:
        return len(self.of_true)

    def total(self, temperature: float) -> float:
        scaled = self.logarithms / temperature
        return float(logsumexp(scaled, axis=0).sum() - self.of_true.sum() / temperature)


def _best(losses: Sequence[_LogLoss]) -> float:
    """Return the temperature at which the sum of the losses is smallest; NaN without a pixel."""
    if not any(loss.n for loss in losses):
        return math.nan
    found = minimize_scalar(
        lambda logarithm: sum(loss.total(math.exp(logarithm)) for loss in losses),
        bounds=(math.log(LIMITS[0]), math.log(LIMITS[1])),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return math.exp(found.x)
