"""What a page says about probabilities and doubt."""

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from glomseg.metrics.calibration import count_calibration
from glomseg.metrics.evaluation import TileCounts, evaluate_counts
from glomseg.metrics.object_evaluation import measure_objects
from glomseg.metrics.pixels import count_pixels
from glomseg.report.charts import reliability_chart, strip_chart
from glomseg.report.drawing import Axis
from glomseg.report.probabilities import (
    calibration_sentences,
    object_doubt_charts,
    probability_tables,
    reliability_charts,
)
from glomseg.steps.evaluation.files import write_evaluation
from glomseg.types import GLOMERULUS

HOSTILE = "</svg><script>alert(1)</script>&"


def dot(n, said, true, interval=None):
    return {"n": n, "mean_probability": said, "share_true": true, "interval": interval}


EMPTY = dot(0, None, None)


@pytest.fixture
def record(tmp_path):
    """What an evaluation of eight tiles of four slides writes, of a model that boasts."""
    rng = np.random.default_rng(0)
    tiles = []
    for index in range(8):
        foreground = rng.random((20, 20)).astype(np.float32)
        target = (rng.random((20, 20)) < 0.5 * foreground).astype(np.uint8)
        mask = (foreground > 0.5).astype(np.uint8)
        masks = {"target": target, "prediction": mask}
        tiles.append(
            TileCounts(
                name=str(index),
                group=f"case {index // 2}",
                counts=count_pixels(**masks, n_classes=2),
                objects=measure_objects(**masks, n_classes=2),
                calibration=count_calibration(**masks, probabilities=np.stack([1 - foreground, foreground])),
                doubt={"expected_error": float(rng.random()), "entropy": 0.5},
            )
        )
    write_evaluation(
        tmp_path,
        evaluate_counts(tiles, GLOMERULUS),
        circumstances={},
        tile_hashes={tile.name: "ab" for tile in tiles},
        mpp=None,
        min_area_px=0,
        tolerance=5.0,
    )
    return json.loads((tmp_path / "evaluation.json").read_text())


def elements(chart, kind, of_class=""):
    found = [item for item in ElementTree.fromstring(str(chart)).iter() if item.tag == kind]
    return [item for item in found if of_class in (item.get("class") or "").split() or not of_class]


def test_tables_hold_the_figures_with_their_intervals(record):
    probabilities, doubt = probability_tables(record)
    rows = {row[0]: row[1:] for row in probabilities.rows}
    figures, intervals = record["calibration"]["figures"], record["calibration"]["intervals"]
    value, interval = rows["foreground: calibration error (ECE)"]
    assert value.value == figures["foreground_ece"] > 0.2
    low, high = intervals["foreground_ece"]
    assert interval.text == f"{100 * low:.1f} to {100 * high:.1f}"
    assert rows["foreground: largest error (MCE)"][1].text == "-"
    assert rows["log loss (nats)"][0].text == f"{figures['log_loss']:.4f}"
    (first, n, value, interval), (_, _, constant, _) = doubt.rows
    assert (first, n.text) == ("tiles: rank correlation of expected errors", "8")
    assert value.value == record["doubt"]["expected_error"]["value"]
    assert " to " in interval.text
    assert constant.text == "-"


def test_invented_objects_have_a_row_for_each_doubt(record):
    told = {"value": 0.8125, "interval": [0.6, 0.9], "n": 12, "n_groups": 4}
    record["objects"]["classes"] = {"glomerulus": {"doubt": {"disagreement": told}}}
    *_, (name, n, value, interval) = probability_tables(record)[1].rows
    assert (name, n.text, value.text) == ("glomerulus: AUC of disagreement of views", "12", "0.81")
    assert interval.text == "0.60 to 0.90"


def test_the_sentence_says_how_sure_and_how_much(record):
    (sentence,) = calibration_sentences(record)
    assert re.fullmatch(
        r"On the whole the model is surer of its pixels than they are right, by \d+\.\d points; its probabilities "
        r"add up to 2\d\.\d points more foreground than there is\.",
        sentence,
    )
    record["calibration"]["figures"] |= {"overconfidence": -0.01, "foreground_excess": -0.0001}
    assert calibration_sentences(record) == [
        "On the whole the model is less sure of its pixels than they are right, by 1.0 points; it expects as much "
        "foreground as there is."
    ]
    record["calibration"]["figures"]["overconfidence"] = 0.0
    assert "is as sure of its pixels as they are right" in calibration_sentences(record)[0]


