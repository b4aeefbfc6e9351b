"""Outlines: against looking at every pair of edges, and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glomseg.errors import InvalidInputError
from glomseg.metrics.boundary import (
    BoundaryCounts,
    boundary_distances,
    boundary_figures,
    count_boundaries,
    edges,
    hausdorff_95,
)
from glomseg.metrics.matching import label_objects, match_objects

MASKS = arrays(np.bool_, (7, 8))


def plain_edges(mask):
    """Every pixel edge between inside and outside, found pixel by pixel."""
    found = set()
    for row, column in np.ndindex(mask.shape):
        for down, right in ((1, 0), (0, 1)):
            other = (row + down, column + right)
            if other[0] < mask.shape[0] and other[1] < mask.shape[1] and mask[row, column] != mask[other]:
                found.add((row + down / 2, column + right / 2))
    return found


def plain_distances(own, other):
    return sorted(min(math.dist(a, b) for b in other) for a in own) if other else [math.inf] * len(own)


def square(top, left, side, *, size=20):
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def counts_of(target, prediction, **options):
    labels = [label_objects(mask, class_index=1) for mask in (target, prediction)]
    ignored = options.get("ignored")
    matching = match_objects(target=labels[0], prediction=labels[1], ignored=ignored)
    return count_boundaries(matching, target=labels[0], prediction=labels[1], **options)


def figures_of(counts):
    return {name: float(figure.value) for name, figure in boundary_figures(counts.vector).items()}


@settings(deadline=None, max_examples=60)
@given(MASKS, MASKS)
def test_distances_are_those_of_looking_at_every_pair_of_edges(target, prediction):
    true, predicted = plain_edges(target), plain_edges(prediction)
    assert {tuple(point) for point in edges(target)} == true
    ours = boundary_distances(target=target, prediction=prediction)
    expected = plain_distances(true, predicted), plain_distances(predicted, true)
    assert np.sort(ours[0]) == pytest.approx(expected[0])
    assert np.sort(ours[1]) == pytest.approx(expected[1])
    if true and predicted:
        assert hausdorff_95(*ours) == pytest.approx(max(np.percentile(distance, 95) for distance in expected))


@settings(deadline=None, max_examples=60)
@given(MASKS, MASKS, st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_surface_dice_is_that_of_looking_at_every_pair_of_edges(target, prediction, tolerance):
    counts = counts_of(target.astype(np.uint8), prediction.astype(np.uint8), tolerance=tolerance)
    true, predicted = plain_edges(target), plain_edges(prediction)
    near = sum(d <= tolerance + 1e-9 for d in plain_distances(true, predicted) + plain_distances(predicted, true))
    assert (counts.n_edges, counts.n_near) == (len(true) + len(predicted), near)


@settings(deadline=None, max_examples=60)
@given(MASKS, MASKS)
def test_outlines_agree_both_ways_round(target, prediction):
    one, other = target.astype(np.uint8), prediction.astype(np.uint8)
    counts, swapped, turned = counts_of(one, other), counts_of(other, one), counts_of(one.T, other.T)
    assert np.allclose(counts.vector, swapped.vector)
    assert np.allclose(counts.vector, turned.vector)
    distances = boundary_distances(target=target, prediction=prediction)
    background = boundary_distances(target=~target, prediction=~prediction)  # a mask has its background's outline
    assert np.array_equal(distances[0], background[0])
    assert np.array_equal(distances[1], background[1])


def test_a_square_moved_by_two_pixels():
    counts = counts_of(square(4, 4, 10), square(4, 6, 10), tolerance=1.0)
    # Of the 40 edges of either too far are: 10 of the side without, 2 off; 8 of the side within, whose ends are 0.71
    # from the other's top and bottom; and the last one along top and bottom, 1.58 from the other's side.
    true = plain_distances(plain_edges(square(4, 4, 10)), plain_edges(square(4, 6, 10)))
    assert (counts.n_edges, counts.n_near) == (80, 2 * (40 - 10 - 8 - 2))
    assert figures_of(counts)["surface_dice"] == 0.5
    assert counts.n_pairs == 1
    assert figures_of(counts)["hausdorff_95"] == 2.0
    assert figures_of(counts)["surface_distance"] == pytest.approx(np.mean(true))


def test_a_perfect_outline():
    counts = counts_of(square(4, 4, 10), square(4, 4, 10), tolerance=0.0)
    assert figures_of(counts) == {"surface_dice": 1.0, "hausdorff_95": 0.0, "surface_distance": 0.0}


def test_lengths_are_in_um_where_mpp_is_known():
    px = counts_of(square(4, 4, 10), square(4, 6, 10), tolerance=2.0)
    um = counts_of(square(4, 4, 10), square(4, 6, 10), tolerance=1.0, mpp=0.5)
    assert um.n_near == px.n_near == px.n_edges
    assert um.sum_hausdorff_95 == px.sum_hausdorff_95 / 2
    assert um.sum_distance == pytest.approx(px.sum_distance / 2)


def test_missed_and_invented_outlines_are_near_nothing():
    nothing = np.zeros((20, 20), np.uint8)
    missed = counts_of(square(4, 4, 10), nothing)
    assert missed == counts_of(nothing, square(4, 4, 10)) == BoundaryCounts(n_edges=40)
    figures = figures_of(missed)
    assert figures["surface_dice"] == 0.0
    assert math.isnan(figures["hausdorff_95"])
    assert math.isnan(figures["surface_distance"])
    distances = boundary_distances(target=nothing > 0, prediction=square(4, 4, 10) > 0)
    assert hausdorff_95(*distances) == math.inf


def test_no_outline_at_all_is_no_figure():
    nothing, full = np.zeros((5, 5), np.uint8), np.ones((5, 5), np.uint8)
    assert counts_of(nothing, nothing) == BoundaryCounts()
    assert counts_of(full, full) == BoundaryCounts()  # found, but its outline lies outside the tile
    assert all(math.isnan(value) for value in figures_of(BoundaryCounts()).values())
    assert math.isnan(hausdorff_95(*boundary_distances(target=full > 0, prediction=full > 0)))


def test_the_border_of_the_tile_is_no_outline():
    counts = counts_of(square(0, 0, 10), square(0, 0, 10))
    assert counts.n_edges == 2 * 20


def test_ignored_pixels_have_no_outline():
    ignored = np.zeros((20, 20), bool)
    ignored[:, 12:] = True
    target = square(4, 4, 10)
    target[ignored] = 255
    counts = counts_of(target, square(4, 4, 10), ignored=ignored, tolerance=0.0)
    assert counts.n_edges == counts.n_near == 2 * (8 + 8 + 10)


def test_objects_that_were_dropped_have_no_outline():
    ignored = np.zeros((20, 20), bool)
    ignored[:, 12:] = True
    nothing = np.where(ignored, 255, 0).astype(np.uint8)
    assert counts_of(nothing, square(4, 10, 8), ignored=ignored) == BoundaryCounts()


def test_each_pair_is_measured_alone():
    target = np.zeros((40, 40), np.uint8)
    target[2:12, 2:12] = target[20:30, 20:30] = 1
    prediction = np.roll(target, 1, axis=1)
    counts = counts_of(target, prediction)
    assert counts.n_pairs == 2
    assert counts.sum_hausdorff_95 == 2.0
    alone = counts_of(target[:16, :16], prediction[:16, :16]) + counts_of(target[16:, 16:], prediction[16:, 16:])
    assert np.allclose(counts.vector, alone.vector)


@pytest.mark.parametrize("tolerance", [-1, math.nan, math.inf])
def test_tolerances_that_make_no_sense(tolerance):
    with pytest.raises(InvalidInputError, match="tolerance of outlines is"):
        counts_of(square(4, 4, 10), square(4, 4, 10), tolerance=tolerance)
    with pytest.raises(TypeError):
        BoundaryCounts() + 1
