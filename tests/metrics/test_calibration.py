"""Calibration: hand-computed bins, agreement with loops and with scikit-learn, and the cases with nothing to count."""

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from glomseg.errors import InvalidInputError
from glomseg.metrics import calibration
from glomseg.metrics.calibration import (
    N_BINS,
    N_FIGURE_BINS,
    CalibrationCounts,
    calibration_figures,
    count_calibration,
)
from glomseg.metrics.calibration_evaluation import evaluate_calibration


def of_two(foreground):
    foreground = np.asarray(foreground, np.float32)
    return np.stack([1 - foreground, foreground])


def counted(foreground, target):
    probabilities = of_two(foreground)
    prediction = probabilities.argmax(axis=0).astype(np.uint8)
    return count_calibration(target=np.array(target, np.uint8), prediction=prediction, probabilities=probabilities)


def figures(counts):
    return {name: float(figure.value) for name, figure in calibration_figures(counts.vector).items()}


def drawn(seed, *, n_classes=3, shape=(20, 30)):
    """Probabilities, a prediction that is not always the most probable class, and a truth with ignored pixels."""
    rng = np.random.default_rng(seed)
    probabilities = np.moveaxis(rng.dirichlet([0.4] * n_classes, shape), -1, 0).astype(np.float32)
    prediction = np.where(rng.random(shape) < 0.9, probabilities.argmax(axis=0), 0).astype(np.uint8)
    target = np.where(rng.random(shape) < 0.6, prediction, rng.integers(0, n_classes, shape)).astype(np.uint8)
    target[rng.random(shape) < 0.1] = 255
    return {"target": target, "prediction": prediction, "probabilities": probabilities}


def in_loops(target, prediction, probabilities):
    """The same figures, pixel by pixel and bin by bin."""
    top, foreground, brier, loss = [], [], [], []
    for row, column in zip(*np.nonzero(target != 255), strict=True):
        p = [float(of_class[row, column]) for of_class in probabilities]
        true, chosen = int(target[row, column]), int(prediction[row, column])
        top.append((p[chosen], chosen == true))
        foreground.append((1 - p[0], true > 0))
        brier.append(sum((p_k - (k == true)) ** 2 for k, p_k in enumerate(p)) / 2)
        loss.append(-math.log(max(p[true], 2**-23)))
    found = {"brier": sum(brier) / len(brier), "log_loss": sum(loss) / len(loss)}
    for name, pairs, bias in (("", top, "overconfidence"), ("foreground_", foreground, "foreground_excess")):
        gaps = []
        for index in range(15):
            members = [pair for pair in pairs if min(int(pair[0] * 15), 14) == index]
            if members:
                confidence = sum(p for p, _ in members) / len(members)
                accuracy = sum(event for _, event in members) / len(members)
                gaps.append((len(members), abs(confidence - accuracy)))
        found[f"{name}ece"] = sum(n * gap for n, gap in gaps) / len(pairs)
        found[f"{name}mce"] = max(gap for _, gap in gaps)
        found[bias] = sum(p - event for p, event in pairs) / len(pairs)
    return found


def test_a_few_pixels_worked_out_by_hand():
    # Of 15 bins 0.91 and 0.92 are both in the 14th, 0.11 and 0.08 in the second.
    counts = counted([[0.91, 0.92, 0.11, 0.08]], [[1, 0, 0, 1]])
    found = figures(counts)
    assert found["foreground_ece"] == pytest.approx((abs(1.83 - 1) + abs(0.19 - 1)) / 4)
    assert found["foreground_mce"] == pytest.approx(0.83 / 2)
    assert found["foreground_excess"] == pytest.approx(0.02 / 4, abs=1e-6)
    assert found["ece"] == pytest.approx((0.91 + 0.92 + 0.89 + 0.92 - 2) / 4)  # one bin: two of four are right
    assert (found["mce"], found["overconfidence"]) == pytest.approx((0.41, 0.41))
    assert found["brier"] == pytest.approx((0.09**2 + 0.92**2 + 0.11**2 + 0.92**2) / 4)
    assert found["log_loss"] == pytest.approx(-math.log(0.91 * 0.08 * 0.89 * 0.08) / 4)
    assert counts.n_pixels == 4
    assert counts.foreground.n[[4, 5, 6, 54, 55]].tolist() == [1, 0, 1, 1, 1]
    assert counts.foreground.n_true[[4, 5, 6, 54, 55]].tolist() == [1, 0, 0, 1, 0]


def test_the_ends_are_in_the_first_and_the_last_bin():
    counts = counted([0.0, 1.0], [0, 1])
    assert (counts.foreground.n[0], counts.foreground.n[-1], counts.foreground.n.sum()) == (1, 1, 2)
    found = figures(counts)
    assert all(found[name] == 0 for name in ("ece", "mce", "foreground_ece", "overconfidence", "brier"))
    assert found["log_loss"] == 0


def test_a_right_answer_that_was_ruled_out_costs_a_finite_loss():
    assert figures(counted([0.0], [1]))["log_loss"] == pytest.approx(23 * math.log(2))


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_loops_over_pixels_find(n_classes, seed):
    case = drawn(seed, n_classes=n_classes)
    assert figures(count_calibration(**case)) == pytest.approx(in_loops(**case))


