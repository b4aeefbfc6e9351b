import math

import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.metrics import bootstrap
from glomseg.metrics.bootstrap import bootstrap_interval
from glomseg.metrics.pixels import PixelCounts, pixel_metrics


def counts(*rows):
    return PixelCounts(matrix=np.array(rows))


def slides(n_groups, *, seed=0):
    """Slides of unlike size and quality: IoU varies from slide to slide."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(n_groups):
        glomerulus = int(generator.integers(2_000, 20_000))
        hit = int(glomerulus * generator.beta(8, 2))
        false = int(glomerulus * generator.beta(2, 10))
        found.append(counts([100_000, false], [glomerulus - hit, hit]))
    return found


def test_every_figure_lies_in_its_interval():
    groups = slides(20)
    metrics = pixel_metrics(sum(groups, PixelCounts.zero(2)))
    intervals = bootstrap_interval(groups)
    for name in ("pixel_accuracy", "mean_iou", "mean_accuracy", "mean_dice"):
        interval = getattr(intervals, name)
        assert interval.low < getattr(metrics, name) < interval.high, name
    for name in ("iou", "accuracy", "dice", "precision", "recall"):
        for value, interval in zip(getattr(metrics, name), getattr(intervals, name), strict=True):
            assert interval.low < value < interval.high, name
    assert intervals.mean_iou.level == 0.95
    assert intervals.mean_iou.n_groups == 20
    assert intervals.mean_iou.trustworthy


def test_agrees_with_drawing_groups_one_by_one():
    groups = slides(9)
    generator = np.random.default_rng(7)
    drawn = []
    for _ in range(3000):
        chosen = generator.integers(0, 9, size=9)
        drawn.append(pixel_metrics(sum((groups[i] for i in chosen), PixelCounts.zero(2))).iou[1])
    low, high = np.quantile(drawn, [0.025, 0.975])
    interval = bootstrap_interval(groups, n_replicates=3000).iou[1]
    assert abs(interval.low - low) < 0.01
    assert abs(interval.high - high) < 0.01


def test_same_seed_same_interval_whatever_is_drawn_at_once(monkeypatch):
    groups = slides(10)
    first = bootstrap_interval(groups, seed=3)
    assert bootstrap_interval(groups, seed=3) == first
    assert bootstrap_interval(groups, seed=4) != first
    monkeypatch.setattr(bootstrap, "_MAX_DRAWN_AT_ONCE", 70)
    assert bootstrap_interval(groups, seed=3) == first


def test_higher_level_is_wider():
    groups = slides(15)
    wide, narrow = bootstrap_interval(groups, level=0.99).mean_iou, bootstrap_interval(groups, level=0.5).mean_iou
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(("n_groups", "trustworthy"), [(1, False), (5, False), (6, True)])
def test_few_groups_are_not_trusted(n_groups, trustworthy):
    assert bootstrap_interval(slides(n_groups)).mean_dice.trustworthy is trustworthy


def test_one_group_has_no_interval():
    interval = bootstrap_interval(slides(1)).mean_iou
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_one_group_that_bears_on_a_class_gives_that_class_no_interval():
    intervals = bootstrap_interval([counts([50, 1], [2, 7]), *[counts([50, 0], [0, 0])] * 7])
    assert intervals.iou[1].n_groups == 1
    assert math.isnan(intervals.iou[1].low)
    assert intervals.iou[0].low < intervals.iou[0].high


def test_identical_groups_span_nothing():
    interval = bootstrap_interval([counts([5, 1], [1, 3])] * 8).iou[1]
    assert interval.low == interval.high == 0.6


def test_groups_without_the_class_do_not_bear_on_it():
    empty = counts([50, 0], [0, 0])
    intervals = bootstrap_interval([*slides(3), *[empty] * 7])
    assert intervals.iou[1].n_groups == 3
    assert not intervals.iou[1].trustworthy
    assert intervals.iou[0].n_groups == 10
    assert intervals.iou[0].trustworthy


def test_class_that_is_nowhere_has_no_interval():
    interval = bootstrap_interval([counts([4, 0], [0, 0])] * 8).iou[1]
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert interval.n_groups == 0
    assert not interval.trustworthy


def coverage(n_groups, *, n_studies=150):
    """Share of simulated studies whose 95 % interval holds the truth."""
    truth = pixel_metrics(sum(slides(4000, seed=99), PixelCounts.zero(2))).iou[1]
    studies = (bootstrap_interval(slides(n_groups, seed=s), n_replicates=400).iou[1] for s in range(n_studies))
    return sum(study.low <= truth <= study.high for study in studies) / n_studies


def test_95_percent_intervals_cover_nearly_that_with_many_groups_and_far_less_with_few():
    assert 0.88 <= coverage(60) <= 0.99
    assert coverage(3) < 0.8


def test_thousands_of_groups():
    intervals = bootstrap_interval(slides(3000))
    assert 0 < intervals.mean_iou.high - intervals.mean_iou.low < 0.02


def test_what_cannot_be_drawn_from():
    with pytest.raises(InvalidInputError, match="no group to draw from"):
        bootstrap_interval([])
    with pytest.raises(InvalidInputError, match=r"counted with \[2, 3\] classes"):
        bootstrap_interval([PixelCounts.zero(2), PixelCounts.zero(3)])
    with pytest.raises(InvalidInputError, match="level is 95"):
        bootstrap_interval(slides(2), level=95)
    with pytest.raises(InvalidInputError, match="n_replicates is 0"):
        bootstrap_interval(slides(2), n_replicates=0)
