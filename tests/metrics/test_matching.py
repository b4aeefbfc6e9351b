"""One-to-one matching of objects, against trying every way to pair them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glomseg.errors import InvalidInputError
from glomseg.measure import connected_components
from glomseg.metrics.matching import label_objects, match_objects

MAPS = arrays(np.int32, (5, 6), elements=st.integers(0, 4))


def label_map(*rows):
    return np.array([[int(letter) for letter in row] for row in rows], np.int32)


def iou_table(target, prediction):
    """IoU of every true with every predicted object, from sets of places."""

    def places(labels):
        return {
            int(name): {tuple(place) for place in np.argwhere(labels == name)} for name in np.unique(labels) if name > 0
        }

    true, predicted = places(target), places(prediction)
    return {(t, p): len(a & b) / len(a | b) for t, a in true.items() for p, b in predicted.items()}


def best_by_trying_all(target, prediction, min_iou):
    """The largest sum of IoUs over all one-to-one pairings."""
    table = iou_table(target, prediction)
    true, predicted = sorted({t for t, _ in table}), sorted({p for _, p in table})
    best = 0.0
    for partners in itertools.permutations([*predicted, *[None] * len(true)], len(true)):
        values = [table[t, p] for t, p in zip(true, partners, strict=True) if p is not None]
        best = max(best, sum(value for value in values if value >= min_iou))
    return best


@settings(deadline=None, max_examples=60)
@given(MAPS, MAPS, st.sampled_from([0.05, 0.2, 0.5]))
def test_no_other_pairing_has_a_larger_sum(target, prediction, min_iou):
    matching = match_objects(target=target, prediction=prediction, min_iou=min_iou)
    assert matching.iou.sum() == pytest.approx(best_by_trying_all(target, prediction, min_iou))
    table = iou_table(target, prediction)
    for (row, column), iou in zip(matching.pairs, matching.iou, strict=True):
        assert iou == table[int(matching.targets.label[row]), int(matching.predictions.label[column])] >= min_iou
    for side in matching.pairs.T:
        assert len(set(side.tolist())) == len(side)


@settings(deadline=None, max_examples=60)
@given(MAPS, MAPS)
def test_the_two_sides_are_alike(target, prediction):
    one = match_objects(target=target, prediction=prediction)
    other = match_objects(target=prediction, prediction=target)
    assert one.iou.sum() == pytest.approx(other.iou.sum())
    assert len(one.pairs) == len(other.pairs)
    assert one.merges.tolist() == other.splits.tolist()
    assert one.splits.tolist() == other.merges.tolist()
    turned = match_objects(target=target.T, prediction=prediction.T)
    assert np.sort(turned.iou) == pytest.approx(np.sort(one.iou))
    assert turned.targets.area_px.tolist() == one.targets.area_px.tolist()


@settings(deadline=None, max_examples=60)
@given(MAPS)
def test_a_map_matches_itself(labels):
    matching = match_objects(target=labels, prediction=labels)
    assert matching.iou.tolist() == [1.0] * len(set(np.unique(labels)) - {0})
    assert not matching.merges.any()
    assert not matching.splits.any()


def test_the_sum_decides_and_not_the_best_pair():
    # 1 with 1: 4 of 8; but 1 with 2 (3 of 9) and 2 with 1 (2 of 8) together have more than that alone
    target = label_map("1111111200")
    prediction = label_map("2221111100")
    table = iou_table(target, prediction)
    assert table == {(1, 1): 4 / 8, (1, 2): 3 / 7, (2, 1): 1 / 5, (2, 2): 0.0}
    assert match_objects(target=target, prediction=prediction, min_iou=0.1).iou == pytest.approx([3 / 7, 1 / 5])
    assert match_objects(target=target, prediction=prediction).iou == pytest.approx([0.5])


def test_an_iou_of_exactly_a_half_is_a_pair_and_only_one():
    target, prediction = label_map("1111"), label_map("1122")
    matching = match_objects(target=target, prediction=prediction)
    assert matching.pairs.tolist() in ([[0, 0]], [[0, 1]])
    assert matching.iou.tolist() == [0.5]
    assert matching.splits.tolist() == [True]


def test_merges_and_splits_by_hand():
    target = label_map("1110222", "1110222", "0000000", "3333333")
    prediction = label_map("5555555", "5555555", "0000000", "6660777")
    matching = match_objects(target=target, prediction=prediction)
    assert matching.predictions.label.tolist() == [5, 6, 7]
    assert matching.merges.tolist() == [True, False, False]
    assert matching.splits.tolist() == [False, False, True]
    assert matching.pairs.tolist() == []  # 6 of 14 pixels, and 3 of 7


def test_half_of_an_object_is_not_covered():
    target = label_map("11110", "22220")
    prediction = label_map("11000", "11110")
    assert match_objects(target=target, prediction=prediction).merges.tolist() == [False]


def test_objects_have_their_area_place_and_border():
    labels = label_map("0000", "0990", "0994", "0000")
    objects = match_objects(target=labels, prediction=labels).targets
    assert objects.label.tolist() == [4, 9]
    assert objects.area_px.tolist() == [1, 4]
    assert objects.centroid_px.tolist() == [[2, 3], [1.5, 1.5]]
    assert objects.touches_border.tolist() == [True, False]


@pytest.mark.parametrize("shape", [(3, 4), (0, 0), (1, 1)])
def test_nothing_on_either_side(shape):
    nothing = np.zeros(shape, np.int32)
    matching = match_objects(target=nothing, prediction=nothing)
    assert (len(matching.targets), len(matching.predictions), matching.pairs.shape) == (0, 0, (0, 2))
    if shape == (3, 4):
        full = np.ones(shape, np.int32)
        assert match_objects(target=full, prediction=nothing).splits.tolist() == [False]
        assert match_objects(target=nothing, prediction=full).merges.tolist() == [False]


def test_a_prediction_mostly_ignored_is_dropped_unless_it_found_something():
    ignored = np.array([[False] * 4 + [True] * 6])
    nothing, true = label_map("0000000000"), label_map("0111000000")
    assert len(match_objects(target=nothing, prediction=label_map("0000111000"), ignored=ignored).predictions) == 0
    mostly, half = label_map("0002222000"), label_map("0022220000")
    assert len(match_objects(target=nothing, prediction=mostly, ignored=ignored).predictions) == 0
    dropped = match_objects(target=nothing, prediction=half, ignored=ignored)
    assert dropped.predictions.area_px.tolist() == [2]  # half is not most of it; only what is not ignored counts
    found = match_objects(target=true, prediction=label_map("0222222220"), ignored=ignored)
    assert found.iou.tolist() == [1.0]
    assert found.predictions.area_px.tolist() == [3]


def test_pairs_point_at_the_predictions_that_are_left():
    ignored = np.array([[True] * 3 + [False] * 6])
    matching = match_objects(target=label_map("000000330"), prediction=label_map("110000440"), ignored=ignored)
    assert matching.predictions.label.tolist() == [4]
    assert matching.pairs.tolist() == [[0, 0]]
    assert matching.merges.tolist() == [False]


def test_a_true_object_mostly_ignored_takes_its_rest_along():
    ignored = np.array([[False, False, True, True, True, False]])
    target = label_map("011110")
    matching = match_objects(target=target, prediction=label_map("022200"), ignored=ignored)
    assert (len(matching.targets), len(matching.predictions)) == (0, 0)
    kept = match_objects(target=label_map("111100"), prediction=label_map("110000"), ignored=ignored)
    assert kept.targets.area_px.tolist() == [2]
    assert kept.iou.tolist() == [1.0]


def test_labels_of_any_size():
    target = label_map("110", "000").astype(np.int64) * 2_000_000_000
    prediction = label_map("110", "000").astype(np.uint16)
    matching = match_objects(target=target, prediction=prediction)
    assert matching.targets.label.tolist() == [2_000_000_000]
    assert matching.iou.tolist() == [1.0]


@settings(deadline=None, max_examples=40)
@given(arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 2, 255])), st.integers(0, 4))
def test_objects_of_a_mask_are_those_that_are_measured(mask, min_area_px):
    for class_index in (1, 2):
        labels = label_objects(mask, class_index=class_index, min_area_px=min_area_px)
        measured = connected_components(mask, n_classes=3, min_area_px=min_area_px)
        expected = [piece for piece in measured if piece.class_index == class_index]
        objects = match_objects(target=labels, prediction=labels).targets
        assert labels.dtype == np.int32
        assert objects.label.tolist() == list(range(1, len(expected) + 1))
        found = zip(objects.area_px, objects.touches_border, *objects.centroid_px.round(6).T, strict=True)
        measures = (
            (piece.area_px, piece.touches_border, *(round(place, 6) for place in piece.centroid_px))
            for piece in expected
        )
        assert sorted(found) == sorted(measures)


def test_what_cannot_be_matched():
    good = np.zeros((2, 2), np.int32)
    with pytest.raises(InvalidInputError, match=r"prediction has the shape \(2, 2\) and the type float64"):
        match_objects(target=good, prediction=np.zeros((2, 2)))
    with pytest.raises(InvalidInputError, match=r"target has the shape \(2,\)"):
        match_objects(target=good[0], prediction=good)
    with pytest.raises(InvalidInputError, match=r"the target holds -1; .* mark ignored pixels by `ignored`"):
        match_objects(target=good - 1, prediction=good)
    with pytest.raises(InvalidInputError, match=r"target has the shape \(2, 2\), but prediction \(1, 2\)"):
        match_objects(target=good, prediction=good[:1])
    with pytest.raises(InvalidInputError, match=r"but ignored \(2, 1\)"):
        match_objects(target=good, prediction=good, ignored=np.zeros((2, 1), bool))
    for min_iou in (0, 0.6, float("nan")):
        with pytest.raises(InvalidInputError, match="min_iou is"):
            match_objects(target=good, prediction=good, min_iou=min_iou)
