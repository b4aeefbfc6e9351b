from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomseg.data.balance import balanced_parts


def error_of(sizes, shares, parts):
    filled = np.array([sizes[units].sum(axis=0) for units in parts])
    return (((filled - shares[:, None] * sizes.sum(axis=0)) ** 2) / shares[:, None]).sum()


def as_shares(table):
    table = np.asarray(table, float)
    return table / np.maximum(table.sum(axis=0), 1)


@given(
    st.integers(1, 4).flatmap(
        lambda n_parts: st.tuples(
            st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), min_size=n_parts, max_size=30),
            st.lists(st.integers(1, 10), min_size=n_parts, max_size=n_parts),
            st.integers(0, 5),
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_every_unit_is_in_one_part_and_no_part_is_empty(case):
    table, weights, seed = case
    shares = np.array(weights) / sum(weights)
    parts = balanced_parts(as_shares(table), shares, rng=np.random.default_rng(seed))
    assert sorted(unit for part in parts for unit in part) == list(range(len(table)))
    assert all(parts)
    assert parts == balanced_parts(as_shares(table), shares, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_few_units_are_divided_as_well_as_can_be(seed):
    """Every division of seven units is tried by hand; the one found is the best or within a hair of it."""
    sizes = as_shares(np.random.default_rng(seed).integers(1, 100, (7, 2)))
    shares = np.array([0.7, 0.3])
    found = error_of(sizes, shares, balanced_parts(sizes, shares, rng=np.random.default_rng(seed)))
    every = [
        error_of(sizes, shares, [np.flatnonzero(np.array(choice) == part) for part in range(2)])
        for choice in product(range(2), repeat=7)
        if len(set(choice)) == 2
    ]
    assert found <= min(every) + 1e-3


def test_many_single_tiles_get_both_their_number_and_their_foreground():
    """Tiles and foreground must not be traded for each other: two in three tiles have none here."""
    rng = np.random.default_rng(0)
    foreground = rng.integers(1, 90_000, 1500) * (rng.random(1500) < 0.3)
    sizes = as_shares(np.stack([np.ones(1500), foreground > 0, foreground], axis=1))
    shares = np.array([0.7, 0.2, 0.1])
    parts = balanced_parts(sizes, shares, rng=rng)
    filled = np.array([sizes[units].sum(axis=0) for units in parts])
    assert np.abs(filled - shares[:, None]).max() < 0.005


def test_a_kind_that_nothing_has_does_not_matter():
    sizes = as_shares([[1, 0], [1, 0], [1, 0], [1, 0]])
    parts = balanced_parts(sizes, np.array([0.5, 0.5]), rng=np.random.default_rng(0))
    assert sorted(map(len, parts)) == [2, 2]
