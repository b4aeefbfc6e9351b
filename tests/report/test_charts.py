"""Charts: marks where the values are, and text that stays text."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from glomseg.report.charts import histogram_chart, interval_chart, line_chart, scatter_chart, swatch_chart
from glomseg.report.drawing import Axis

HOSTILE = "</svg><script>alert(1)</script>&\"'"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0, 100], (0, 20, 40, 60, 80, 100)),
        ([0.31, 0.79], (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
        ([-3, 4], (-4, -2, 0, 2, 4)),
        ([5, 5], (4.4, 4.6, 4.8, 5.0, 5.2, 5.4, 5.6)),
        ([], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([float("nan"), 0, 1e6], (0, 200000, 400000, 600000, 800000, 1000000)),
    ],
)
def test_axes_end_at_round_numbers_and_hold_all_values(values, ticks):
    assert Axis.around(values, label="").ticks == pytest.approx(ticks)


def test_an_axis_may_be_made_to_hold_zero():
    assert Axis.around([7, 9], label="", from_zero=True).low == 0
    assert Axis.around([0, 0], label="", from_zero=True).high == 1


def elements(chart, kind):
    return [e for e in ElementTree.fromstring(str(chart)).iter() if e.tag == kind]


def test_a_line_has_its_points_in_proportion():
    chart = line_chart({"loss": [(0, 1.0), (50, 0.5), (100, 0.0)]}, x_label="step", y_label="loss")
    (line,) = elements(chart, "polyline")
    (x0, y0), (x1, y1), (x2, y2) = (map(float, pair.split(",")) for pair in line.get("points").split())
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y1 - y0 == pytest.approx(y2 - y1)
    assert y0 < y2  # downwards on a page


def test_several_lines_are_named_and_one_is_not():
    two = str(line_chart({"a": [(0, 1)], "b": [(0, 2)]}, x_label="x", y_label="y"))
    assert ">a</text>" in two
    assert ">b</text>" in two
    assert ">a</text>" not in str(line_chart({"a": [(0, 1)]}, x_label="x", y_label="y"))


def test_a_point_on_the_diagonal_is_drawn_on_it():
    chart = scatter_chart([(3, 3, "tile"), (10, 0, "other")], x_label="true", y_label="predicted")
    line = next(e for e in elements(chart, "line") if e.get("class") == "guide")
    ends = [float(line.get(key)) for key in ("x1", "y1", "x2", "y2")]
    dot = elements(chart, "circle")[0]
    share = (float(dot.get("cx")) - ends[0]) / (ends[2] - ends[0])
    assert share == pytest.approx(0.3, abs=0.01)
    assert float(dot.get("cy")) == pytest.approx(ends[1] + share * (ends[3] - ends[1]), abs=0.5)


def test_bars_count_every_value_once():
    chart = histogram_chart([0, 0, 1, 5, 10], x_label="x", y_label="n", n_bins=10)
    counts = [int(re.search(r": (\d+)$", e.text).group(1)) for e in elements(chart, "title")]
    assert counts == [2, 1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_a_row_without_a_value_is_named_and_has_no_dot():
    chart = interval_chart([("a", 50, (40, 60)), ("b", None, None)], x_label="IoU (%)", marked_x=50)
    assert len(elements(chart, "circle")) == 1
    assert [e.get("class") for e in elements(chart, "line")].count("whisker c1") == 1
    assert ">b<" in str(chart)


def test_swatches_have_their_tiles_colours():
    chart = swatch_chart([("slide", [("tile", (255.0, 0.4, 12.0))]), ("other", [])])
    assert [e.get("fill") for e in elements(chart, "rect")] == ["rgb(255 0 12)"]


@pytest.mark.parametrize(
    "chart",
    [
        line_chart({HOSTILE: [(0, 1)], "b": [(0, 1)]}, x_label=HOSTILE, y_label=HOSTILE),
        scatter_chart([(1, 1, HOSTILE)], x_label=HOSTILE, y_label=HOSTILE),
        histogram_chart([1], x_label=HOSTILE, y_label=HOSTILE),
        interval_chart([(HOSTILE, 1, (0, 2))], x_label=HOSTILE),
        swatch_chart([(HOSTILE, [(HOSTILE, (0, 0, 0))])]),
        line_chart({}, x_label="x", y_label="y"),
        interval_chart([], x_label="x"),
        swatch_chart([]),
    ],
)
def test_charts_are_well_formed_whatever_they_are_called(chart):
    assert not elements(chart, "script")
    assert ElementTree.fromstring(str(chart)).tag == "svg"
