"""Intervals of pixel figures."""

import math
from dataclasses import fields

import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.metrics.pixel_intervals import PixelIntervals, pixel_intervals
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
    intervals = pixel_intervals(groups)
    for field in fields(PixelIntervals):
        values, found = getattr(metrics, field.name), getattr(intervals, field.name)
        pairs = zip(values, found, strict=True) if isinstance(found, tuple) else [(values, found)]
        for value, interval in pairs:
            assert 0 < interval.low < value < interval.high < 1, field.name
            assert (interval.level, interval.n_groups, interval.trustworthy) == (0.95, 20, True)


@pytest.mark.parametrize(("n_groups", "trustworthy"), [(1, False), (5, False), (6, True)])
def test_few_groups_are_not_trusted(n_groups, trustworthy):
    assert pixel_intervals(slides(n_groups)).mean_dice.trustworthy is trustworthy


def test_one_group_that_bears_on_a_class_gives_that_class_no_interval():
    intervals = pixel_intervals([counts([50, 1], [2, 7]), *[counts([50, 0], [0, 0])] * 7])
    assert intervals.iou[1].n_groups == 1
    assert math.isnan(intervals.iou[1].low)
    assert intervals.iou[0].low < intervals.iou[0].high


def test_groups_without_the_class_change_nothing_about_it():
    empty = counts([50, 0], [0, 0])
    intervals, alone = pixel_intervals([*slides(3), *[empty] * 7]), pixel_intervals(slides(3))
    for name in ("iou", "dice", "precision", "recall"):
        one, other = getattr(intervals, name)[1], getattr(alone, name)[1]
        assert (one.low, one.high) == pytest.approx((other.low, other.high)), name
        assert one.n_groups == 3
        assert not one.trustworthy
    assert intervals.iou[0].n_groups == 10


def test_class_that_is_nowhere_has_no_interval():
    interval = pixel_intervals([counts([4, 0], [0, 0])] * 8).iou[1]
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert (interval.n_groups, interval.trustworthy) == (0, False)


def test_what_has_no_interval():
    with pytest.raises(InvalidInputError, match="no group to compare"):
        pixel_intervals([])
    with pytest.raises(InvalidInputError, match=r"counted with \[2, 3\] classes"):
        pixel_intervals([PixelCounts.zero(2), PixelCounts.zero(3)])
    with pytest.raises(InvalidInputError, match="level is 95"):
        pixel_intervals(slides(2), level=95)