def test_brier_and_log_loss_are_scikit_learns():
    case = drawn(5)
    known = case["target"] != 255
    target, probabilities = case["target"][known], case["probabilities"][:, known].T
    found = figures(count_calibration(**case))
    expected = brier_score_loss(target, probabilities, labels=[0, 1, 2], scale_by_half=True)
    assert found["brier"] == pytest.approx(expected, abs=1e-6)
    assert found["log_loss"] == pytest.approx(log_loss(target, probabilities, labels=[0, 1, 2]), abs=1e-5)


def test_counts_of_parts_add_up_to_those_of_the_whole(monkeypatch):
    case = drawn(1)
    halves = [{name: values[..., part, :] for name, values in case.items()} for part in (slice(7), slice(7, None))]
    whole = count_calibration(**case)
    first, second = (count_calibration(**half) for half in halves)
    np.testing.assert_allclose((first + second).vector, whole.vector)
    np.testing.assert_array_equal((CalibrationCounts.zero() + first).vector, first.vector)
    assert whole.n_pixels == (case["target"] != 255).sum()
    monkeypatch.setattr(calibration, "_BLOCK", 37)
    np.testing.assert_allclose(count_calibration(**case).vector, whole.vector)
    with pytest.raises(TypeError):
        whole + 1
    with pytest.raises(TypeError):
        whole.foreground + 1


def test_bins_can_be_added_up_to_those_of_the_figures():
    assert N_BINS % N_FIGURE_BINS == 0


def test_a_calibrated_model_has_hardly_an_error_and_a_surer_one_has():
    rng = np.random.default_rng(0)
    probability = rng.random((400, 500))
    target = rng.random(probability.shape) < probability
    honest = figures(counted(probability, target))
    assert honest["ece"] < 0.005
    assert abs(honest["overconfidence"]) < 0.005
    odds = probability**2 / (probability**2 + (1 - probability) ** 2)  # as if the temperature were 1 / 2
    boastful = figures(counted(odds, target))
    assert boastful["ece"] == pytest.approx(boastful["overconfidence"], abs=0.005)
    assert boastful["ece"] > 0.05
    assert boastful["brier"] > honest["brier"]
    assert boastful["log_loss"] > honest["log_loss"]


def test_without_a_pixel_everything_is_undefined():
    for shape in ((0, 0), (2, 3)):
        target = np.full(shape, 255, np.uint8)
        counts = count_calibration(
            target=target, prediction=np.zeros(shape, np.uint8), probabilities=np.full((2, *shape), 0.5, np.float32)
        )
        assert counts.n_pixels == 0
        assert all(math.isnan(value) for value in figures(counts).values())
    evaluated = evaluate_calibration({"a": CalibrationCounts.zero(), "b": CalibrationCounts.zero()})
    assert all(math.isnan(value) for value in evaluated.figures.values())
    assert all(math.isnan(interval.low) and interval.n_groups == 0 for interval in evaluated.intervals.values())
    assert all(dot.n == 0 and math.isnan(dot.share_true) for dot in evaluated.foreground)


def test_groups_give_figures_intervals_and_diagrams():
    cases = [drawn(seed, n_classes=2) for seed in range(8)]
    groups = {str(seed): count_calibration(**case) for seed, case in enumerate(cases)}
    evaluated = evaluate_calibration(groups)
    together = {name: np.concatenate([case[name] for case in cases], axis=-2) for name in cases[0]}
    assert evaluated.figures == pytest.approx(in_loops(**together))
    for name, interval in evaluated.intervals.items():
        assert interval.low <= evaluated.figures[name] <= interval.high, name
        assert (interval.n_groups, interval.trustworthy) == (8, True)
    assert sum(dot.n for dot in evaluated.foreground) == evaluated.counts.n_pixels
    known = together["target"] != 255
    probability, true = together["probabilities"][1][known], together["target"][known] == 1
    inside = (probability >= 4 / 15) & (probability < 5 / 15)
    dot = evaluated.foreground[4]
    assert (dot.n, dot.share_true) == (inside.sum(), pytest.approx(true[inside].mean()))
    assert dot.mean_probability == pytest.approx(probability[inside].mean())
    assert dot.interval.low < dot.share_true < dot.interval.high
    assert evaluated.top_label[0].n == 0 or evaluated.top_label[0].mean_probability < 1 / 15
    alone = evaluate_calibration({"0": groups["0"]})
    assert math.isnan(alone.intervals["ece"].low)


def test_errors_are_told():
    case = drawn(0, n_classes=2)
    with pytest.raises(InvalidInputError, match=r"they must be \(H, W\), \(H, W\) and \(C, H, W\)"):
        count_calibration(**case | {"target": case["target"][1:]})
    with pytest.raises(InvalidInputError, match=r"holds the class 2, but there are probabilities of 2 classes only"):
        count_calibration(**case | {"target": np.full((20, 30), 2, np.uint8)})
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        count_calibration(**case | {"probabilities": np.full((2, 20, 30), np.nan, np.float32)})
