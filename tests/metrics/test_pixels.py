import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, jaccard_score, precision_score, recall_score

from glomseg.errors import InvalidInputError
from glomseg.metrics.pixels import PixelCounts, count_pixels, pixel_metrics, pixel_ratios

OPENMMLAB = Path(__file__).parents[3] / "shared" / "openmmlab"

GOLDEN_TARGET = np.array([[0, 0, 1, 1], [0, 1, 1, 255], [0, 0, 2, 255]], np.uint8)
GOLDEN_PREDICTION = np.array([[0, 0, 1, 0], [0, 1, 1, 1], [1, 0, 2, 2]], np.uint8)


def golden():
    return count_pixels(target=GOLDEN_TARGET, prediction=GOLDEN_PREDICTION, n_classes=4)


def test_counts_have_truth_in_rows_and_prediction_in_columns():
    counts = count_pixels(target=np.array([0, 0, 0, 1]), prediction=np.array([1, 1, 0, 1]), n_classes=2)
    assert counts.matrix.tolist() == [[1, 2], [0, 1]]
    assert counts.matrix.dtype == np.int64
    assert counts.n_pixels == 4


def test_the_example_that_mmsegmentation_was_run_on():
    counts = golden()
    matrix = counts.matrix
    assert np.diag(matrix).tolist() == [4, 3, 1, 0]
    assert matrix.sum(axis=1).tolist() == [5, 4, 1, 0]  # label
    assert matrix.sum(axis=0).tolist() == [5, 4, 1, 0]  # prediction
    metrics = pixel_metrics(counts)
    assert metrics.pixel_accuracy == 0.8
    np.testing.assert_allclose(metrics.iou, [4 / 6, 3 / 5, 1, math.nan])
    np.testing.assert_allclose(metrics.accuracy, [0.8, 0.75, 1, math.nan])
    assert round(metrics.mean_iou * 100, 2) == 75.56
    assert metrics.n_classes_left_out == 1
    assert metrics.n_pixels == 10


@pytest.mark.real
@pytest.mark.parametrize("case", ["A", "B", "C"])
def test_every_figure_of_mmsegmentation_to_the_digit(case):
    if not OPENMMLAB.is_dir():
        pytest.skip(f"{OPENMMLAB} with MMSegmentation's own figures is absent")
    expected = json.loads((OPENMMLAB / "ref_ioumetric.json").read_text())[f"{case}/nan=None/beta=1"]
    stored = np.load(OPENMMLAB / "ref_ioumetric.npz")
    counts = PixelCounts.zero(5)
    for index in range(6):
        label = stored[f"A/label{index}"]  # the cases differ in what was predicted, the labels are the same
        counts += count_pixels(target=label, prediction=stored[f"{case}/pred{index}"], n_classes=5)
    areas = expected["areas"]
    assert np.diag(counts.matrix).tolist() == areas["intersect"]
    assert counts.matrix.sum(axis=1).tolist() == areas["label"]
    assert counts.matrix.sum(axis=0).tolist() == areas["pred"]

    metrics = pixel_metrics(counts)
    named = {"aAcc": metrics.pixel_accuracy, "mIoU": metrics.mean_iou}
    named |= {"mAcc": metrics.mean_accuracy, "mDice": metrics.mean_dice}
    named |= {"mPrecision": np.nanmean(metrics.precision), "mRecall": np.nanmean(metrics.recall)}
    for name, value in named.items():
        assert round(value * 100, 2) == round(expected["summary"][name], 2), name
    per_class = {"IoU": metrics.iou, "Acc": metrics.accuracy, "Dice": metrics.dice}
    per_class |= {"Precision": metrics.precision, "Recall": metrics.recall}
    for name, values in per_class.items():
        np.testing.assert_allclose(values, expected["per_class"][name], rtol=1e-6, err_msg=name)  # theirs is float32


label_arrays = arrays(np.uint8, st.integers(0, 60), elements=st.sampled_from([0, 1, 2, 3, 255]))


