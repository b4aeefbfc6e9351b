"""Doubt: what it is of pixels, tiles and objects, and whether it finds what is wrong."""

import math

import numpy as np
import pytest
from scipy.stats import entropy, spearmanr, t
from sklearn.metrics import roc_auc_score

from glomseg.metrics.doubt import DOUBTS, doubt_maps, object_doubt, rank_correlation, separation, tile_doubt
from glomseg.metrics.matching import label_objects, match_objects


def test_maps_of_a_few_pixels_by_hand():
    probabilities = np.array([[[1.0, 0.5, 0.9]], [[0.0, 0.5, 0.1]]], np.float32)
    mask = np.array([[0, 0, 1]], np.uint8)
    maps = doubt_maps(probabilities, mask)
    assert tuple(maps) == DOUBTS[:2]
    np.testing.assert_allclose(maps["expected_error"], [[0, 0.5, 0.9]], atol=1e-7)
    in_bits = -(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    np.testing.assert_allclose(maps["entropy"], [[0, 1, in_bits]], atol=1e-6)
    disagreement = np.array([[0.2, 0.0, 0.4]], np.float32)
    maps = doubt_maps(probabilities, mask, disagreement=disagreement)
    assert tuple(maps) == DOUBTS
    assert {values.dtype for values in maps.values()} == {np.dtype(np.float32)}
    assert tile_doubt(maps) == pytest.approx(
        {"expected_error": 1.4 / 3, "entropy": (1 + in_bits) / 3, "disagreement": 0.2}
    )


def test_entropy_is_scipys_whatever_the_number_of_classes():
    probabilities = np.moveaxis(np.random.default_rng(0).dirichlet([0.5] * 4, (5, 6)), -1, 0).astype(np.float32)
    found = doubt_maps(probabilities, np.zeros((5, 6), np.uint8))["entropy"]
    np.testing.assert_allclose(found, entropy(probabilities, base=4, axis=0), atol=1e-5)
    alike = np.full((4, 1, 1), 0.25, np.float32)
    assert doubt_maps(alike, np.zeros((1, 1), np.uint8))["entropy"].item() == pytest.approx(1)


def test_doubt_about_objects_is_the_mean_over_their_pixels():
    prediction = np.array([[1, 1, 0, 0, 1], [0, 1, 0, 0, 1]], np.uint8)
    ignored = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.bool_)
    labels = label_objects(prediction, class_index=1)
    objects = match_objects(target=np.zeros_like(labels), prediction=labels, ignored=ignored).predictions
    values = np.array([[9, 0.2, 9, 9, 0.5], [9, 0.4, 9, 9, 0.7]], np.float32)
    found = object_doubt({"entropy": values}, objects, labels=labels, ignored=ignored)
    assert found["entropy"] == pytest.approx([0.3, 0.6])
    nothing = match_objects(target=0 * labels, prediction=0 * labels).predictions
    assert object_doubt({"entropy": values}, nothing, labels=0 * labels, ignored=ignored)["entropy"].shape == (0,)


def test_rank_correlation_is_scipys_and_its_interval_that_of_fishers_z():
    rng = np.random.default_rng(0)
    doubts = rng.random(40).round(1)  # with ties
    errors = doubts + rng.normal(0, 0.4, 40)
    groups = np.repeat(list("abcdefgh"), 5)
    found = rank_correlation(doubts, errors, groups)
    assert found.value == pytest.approx(spearmanr(doubts, errors).statistic)
    assert (found.n, found.interval.n_groups, found.interval.trustworthy) == (40, 8, True)
    z = [np.arctanh(spearmanr(doubts[groups != group], errors[groups != group]).statistic) for group in "abcdefgh"]
    error = math.sqrt(7 / 8 * ((z - np.mean(z)) ** 2).sum())
    ends = np.tanh(np.arctanh(found.value) + np.array([-1, 1]) * t.ppf(0.975, 7) * error)
    assert (found.interval.low, found.interval.high) == pytest.approx(ends, abs=0.01)
    assert rank_correlation(-doubts, errors, groups).value == pytest.approx(-found.value)


def test_rank_correlation_where_there_is_none():
    for doubts, errors in [([], []), ([1, 2], [3, 4]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0, 0, 0])]:
        found = rank_correlation(doubts, errors, ["a"] * len(doubts))
        assert math.isnan(found.value)
        assert math.isnan(found.interval.low)
    found = rank_correlation([1, 2, 3, math.nan], [2, 3, 4, 5], list("abcd"))
    assert (found.value, found.n) == (1, 3)
    assert -1 <= found.interval.low <= found.interval.high <= 1 or math.isnan(found.interval.low)


def test_separation_is_scikit_learns_area_under_the_curve():
    rng = np.random.default_rng(1)
    wrong = rng.random(60) < 0.3
    doubts = (rng.random(60) + 0.5 * wrong).round(1)
    groups = np.repeat(list("abcdefghij"), 6)
    found = separation(doubts, wrong, groups)
    assert found.value == pytest.approx(roc_auc_score(wrong, doubts))
    assert found.interval.low < found.value < found.interval.high < 1
    assert (found.n, found.interval.n_groups) == (60, 10)
    assert separation(-doubts, wrong, groups).value == pytest.approx(1 - found.value)


def test_separation_at_its_ends_and_where_there_is_none():
    perfect = separation([0.1, 0.2, 0.3, 0.4], [False, False, True, True], list("abab"))
    assert perfect.value == 1
    assert perfect.interval.low < perfect.interval.high == 1
    assert separation([0.5] * 4, [True, False] * 2, list("aabb")).value == 0.5
    for wrong in ([], [True, True], [False, False]):
        found = separation([0.3] * len(wrong), wrong, ["a", "b"][: len(wrong)])
        assert math.isnan(found.value)
        assert math.isnan(found.interval.low)
    one_group_has_all_wrong = separation([0.1, 0.3, 0.2, 0.4], [True, True, False, False], list("aabb"))
    assert one_group_has_all_wrong.value == 0.25
    assert math.isnan(one_group_has_all_wrong.interval.low)
