"""From tiles' counts to figures by group and overall."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomseg.errors import InvalidInputError
from glomseg.metrics.evaluation import TileCounts, evaluate_counts, named_figures, named_intervals
from glomseg.metrics.object_evaluation import measure_objects
from glomseg.metrics.pixel_intervals import pixel_intervals
from glomseg.metrics.pixels import PixelCounts, pixel_metrics
from glomseg.types import GLOMERULUS, Classes


def tile(name, group, matrix):
    return TileCounts(name=name, group=group, counts=PixelCounts(matrix=np.array(matrix)))


def measured(shift=0):
    """Objects of a tile with one square, predicted some pixels off."""
    target, prediction = np.zeros((2, 20, 20), np.uint8)
    target[4:8, 4:8] = prediction[4:8, 4 + shift : 8 + shift] = 1
    return measure_objects(target=target, prediction=prediction, n_classes=2)


TILES = [
    tile("a1", "a", [[90, 2], [4, 4]]),
    tile("b1", "b", [[50, 0], [0, 50]]),
    tile("a2", "a", [[100, 0], [0, 0]]),
]


def test_counts_add_up_by_group_and_overall():
    evaluation = evaluate_counts(TILES, GLOMERULUS)
    assert [item.name for item in evaluation.tiles] == ["a1", "b1", "a2"]
    assert evaluation.groups["a"].matrix.tolist() == [[190, 2], [4, 4]]
    assert evaluation.groups["b"].matrix.tolist() == [[50, 0], [0, 50]]
    assert evaluation.counts.matrix.tolist() == [[240, 2], [4, 54]]
    assert evaluation.metrics.iou == pytest.approx((240 / 246, 54 / 60))
    assert evaluation.metrics.pixel_accuracy == pytest.approx(294 / 300)


def test_intervals_are_of_groups_and_repeat():
    evaluation = evaluate_counts(TILES, GLOMERULUS)
    interval = evaluation.intervals.iou[1]
    assert interval.n_groups == 2
    assert interval == pixel_intervals(list(evaluation.groups.values())).iou[1]
    assert evaluate_counts(TILES, GLOMERULUS) == evaluation
    assert math.isnan(evaluate_counts(TILES[:1], GLOMERULUS).intervals.iou[1].low)


def test_objects_are_evaluated_where_tiles_have_them():
    assert evaluate_counts(TILES, GLOMERULUS).objects == ()
    with pytest.raises(ValueError, match="zip"):
        evaluate_counts([replace(TILES[0], objects=measured()), *TILES[1:]], GLOMERULUS)
    tiles = [replace(tile, objects=measured(shift)) for tile, shift in zip(TILES, (0, 1, 5), strict=True)]
    (objects,) = evaluate_counts(tiles, GLOMERULUS).objects
    assert [tile.objects.n_found for tile in objects.tiles] == [1, 1, 0]
    assert {name: found.objects.n_found for name, found in objects.groups.items()} == {"a": 1, "b": 1}
    assert objects.counts.objects.n_targets == 3
    assert objects.figures["recall"] == pytest.approx(2 / 3)
    assert objects.intervals["recall"].n_groups == 2
    assert objects.figures.keys() == objects.intervals.keys()
    assert objects.size_limits_px == (16, 16)


def test_each_class_has_its_own_objects():
    target, prediction = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    target[2:6, 2:6] = prediction[2:6, 2:6] = 1
    prediction[7:10, 7:10] = 2
    prediction[0, 0] = 2
    one, two = measure_objects(target=target, prediction=prediction, n_classes=3, min_area_px=2)
    assert (len(one.matching.pairs), len(one.matching.targets), len(one.matching.predictions)) == (1, 1, 1)
    assert (len(two.matching.pairs), len(two.matching.targets), len(two.matching.predictions)) == (0, 0, 1)


def test_no_tile_is_an_error():
    with pytest.raises(InvalidInputError, match="no tile to evaluate"):
        evaluate_counts([], GLOMERULUS)


def test_counts_of_other_classes_are_an_error():
    three = Classes.of(("background", "glomerulus", "tubule"))
    with pytest.raises(InvalidInputError, match="cannot be added"):
        evaluate_counts(TILES, three)


def test_figures_have_names_and_an_absent_class_nan():
    three = Classes.of(("background", "glomerulus", "tubule"))
    tiles = [tile(name, name, [[8, 2, 0], [0, 6, 0], [0, 0, 0]]) for name in "ab"]
    evaluation = evaluate_counts(tiles, three)
    figures = named_figures(evaluation.metrics, three.names)
    assert figures["iou"]["glomerulus"] == pytest.approx(6 / 8)
    assert math.isnan(figures["iou"]["tubule"])
    assert figures["mean_iou"] == pytest.approx((0.8 + 0.75) / 2)
    intervals = named_intervals(evaluation.intervals, three.names)
    assert intervals.keys() == figures.keys()
    assert intervals["iou"].keys() == figures["iou"].keys()
    low, high = intervals["iou"]["glomerulus"]
    assert low < 0.75 < high
    assert intervals["recall"]["tubule"] is None
    alone = named_intervals(evaluate_counts(tiles[:1], three).intervals, three.names)
    assert alone["mean_iou"] is None
    assert alone["iou"] == {"background": None, "glomerulus": None, "tubule": None}


def test_names_must_be_as_many_as_figures():
    with pytest.raises(ValueError, match="zip"):
        named_figures(pixel_metrics(TILES[0].counts), ["background"])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 50), min_size=4, max_size=4)), min_size=1, max_size=8
    )
)
def test_how_tiles_are_grouped_changes_no_overall_figure(drawn):
    tiles = [tile(str(i), group, np.array(cells).reshape(2, 2)) for i, (group, cells) in enumerate(drawn)]
    evaluation = evaluate_counts(tiles, GLOMERULUS)
    total = sum(np.array(cells).reshape(2, 2) for _, cells in drawn)
    assert evaluation.counts.matrix.tolist() == total.tolist()
    regrouped = [tile(item.name, "all", item.counts.matrix) for item in tiles]
    np.testing.assert_equal(evaluate_counts(regrouped, GLOMERULUS).metrics.iou, evaluation.metrics.iou)
    assert list(evaluation.groups) == list(dict.fromkeys(group for group, _ in drawn))