@settings(deadline=None)
@given(label_arrays, st.randoms(use_true_random=False))
def test_agrees_with_scikit_learn(target, random):
    prediction = np.array([random.choice([0, 1, 1, 3, 4]) for _ in target], np.uint8)
    counts = count_pixels(target=target, prediction=prediction, n_classes=6)
    valid = target != 255
    truth, found = target[valid], prediction[valid]
    if not valid.any():
        assert counts == PixelCounts.zero(6)
        return
    np.testing.assert_array_equal(counts.matrix, confusion_matrix(truth, found, labels=range(6)))
    metrics = pixel_metrics(counts)
    for values, score in [
        (metrics.iou, jaccard_score),
        (metrics.precision, precision_score),
        (metrics.recall, recall_score),
    ]:
        theirs = score(truth, found, labels=range(6), average=None, zero_division=0)
        np.testing.assert_allclose(np.nan_to_num(values), theirs)
    absent = [k not in truth and k not in found for k in range(6)]
    assert np.isnan(metrics.iou).tolist() == absent
    assert np.isnan(metrics.dice).tolist() == absent
    assert metrics.n_classes_left_out == sum(absent)
    assert math.isclose(metrics.mean_iou, np.nanmean(metrics.iou))


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int32])
def test_every_integer_type_counts_the_same(dtype):
    counts = count_pixels(target=GOLDEN_TARGET.astype(dtype), prediction=GOLDEN_PREDICTION.astype(dtype), n_classes=4)
    assert counts == golden()


def test_booleans_are_two_classes():
    target = np.array([True, False, True])
    counts = count_pixels(target=target, prediction=~target, n_classes=2)
    assert counts.matrix.tolist() == [[0, 1], [2, 0]]


def test_counts_stay_exact_beyond_float32():
    target = np.zeros(2**24 + 3, np.uint8)
    counts = count_pixels(target=target, prediction=target, n_classes=2)
    assert counts.matrix.tolist() == [[2**24 + 3, 0], [0, 0]]


def test_strided_views_are_read_rightly():
    counts = count_pixels(target=GOLDEN_TARGET.T, prediction=GOLDEN_PREDICTION.T, n_classes=4)
    assert counts == golden()
    flipped = count_pixels(target=GOLDEN_TARGET[:, ::-1], prediction=GOLDEN_PREDICTION[:, ::-1], n_classes=4)
    assert flipped == golden()


def test_another_ignore_value():
    target, prediction = np.array([0, 1, 1]), np.array([1, 1, 0])
    assert count_pixels(target=target, prediction=prediction, n_classes=2, ignore_index=0).n_pixels == 2


def test_255_classes_fit():
    every = np.arange(255, dtype=np.uint8)
    assert np.array_equal(count_pixels(target=every, prediction=every, n_classes=255).matrix, np.eye(255))


def test_sum_of_parts_is_the_whole():
    halves = [
        count_pixels(target=GOLDEN_TARGET[:, part], prediction=GOLDEN_PREDICTION[:, part], n_classes=4)
        for part in (slice(0, 2), slice(2, 4))
    ]
    assert sum(halves, PixelCounts.zero(4)) == golden()
    assert hash(halves[0] + halves[1]) == hash(golden())


def test_counts_cannot_be_changed_from_outside():
    matrix = np.array([[1, 2], [3, 4]])
    counts = PixelCounts(matrix=matrix)
    matrix[0, 0] = 100
    assert counts.n_pixels == 10
    with pytest.raises(ValueError, match="read-only"):
        counts.matrix[0, 0] = 7


def test_no_pixels_have_no_figures():
    empty = np.zeros((0, 5), np.uint8)
    metrics = pixel_metrics(count_pixels(target=empty, prediction=empty, n_classes=3))
    assert metrics.n_pixels == 0
    assert metrics.n_classes_left_out == 3
    for value in (metrics.pixel_accuracy, metrics.mean_iou, metrics.mean_accuracy, metrics.mean_dice, *metrics.iou):
        assert math.isnan(value)


def test_everything_ignored_is_no_pixels():
    target = np.full((2, 2), 255, np.uint8)
    assert count_pixels(target=target, prediction=target, n_classes=2) == PixelCounts.zero(2)


def test_empty_tile_called_empty_is_perfect_background_and_undefined_foreground():
    tile = np.zeros((4, 4), np.uint8)
    metrics = pixel_metrics(count_pixels(target=tile, prediction=tile, n_classes=2))
    assert metrics.iou[0] == 1
    assert math.isnan(metrics.iou[1])
    assert metrics.mean_iou == 1


def test_class_predicted_but_never_true():
    metrics = pixel_metrics(PixelCounts(matrix=np.array([[8, 2], [0, 0]])))
    assert metrics.iou[1] == metrics.dice[1] == metrics.precision[1] == 0
    assert math.isnan(metrics.accuracy[1])
    assert metrics.mean_iou == 0.4
    assert metrics.mean_accuracy == 0.8
    assert metrics.n_classes_left_out == 0


