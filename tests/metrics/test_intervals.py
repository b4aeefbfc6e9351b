"""Intervals: what they hold, what changes them, and how often simulated studies hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from glomseg.errors import InvalidInputError
from glomseg.metrics.figures import Figure, fraction, quotient
from glomseg.metrics.intervals import group_intervals


def share(vectors):
    return {"share": fraction(vectors[..., 0], vectors[..., 1])}


def times(vectors):
    return {"times": quotient(vectors[..., 0], vectors[..., 1])}


def difference(vectors):
    value = (vectors[..., 0] - vectors[..., 2]) / vectors[..., 1]
    return {"difference": Figure(value=value, weight=vectors[..., 1], scale="difference")}


def of(*groups, figures=share, level=0.95):
    (interval,) = group_intervals(np.array(groups, float), figures, level=level).values()
    return interval


def bounds(*groups, **options):
    interval = of(*groups, **options)
    return interval.low, interval.high


def test_equal_groups_give_students_interval_of_their_mean():
    shares = np.array([3, 5, 4, 6, 2, 7]) / 10
    error = shares.std(ddof=1) / math.sqrt(6)  # what the jackknife gives for a mean
    low, high = bounds(*([10 * value, 10, 0] for value in shares), figures=difference)
    expected = stats.t.interval(0.95, 5, loc=shares.mean(), scale=error)
    assert (low, high) == pytest.approx(expected)

    odds, slope = math.log(0.45 / 0.55), 0.45 * 0.55
    low, high = bounds(*([10 * value, 10] for value in shares))
    assert (low, high) == pytest.approx(stats.logistic.cdf(stats.t.interval(0.95, 5, loc=odds, scale=error / slope)))

    low, high = bounds(*([10 * value, 10] for value in shares), figures=times)
    assert (low, high) == pytest.approx(np.exp(stats.t.interval(0.95, 5, loc=math.log(0.45), scale=error / 0.45)))


def test_one_group_that_weighs_most_leaves_few_degrees_of_freedom():
    groups = [[5, 10], [4, 10], [6, 10], [3, 10], [500, 1000]]
    weights = np.array([10, 10, 10, 10, 1000])
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert 1 < effective < 1.1
    values = np.array(groups, float)
    others = (values.sum(axis=0) - values) @ np.array([[1, 0], [0, 1]])
    left_out = others[:, 0] / others[:, 1]
    error = math.sqrt(4 / 5 * ((left_out - left_out.mean()) ** 2).sum())
    total = values[:, 0].sum() / values[:, 1].sum()
    low, _ = bounds(*groups, figures=times)
    assert low == pytest.approx(total * math.exp(-stats.t.ppf(0.975, effective) * error / total))


def test_a_higher_level_and_fewer_groups_are_wider():
    rng = np.random.default_rng(0)
    groups = [[rng.binomial(30, rng.beta(8, 2)), 30] for _ in range(20)]
    inner, outer, fewer = bounds(*groups, level=0.5), bounds(*groups, level=0.99), bounds(*groups[:5], level=0.99)
    assert outer[0] < inner[0] < inner[1] < outer[1]
    assert fewer[1] - fewer[0] > outer[1] - outer[0]


def test_the_order_of_groups_and_empty_ones_change_nothing():
    groups = [[3, 4], [9, 10], [5, 9], [1, 6]]
    assert bounds(*groups[::-1]) == pytest.approx(bounds(*groups))
    assert bounds(*groups, [0, 0], [0, 0]) == pytest.approx(bounds(*groups))
    assert of(*groups, [0, 0]).n_groups == 4


def test_fewer_than_two_groups_have_no_interval():
    for groups in ([[3, 4]], [[3, 4], [0, 0]], [[0, 0]] * 3):
        assert all(math.isnan(bound) for bound in bounds(*groups))
    assert not of([3, 4]).trustworthy
    assert of([3, 4], [0, 0]).n_groups == 1


@pytest.mark.parametrize(("n_groups", "trustworthy"), [(5, False), (6, True)])
def test_few_groups_are_not_trusted(n_groups, trustworthy):
    assert of(*[[3, 4]] * n_groups).trustworthy is trustworthy


def test_where_all_were_found_the_lower_bound_is_about_that_of_one_miss():
    perfect, one_miss = bounds(*[[12, 12]] * 10), bounds([11, 12], *[[12, 12]] * 9)
    assert perfect[1] == 1.0
    assert 0.9 < perfect[0] < 0.97
    assert perfect[0] == pytest.approx(one_miss[0], abs=0.01)
    low, high = bounds(*[[0, 12]] * 10)
    assert (low, high) == pytest.approx((0.0, 1 - perfect[0]))
    # Where objects are few, the groups say more: six that are all perfect are of a mean above 0.54, as with six coins
    # of which none fell on its tail.
    assert bounds(*[[1, 1]] * 6) == pytest.approx((stats.beta.ppf(0.025, 6, 1), 1))
    assert bounds(*[[0, 1]] * 6) == pytest.approx((0, stats.beta.ppf(0.975, 1, 6)))


def test_equal_shares_do_not_make_certain():
    low, high = bounds(*[[3, 4]] * 6)
    assert low < 0.65 < 0.75 < 0.82 < high
    low, high = bounds(*[[300_000, 400_000]] * 6)
    assert high - low < 0.001


def test_nothing_at_all_of_what_has_no_upper_end():
    assert bounds([0, 3], [0, 5], figures=times) == (0, 0)
    assert all(math.isnan(bound) for bound in bounds([1, 0], [2, 0], figures=times))


def test_a_figure_that_one_group_alone_makes_possible_has_no_interval():
    def spread(vectors):
        n = vectors[..., 0]
        return {"spread": Figure(value=np.where(n > 1, 1.0, np.nan), weight=n, scale="positive")}

    assert all(math.isnan(bound) for bound in bounds([1], [1], figures=spread))
    assert not math.isnan(of([2], [2], figures=spread).low)


def test_thousands_of_groups():
    rng = np.random.default_rng(0)
    n = rng.integers(1, 40, 2500)
    low, high = bounds(*np.stack([rng.binomial(n, 0.9), n], axis=1))
    assert low < 0.9 < high
    assert high - low < 0.01


def test_what_has_no_interval():
    with pytest.raises(InvalidInputError, match="no group to compare"):
        group_intervals(np.zeros((0, 2)), share)
    for level in (0, 1, 95):
        with pytest.raises(InvalidInputError, match=f"level is {level};"):
            of([1, 2], [2, 3], level=level)


def unlike_areas(rng, shape):
    """True and predicted pixels of slides of unlike size, the small ones drawn worse."""
    logarithm = rng.normal(0, 1, shape)
    quality = 1 / (1 + np.exp(-1.2 - 0.5 * logarithm - 0.8 * rng.normal(size=shape)))
    return np.exp(9 + logarithm) * quality, np.exp(9 + logarithm) * (1 + rng.beta(2, 10, shape))


def objects(rng, shape):
    """Found and true objects of slides with few or many."""
    n = 1 + rng.negative_binomial(2, 2 / 13, shape)
    return rng.binomial(n, rng.beta(9, 1, shape)).astype(float), n.astype(float)


def coverage(kind, n_groups, *, n_studies):
    """Share of simulated studies whose 95 % interval holds the truth."""
    rng = np.random.default_rng(1)
    part, whole = kind(rng, (1, 300_000))
    truth = part.sum() / whole.sum()
    studies = np.stack(kind(rng, (n_studies, n_groups)), axis=-1)
    intervals = [group_intervals(study, share)["share"] for study in studies]
    return sum(interval.low <= truth <= interval.high for interval in intervals) / n_studies


@pytest.mark.parametrize("kind", [unlike_areas, objects])
def test_95_percent_intervals_of_six_unlike_slides_hold_the_truth(kind):
    assert 0.90 <= coverage(kind, 6, n_studies=400) <= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("kind", [unlike_areas, objects])
@pytest.mark.parametrize("n_groups", [6, 8, 12, 25, 60])
def test_95_percent_intervals_hold_the_truth_in_93_to_98_of_100_studies(kind, n_groups):
    assert 0.925 <= coverage(kind, n_groups, n_studies=4000) <= 0.985  # the standard error of this is 0.004
