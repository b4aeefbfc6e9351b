"""Counts and figures of matched objects, by hand and against counting them one by one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glomseg.metrics.matching import match_objects
from glomseg.metrics.objects import IOU_THRESHOLDS, ObjectCounts, count_objects, object_figures, size_limits_px

MAPS = arrays(np.int32, (5, 6), elements=st.integers(0, 4))
LIMITS = (2.0, 4.0)


def label_map(*rows):
    return np.array([[int(letter) for letter in row] for row in rows], np.int32)


def counts_of(target, prediction, *, limits=LIMITS):
    return count_objects(match_objects(target=target, prediction=prediction), size_limits_px=limits)


def figures_of(counts):
    return {name: float(figure.value) for name, figure in object_figures(counts.vector).items()}


TARGET = label_map("000000000", "011102200", "011102200", "000000000", "033300044")
PREDICTION = label_map("000000000", "011002000", "011000000", "077000000", "033300440")
# 1: found, 4 of 6; 2: missed, 1 of 4; 3: found, 3 of 5 (with the 7 above it counted apart: 3 of 3); 4: 1 of 3


def test_counts_by_hand():
    counts = counts_of(TARGET, PREDICTION)
    assert (counts.n_tiles, counts.n_targets, counts.n_predictions, counts.n_found) == (1, 4, 5, 2)
    assert (counts.n_missed, counts.n_invented) == (2, 3)
    assert counts.n_found_at == (2, 2, 2, 2, 1, 1, 1, 1, 1, 1)
    assert counts.sum_iou == 4 / 6 + 1
    assert (counts.n_cut, counts.n_cut_found) == (2, 1)  # 3 and 4 touch the border
    assert (counts.n_of_size, counts.n_found_of_size) == ((0, 1, 1), (0, 0, 1))  # 2 with 4 pixels, 1 with 6
    assert (counts.target_area_px, counts.prediction_area_px) == (15, 4 + 1 + 2 + 3 + 2)
    assert counts.sum_count_error == 1
    assert counts.n_measured == 1
    assert counts.sum_log_ratio == math.log(4 / 6)
    assert counts.sum_squared_log_ratio == math.log(4 / 6) ** 2


def test_figures_by_hand():
    figures = figures_of(counts_of(TARGET, PREDICTION))
    assert (figures["precision"], figures["recall"]) == (2 / 5, 2 / 4)
    assert figures["f1"] == pytest.approx(2 * 0.4 * 0.5 / 0.9)
    assert figures["segmentation_quality"] == pytest.approx((4 / 6 + 1) / 2)
    assert figures["panoptic_quality"] == pytest.approx(figures["segmentation_quality"] * figures["f1"])
    assert figures["ap_dsb"] == pytest.approx((4 * 2 / 7 + 6 * 1 / 8) / 10)
    assert math.isnan(figures["recall_small"])
    assert (figures["recall_middle"], figures["recall_large"], figures["recall_cut"]) == (0, 1, 0.5)
    assert (figures["count_ratio"], figures["count_error_per_tile"]) == (5 / 4, 1)
    assert figures["area_ratio"] == 12 / 15
    assert figures["matched_area_ratio"] == pytest.approx(4 / 6)
    assert math.isnan(figures["matched_area_low"])  # one pair has no spread


def test_limits_of_agreement_are_mean_and_standard_deviations():
    ratios = np.array([0.8, 0.9, 1.3, 1.05])
    logs = np.log(ratios)
    counts = ObjectCounts(n_measured=4, sum_log_ratio=logs.sum(), sum_squared_log_ratio=(logs**2).sum())
    figures = figures_of(counts)
    assert figures["matched_area_ratio"] == pytest.approx(np.prod(ratios) ** 0.25)
    assert figures["matched_area_low"] == pytest.approx(np.exp(logs.mean() - 1.96 * logs.std(ddof=1)), rel=1e-4)
    assert figures["matched_area_high"] == pytest.approx(np.exp(logs.mean() + 1.96 * logs.std(ddof=1)), rel=1e-4)


def test_a_tile_without_objects():
    nothing, one = label_map("000", "000"), label_map("000", "010")
    empty = counts_of(nothing, nothing)
    assert empty == ObjectCounts(n_tiles=1)
    figures = figures_of(empty)
    assert figures.pop("count_error_per_tile") == 0
    assert all(math.isnan(value) for value in figures.values())
    invented = figures_of(counts_of(nothing, one))
    assert (invented["precision"], invented["f1"], invented["ap_dsb"], invented["panoptic_quality"]) == (0, 0, 0, 0)
    assert math.isnan(invented["recall"])
    assert math.isnan(invented["count_ratio"])
    assert invented["count_error_per_tile"] == 1
    missed = figures_of(counts_of(one, nothing))
    assert (missed["recall"], missed["f1"], missed["count_ratio"], missed["area_ratio"]) == (0, 0, 0, 0)
    assert math.isnan(missed["precision"])
    assert math.isnan(missed["segmentation_quality"])


@settings(deadline=None, max_examples=60)
@given(MAPS, MAPS)
def test_swapping_truth_and_prediction_swaps_precision_and_recall(target, prediction):
    one, other = figures_of(counts_of(target, prediction)), figures_of(counts_of(prediction, target))
    np.testing.assert_allclose(one["precision"], other["recall"])
    for name in ("f1", "ap_dsb", "panoptic_quality", "segmentation_quality", "count_error_per_tile"):
        np.testing.assert_allclose(one[name], other[name], err_msg=name)
    for name in ("count_ratio", "area_ratio", "matched_area_ratio"):
        if one[name] > 0 and other[name] > 0:
            assert one[name] == pytest.approx(1 / other[name]), name
    if one["matched_area_low"] > 0:
        assert one["matched_area_low"] == pytest.approx(1 / other["matched_area_high"])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(MAPS, MAPS), min_size=1, max_size=4))
def test_counts_add_up_and_the_figures_of_vectors_are_those_of_records(tiles):
    counts = [counts_of(*tile) for tile in tiles]
    total = sum(counts, ObjectCounts())
    vectors = np.stack([one.vector for one in counts])
    assert np.array_equal(vectors.sum(axis=0), total.vector)
    assert total.n_tiles == len(tiles)
    # Counted again in one picture that holds all tiles apart, where fewer objects touch the border
    apart = [
        np.concatenate([np.pad(tile[i] + 10 * k * (tile[i] > 0), 1) for k, tile in enumerate(tiles)]) for i in (0, 1)
    ]
    together = counts_of(*apart)
    for name in ("n_targets", "n_predictions", "n_found", "n_found_at", "n_merges", "n_splits", "target_area_px"):
        assert getattr(together, name) == getattr(total, name), name
    np.testing.assert_allclose(figures_of(together)["panoptic_quality"], figures_of(total)["panoptic_quality"])
    stacked = object_figures(vectors)
    for i, one in enumerate(counts):
        np.testing.assert_equal({name: float(f.value[i]) for name, f in stacked.items()}, figures_of(one))


@settings(deadline=None, max_examples=60)
@given(MAPS, MAPS)
def test_figures_lie_where_they_must(target, prediction):
    counts = counts_of(target, prediction)
    assert counts.n_found_at[0] == counts.n_found  # IoU 0.5 is the first threshold
    assert sorted(counts.n_found_at, reverse=True) == list(counts.n_found_at)
    assert sum(counts.n_of_size) + counts.n_cut == counts.n_targets
    assert sum(counts.n_found_of_size) + counts.n_cut_found == counts.n_found
    for name, figure in object_figures(counts.vector).items():
        assert not figure.value < 0, name
        assert not (figure.scale == "fraction" and figure.value > 1 + 1e-12), name
        if figure.weight == 0:
            assert math.isnan(figure.value), name


def test_sizes_divide_the_whole_objects_into_thirds():
    labels = label_map("10000000", "02033044", "00033044", "00000000", "05550666", "00000000")
    matching = match_objects(target=labels, prediction=labels)
    low, high = size_limits_px([matching])
    assert low < 3 < high  # 1, 3 and 4 pixels; those at the border are left out
    assert count_objects(matching, size_limits_px=(low, high)).n_of_size == (1, 1, 1)
    assert all(math.isnan(limit) for limit in size_limits_px([]))
    nothing = match_objects(target=labels * 0, prediction=labels)
    assert all(math.isnan(limit) for limit in size_limits_px([nothing]))
    assert count_objects(nothing, size_limits_px=size_limits_px([nothing])).n_of_size == (0, 0, 0)


def test_thresholds_are_exact():
    assert IOU_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    tall = label_map(*["1"] * 20)
    for n_missing, n_reached in ((10, 1), (9, 2), (8, 3), (1, 10)):
        prediction = tall.copy()
        prediction[:n_missing] = 0
        assert sum(counts_of(tall, prediction).n_found_at) == n_reached


def test_only_counts_can_be_added():
    with pytest.raises(TypeError):
        ObjectCounts() + 1
