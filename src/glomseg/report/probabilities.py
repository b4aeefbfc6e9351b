"""What an evaluation says about probabilities: whether they are what they say, and whether doubt finds errors."""

from collections.abc import Mapping, Sequence
from typing import Any

from glomseg.report.charts import Chart, reliability_chart, strip_chart
from glomseg.report.drawing import Axis
from glomseg.report.page import percent
from glomseg.report.tables import Number, Table, count_cell, interval_cell, number_cell, share_cell

_SHARES = {
    "foreground_ece": "foreground: calibration error (ECE)",
    "foreground_mce": "foreground: largest error (MCE)",
    "foreground_excess": "foreground: expected beyond the true",
    "ece": "predicted class: calibration error (ECE)",
    "mce": "predicted class: largest error (MCE)",
    "overconfidence": "predicted class: surer than right by",
    "brier": "Brier score",
}

_HARDLY = 0.0005  # 0.1 points, rounded

_DOUBTS = {"expected_error": "expected errors", "entropy": "entropy", "disagreement": "disagreement of views"}


def probability_tables(record: Mapping[str, Any]) -> list[Table]:
    """Return the figures of calibration, and how well doubt tells wrong from right; none where only masks are known."""
    found = record.get("calibration")
    if not found:
        return []
    figures, intervals = found["figures"], found["intervals"]
    level = f"{100 * record['interval_level']:.0f} % interval"
    rows: list[tuple[str | Number, ...]] = [
        (words, _points(figures[key]), interval_cell(intervals.get(key))) for key, words in _SHARES.items()
    ]
    rows.append(("log loss (nats)", number_cell(figures["log_loss"], digits=4), _cell(intervals.get("log_loss"), 4)))
    tables = [
        Table(
            title="Probabilities",
            caption=(
                "Whether what the model says of a pixel can be taken at its word, in percent. Most pixels are far from "
                "any outline and easy, so the errors are small even where the diagram is far from its line. In that of "
                "the predicted class too much foreground and too little background can cancel."
            ),
            head=("figure", "value", level),
            rows=tuple(rows),
        )
    ]
    told: list[tuple[str | Number, ...]] = [
        (f"tiles: rank correlation of {_DOUBTS[key]}", *_figure(item)) for key, item in record.get("doubt", {}).items()
    ]
    for name, item in record.get("objects", {}).get("classes", {}).items():
        told += [(f"{name}: AUC of {_DOUBTS[key]}", *_figure(one)) for key, one in item.get("doubt", {}).items()]
    if told:
        caption = (
            "Whether the model doubts what is wrong. Rank correlation with the share of wrong pixels: 1 if more doubt "
            "is always more error, 0 where it says nothing. AUC: how often an invented object is doubted more than a "
            "found one, 0.5 for a coin."
        )
        tables.append(Table(title="Doubt", caption=caption, head=("figure", "n", "value", level), rows=tuple(told)))
    return tables


def _figure(item: Mapping[str, Any]) -> tuple[Number, Number, Number]:
    return count_cell(item["n"]), number_cell(item["value"]), _cell(item["interval"], 2)


def _points(share: float | None) -> Number:
    """Return a share in percent that may be negative, but never minus zero."""
    return share_cell(None if share is None else share + 0.0 if abs(share) >= _HARDLY else abs(share))


def _cell(interval: Sequence[float] | None, digits: int) -> Number:
    if interval is None:
        return Number(text="-", value=None)
    low, high = interval
    return Number(text=f"{low:.{digits}f} to {high:.{digits}f}", value=low)


def calibration_sentences(record: Mapping[str, Any]) -> list[str]:
    """Return in a sentence whether the model is as sure as it is right."""
    found = record.get("calibration")
    if not found or found["figures"]["overconfidence"] is None:
        return []
    figures = found["figures"]
    surer, more = figures["overconfidence"], figures["foreground_excess"]
    sure = "as sure of its pixels as they are right"
    if abs(surer) >= _HARDLY:
        sure = (
            f"{'surer' if surer > 0 else 'less sure'} of its pixels than they are right, "
            f"by {percent(abs(surer))} points"
        )
    expects = "it expects as much foreground as there is"
    if abs(more) >= _HARDLY:
        expects = (
            f"its probabilities add up to {percent(abs(more))} points "
            f"{'more' if more > 0 else 'less'} foreground than there is"
        )
    return [f"On the whole the model is {sure}; {expects}."]


def reliability_charts(record: Mapping[str, Any]) -> list[Chart]:
    """Return what was said of the foreground's probability against what came true."""
    found = record.get("calibration")
    if not found or not any(item["n"] for item in found["foreground"]):
        return []
    names = record["classes"]["names"][1:]
    name = names[0] if len(names) == 1 else "foreground"
    return [
        Chart(
            title=f"Probability of {name}",
            caption=(
                "Dots are ranges of probability with their intervals from the groups. On the line the model is right "
                "about how sure it is; below it there is less than it says. Bars: numbers of pixels, as logarithms."
            ),
            drawing=reliability_chart(
                found["foreground"], x_label=f"predicted probability of {name}", y_label=f"is {name}", what="pixels"
            ),
        )
    ]


def object_doubt_charts(record: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    """Return the mean probability of found and of invented objects."""
    charts = []
    for name in record.get("objects", {}).get("classes", {}):
        bands = {
            outcome: [
                (100 * float(row["mean_probability"]), f"{row['tile']}, {outcome}")
                for row in rows
                if row["class"] == name and row["outcome"] == outcome and row.get("mean_probability")
            ]
            for outcome in ("found", "invented")
        }
        if all(bands.values()):
            caption = (
                "Each dot is a predicted object. The farther the invented lie to the left, the better doubt finds them."
            )
            values = [value for band in bands.values() for value, _ in band]
            axis = Axis.around(values, label="mean probability over the object (%)")
            charts.append(Chart(title=f"Doubt about {name}", caption=caption, drawing=strip_chart(bands, axis=axis)))
    return charts
