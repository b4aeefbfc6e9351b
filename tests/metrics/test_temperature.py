"""Temperatures: that the one that was put in is found again, and that nothing but probabilities changes."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from glomseg.errors import InvalidInputError
from glomseg.metrics.temperature import LIMITS, fit_temperature, with_temperature


def drawn(seed, *, temperature, n=4000, n_classes=3):
    """Probabilities whose logits are so many times too large, and a truth drawn from the honest ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n_classes, n))
    honest = softmax(logits, axis=0)
    target = (honest.cumsum(axis=0) < rng.random(n)).sum(axis=0).clip(max=n_classes - 1)
    return softmax(logits * temperature, axis=0).astype(np.float32), target.astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_temperature_that_was_put_in_is_found(temperature, n_classes):
    groups = [drawn(seed, temperature=temperature, n_classes=n_classes) for seed in range(6)]
    fit = fit_temperature(*zip(*groups, strict=True))
    assert fit.temperature == pytest.approx(temperature, rel=0.04)
    assert fit.interval.low < fit.temperature < fit.interval.high
    assert (fit.interval.n_groups, len(fit.without)) == (6, 6)
    alone = fit_temperature([groups[1][0]], [groups[1][1]])
    others = fit_temperature(*zip(groups[0], *groups[2:], strict=True))
    assert fit.without[1] == pytest.approx(others.temperature, rel=1e-3)
    assert math.isnan(alone.interval.low)
    assert math.isnan(alone.without[0])


def test_no_other_temperature_has_a_smaller_loss():
    probabilities, target = drawn(0, temperature=3)

    def loss(temperature):
        of_true = np.take_along_axis(with_temperature(probabilities, temperature), target[None].astype(int), axis=0)
        return -np.log(of_true).mean()

    found = fit_temperature([probabilities], [target]).temperature
    tried = np.exp(np.linspace(math.log(0.5), math.log(LIMITS[1]), 300))
    assert loss(found) <= min(map(loss, tried)) + 1e-6


def test_it_is_the_softmax_of_the_logits_over_the_temperature():
    logits = np.random.default_rng(0).normal(0, 5, (3, 6, 7))
    probabilities = softmax(logits, axis=0).astype(np.float32)
    for temperature in (0.1, 0.7, 4.0):
        scaled = with_temperature(probabilities, temperature)
        np.testing.assert_allclose(scaled, softmax(logits / temperature, axis=0), atol=2e-6)
        np.testing.assert_array_equal(scaled.argmax(axis=0), probabilities.argmax(axis=0))
        assert scaled.dtype == np.float32
    assert with_temperature(probabilities, 1.0) is probabilities


def test_extremes_stay_probabilities():
    extremes = np.array([[1, 0, 1e-30, 1 / 3], [0, 1, 1, 1 / 3], [0, 0, 0, 1 / 3]], np.float32)
    for temperature in LIMITS:
        scaled = with_temperature(extremes, temperature)
        assert np.isfinite(scaled).all()
        np.testing.assert_allclose(scaled.sum(axis=0), 1, atol=1e-6)
        np.testing.assert_allclose(scaled[:, 3], 1 / 3)
        assert scaled[0, 0] == 1


def test_a_group_of_ignored_pixels_bears_nothing():
    groups = [drawn(seed, temperature=2) for seed in range(2)]
    empty = np.zeros((3, 0), np.float32), np.zeros(0, np.uint8)
    fit = fit_temperature(*zip(*groups, empty, strict=True))
    assert fit.interval.n_groups == 2
    assert fit.without[2] == fit.temperature
    assert fit.interval.low < fit.interval.high


def test_what_no_temperature_mends_is_told():
    right = np.array([[0.9, 0.8], [0.1, 0.2]], np.float32)
    with pytest.raises(InvalidInputError, match=r"at a temperature of 0\.05.*hardly a pixel is wrong"):
        fit_temperature([right], [np.zeros(2, np.uint8)])
    with pytest.raises(InvalidInputError, match=r"at a temperature of 20.*sure of what is wrong nearly everywhere"):
        fit_temperature([right], [np.ones(2, np.uint8)])
    with pytest.raises(InvalidInputError, match="no pixel to calibrate with"):
        fit_temperature([right[:, :0]], [np.zeros(0, np.uint8)])
