"""Paired differences: by hand, against trying every swap one by one, and in simulated studies."""

import itertools
import math

import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.metrics.comparison import compare_counts
from glomseg.metrics.figures import fraction


def share(vectors):
    return {"share": fraction(vectors[..., 0], vectors[..., 1])}


def of(a, b, **options):
    return compare_counts(np.array(a, float), np.array(b, float), figures=share, **options)["share"]


def studies(n_groups, rng, *, gain=0.0):
    """Found and true objects of two models on the same slides, of which some are hard for both."""
    n = rng.integers(5, 30, n_groups)
    ease = rng.beta(6, 2, n_groups)
    found = [rng.binomial(n, np.clip(ease + extra, 0, 1)) for extra in (0.0, gain)]
    return [np.stack([one, n], axis=1).astype(float) for one in found]


def test_by_hand():
    found = of([[3, 4], [5, 10], [2, 6]], [[4, 4], [6, 10], [2, 6]])
    assert (found.a, found.b) == (10 / 20, 12 / 20)
    assert found.difference == pytest.approx(0.1)
    assert found.groups == ((3 / 4, 1.0), (0.5, 0.6), (2 / 6, 2 / 6))
    assert found.interval.n_groups == 3
    assert found.interval.low < 0.1 < found.interval.high
    # Swapping the third changes nothing; of the other four ways two are as far apart as what was seen
    assert found.p_value == 0.5
    assert found.smallest_p == 0.5


def test_the_p_value_is_that_of_trying_every_swap():
    rng = np.random.default_rng(0)
    for n_groups in (2, 5, 7):
        a, b = studies(n_groups, rng, gain=0.1)
        differences = []
        for swapped in itertools.product([False, True], repeat=n_groups):
            one = sum(b[i] if swap else a[i] for i, swap in enumerate(swapped))
            other = sum(a[i] if swap else b[i] for i, swap in enumerate(swapped))
            differences.append(abs(other[0] / other[1] - one[0] / one[1]))
        seen = differences[0]
        expected = np.mean([difference >= seen - 1e-12 for difference in differences])
        assert of(a, b).p_value == pytest.approx(expected)


def test_the_two_ways_round_differ_in_sign_only():
    a, b = studies(9, np.random.default_rng(1), gain=0.1)
    one, other = of(a, b), of(b, a)
    assert (one.a, one.b, one.difference) == (other.b, other.a, -other.difference)
    assert (one.interval.low, one.interval.high) == pytest.approx((-other.interval.high, -other.interval.low))
    assert one.p_value == other.p_value


def test_equal_predictions_do_not_differ():
    a, _ = studies(8, np.random.default_rng(2))
    found = of(a, a)
    assert (found.difference, found.interval.low, found.interval.high) == (0, 0, 0)
    assert (found.p_value, found.smallest_p) == (1, 1)


def test_few_groups_cannot_give_a_small_p():
    a, b = [[1, 10]] * 5, [[9, 10]] * 5
    assert of(a, b).p_value == of(a, b).smallest_p == 2 / 32


def test_many_groups_are_swapped_at_random_and_the_seed_decides():
    a, b = studies(20, np.random.default_rng(3), gain=0.08)
    found = of(a, b)
    assert found == of(a, b)
    assert 0 < found.p_value < 1
    assert found.p_value == pytest.approx(of(a, b, seed=1).p_value, abs=0.02)
    certain = of([[1, 10]] * 20, [[9, 10]] * 20)
    assert certain.p_value == certain.smallest_p == pytest.approx(1 / 10_001)


def test_pairing_makes_a_difference_surer_than_either_figure():
    a, b = studies(12, np.random.default_rng(4), gain=0.05)
    paired = of(a, b).interval
    unpaired = of(a, b[::-1]).interval
    assert paired.high - paired.low < unpaired.high - unpaired.low


def test_a_figure_that_one_side_lacks_has_no_difference():
    found = of([[0, 0], [0, 0]], [[1, 2], [1, 3]])
    assert all(math.isnan(value) for value in (found.a, found.difference, found.interval.low, found.p_value))
    assert found.smallest_p == 0.5
    one = of([[1, 2]], [[2, 2]])
    assert one.difference == 0.5
    assert math.isnan(one.interval.low)
    assert one.p_value == 1


def test_other_groups_cannot_be_compared():
    with pytest.raises(InvalidInputError, match=r"counts of the shapes \(1, 2\) and \(2, 2\)"):
        of([[1, 2]], [[1, 2], [1, 2]])
    with pytest.raises(InvalidInputError, match="no group"):
        compare_counts(np.zeros((0, 2)), np.zeros((0, 2)), figures=share)


def held(n_groups, *, n_studies):
    """Share of studies whose interval holds the true gain, and of studies of equal models with a p-value up to 0.05."""
    rng = np.random.default_rng(5)
    large = studies(200_000, rng, gain=0.05)
    truth = np.subtract(*[one[:, 0].sum() / one[:, 1].sum() for one in large[::-1]])
    intervals = [of(*studies(n_groups, rng, gain=0.05)).interval for _ in range(n_studies)]
    p_values = [of(*studies(n_groups, rng)).p_value for _ in range(n_studies)]
    return np.mean([one.low <= truth <= one.high for one in intervals]), np.mean(np.array(p_values) <= 0.05)


def test_intervals_of_the_difference_hold_the_truth_and_p_values_do_not_cry_wolf():
    n_held, n_false = held(8, n_studies=250)
    assert n_held >= 0.90
    assert n_false <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("n_groups", [6, 9, 12])
def test_intervals_of_the_difference_hold_the_truth_in_many_studies(n_groups):
    n_held, n_false = held(n_groups, n_studies=2000)
    assert n_held >= 0.93
    assert n_false <= 0.06