def test_no_points_are_minus_zero(record):
    record["calibration"]["figures"]["overconfidence"] = -0.0001
    rows = {row[0]: row[1] for row in probability_tables(record)[0].rows}
    assert rows["predicted class: surer than right by"].text == "0.0"


def test_the_diagram_is_there_where_there_are_pixels(record):
    (chart,) = reliability_charts(record)
    assert chart.title == "Probability of glomerulus"
    assert len(elements(chart.drawing, "circle")) == 15
    assert len(elements(chart.drawing, "line", "whisker")) == 15
    record["classes"]["names"] = ["background", "a", "b"]
    assert reliability_charts(record)[0].title == "Probability of foreground"
    record["calibration"]["foreground"] = [EMPTY] * 15
    assert reliability_charts(record) == []


def test_evaluations_without_probabilities_say_nothing_of_them(record):
    for old in (record | {"calibration": None}, {key: record[key] for key in ("classes", "objects")}):
        assert probability_tables(old) == []
        assert calibration_sentences(old) == []
        assert reliability_charts(old) == []
    undefined = dict.fromkeys(record["calibration"]["figures"])
    record["calibration"] |= {"figures": undefined, "intervals": {}}
    assert calibration_sentences(record) == []
    assert {row[1].text for row in probability_tables(record)[0].rows} == {"-"}


def test_a_diagram_puts_dots_bars_and_whiskers_where_they_belong():
    bins = [dot(10_000, 0.1, 0.1, [0.05, 0.2]), EMPTY, EMPTY, dot(100, 0.9, 0.5)]
    chart = reliability_chart(bins, x_label=HOSTILE, y_label="y", what="pixels")
    assert "<script" not in str(chart)
    first, last = elements(chart, "circle")
    (guide,) = elements(chart, "line", "guide")
    left, right = float(guide.get("x1")), float(guide.get("x2"))
    assert float(first.get("cx")) == pytest.approx(left + 0.1 * (right - left), abs=0.2)
    bottom, top = float(guide.get("y1")), float(guide.get("y2"))
    assert float(last.get("cy")) == pytest.approx((bottom + top) / 2, abs=0.2)
    (whisker,) = elements(chart, "line", "whisker")
    assert float(whisker.get("y1")) == pytest.approx(bottom + 0.05 * (top - bottom), abs=0.2)
    assert float(whisker.get("y2")) == pytest.approx(bottom + 0.2 * (top - bottom), abs=0.2)
    most, fewer = elements(chart, "rect", "ghost")
    assert float(fewer.get("height")) == pytest.approx(float(most.get("height")) / 2, abs=0.2)  # two decades of four
    assert "75 to 100 %: 100 pixels" in "".join(fewer.itertext())
    assert "said 10.0 %, true 10.0 % (5 to 20), 10,000 pixels" in "".join(first.itertext())


def test_doubt_about_objects_is_drawn_where_some_are_found_and_some_invented(record):
    def row(outcome, probability, of_class="glomerulus"):
        return {"class": of_class, "outcome": outcome, "mean_probability": probability, "tile": HOSTILE}

    record["objects"]["classes"] = {"glomerulus": {}, "other": {}}
    rows = [row("found", "0.9"), row("found", "0.95"), row("invented", "0.6"), row("missed", "")]
    (chart,) = object_doubt_charts(record, [*rows, row("found", "0.9", "other")])
    assert chart.title == "Doubt about glomerulus"
    found = [float(item.get("cx")) for item in elements(chart.drawing, "circle", "c1")]
    (invented,) = (float(item.get("cx")) for item in elements(chart.drawing, "circle", "c2"))
    assert invented < found[0] < found[1]
    assert "<script" not in str(chart.drawing)
    assert object_doubt_charts(record, rows[:2]) == []
    old = [{key: value for key, value in one.items() if key != "mean_probability"} for one in rows]
    assert object_doubt_charts(record, old) == []


def test_dots_of_a_strip_stay_in_their_band():
    axis = Axis.around([0, 1], label="x")
    chart = strip_chart({"a": [(0.5, "one")] * 50, "b": [(0.5, "two")]}, axis=axis)
    rows = [float(item.get("cy")) for item in elements(chart, "circle", "c1")]
    (other,) = (float(item.get("cy")) for item in elements(chart, "circle", "c2"))
    assert len(set(rows)) > 40
    assert max(rows) + 8 < other