def test_class_true_but_never_predicted():
    metrics = pixel_metrics(PixelCounts(matrix=np.array([[8, 0], [2, 0]])))
    assert metrics.iou[1] == metrics.dice[1] == metrics.recall[1] == 0
    assert math.isnan(metrics.precision[1])


@given(arrays(np.int64, (7, 3, 3), elements=st.integers(0, 40)))
def test_a_stack_gives_what_each_matrix_gives(stack):
    ratios = pixel_ratios(stack)
    for index, matrix in enumerate(stack):
        metrics = pixel_metrics(PixelCounts(matrix=matrix))
        np.testing.assert_equal(ratios.mean_iou[index], metrics.mean_iou)
        np.testing.assert_equal(ratios.pixel_accuracy[index], metrics.pixel_accuracy)
        np.testing.assert_equal(ratios.dice[index], np.array(metrics.dice))
        np.testing.assert_equal(ratios.precision[index], np.array(metrics.precision))


@given(arrays(np.int64, (3, 3), elements=st.integers(0, 1000)))
def test_dice_and_iou_say_the_same(matrix):
    metrics = pixel_metrics(PixelCounts(matrix=matrix))
    for iou, dice in zip(metrics.iou, metrics.dice, strict=True):
        assert (math.isnan(iou) and math.isnan(dice)) or math.isclose(dice, 2 * iou / (1 + iou))


def test_shapes_must_agree():
    with pytest.raises(InvalidInputError, match=r"prediction has the shape \(2, 2\) but the target \(4, 4\).*resize"):
        count_pixels(target=np.zeros((4, 4), np.uint8), prediction=np.zeros((2, 2), np.uint8), n_classes=2)


def test_target_outside_the_classes():
    with pytest.raises(InvalidInputError, match=r"target holds the value 2, 7 at 3 pixels.*0 to 1 \(and 255"):
        count_pixels(target=np.array([0, 2, 2, 7]), prediction=np.zeros(4, int), n_classes=2)


def test_prediction_outside_the_classes_matters_only_where_it_counts():
    target, prediction = np.array([0, 255]), np.array([0, 9])
    assert count_pixels(target=target, prediction=prediction, n_classes=2).n_pixels == 1
    with pytest.raises(InvalidInputError, match=r"prediction holds the value 255 at 1 pixels.*grey values"):
        count_pixels(target=np.array([0, 1]), prediction=np.array([0, 255]), n_classes=2)


def test_label_maps_and_negative_marks():
    with pytest.raises(InvalidInputError, match=r"target holds values from -1 to 1.*mark them 255"):
        count_pixels(target=np.array([-1, 1]), prediction=np.array([0, 1]), n_classes=2)
    with pytest.raises(InvalidInputError, match="prediction holds values from 0 to 300"):
        count_pixels(target=np.array([0, 1]), prediction=np.array([0, 300]), n_classes=2)


def test_probabilities_are_no_classes():
    with pytest.raises(InvalidInputError, match=r"prediction holds float32 values.*argmax"):
        count_pixels(target=np.array([0]), prediction=np.array([0.7], np.float32), n_classes=2)


@pytest.mark.parametrize("n_classes", [0, 256])
def test_number_of_classes(n_classes):
    with pytest.raises(InvalidInputError, match=f"n_classes is {n_classes}"):
        count_pixels(target=np.array([0]), prediction=np.array([0]), n_classes=n_classes)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3), int), "one row and one column a class"),
        (np.zeros((0, 0), int), "one row and one column a class"),
        (np.eye(2) * 0.5, "whole numbers of pixels, not float64"),
        (np.array([[1, -3], [0, 0]]), "its smallest is -3"),
    ],
)
def test_matrices_that_count_nothing(matrix, message):
    with pytest.raises(InvalidInputError, match=message):
        PixelCounts(matrix=matrix)


def test_adding_what_does_not_fit():
    with pytest.raises(InvalidInputError, match="counts of 2 and of 3 classes"):
        PixelCounts.zero(2) + PixelCounts.zero(3)
    with pytest.raises(TypeError):
        sum([PixelCounts.zero(2)])
    with pytest.raises(InvalidInputError, match="at least one class"):
        PixelCounts.zero(0)
