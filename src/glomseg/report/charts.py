"""Small charts as SVG that stands in a page: text stays text, and colours follow the page's light and dark.

Colours are classes of the page's style sheet (``c1`` to ``c5``), so a chart is a few kilobytes and prints well.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from glomseg.report.drawing import (
    BOTTOM,
    HEIGHT,
    NAMES_PX,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    dot,
    frame,
    number,
    plot,
    row_name,
    svg,
    x_of,
    y_of,
)

Point = tuple[float, float]

_BAR_SHARE, _BAR_DECADES = 0.3, 4  # of the height of a reliability diagram, and what fits into the highest bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing with its title and a sentence on how to read it."""

    title: str
    caption: str
    drawing: Markup


def line_chart(
    series: Mapping[str, Sequence[Point]], *, x_label: str, y_label: str, marked_x: float | None = None
) -> Markup:
    """Return lines through the points of each series, with their names where there is more than one.

    Parameters
    ----------
    series
        Points (x, y) by name, in the order of their x; at most five names have colours of their own.
    x_label, y_label
        What the axes show, with the unit.
    marked_x
        A place on the x axis to mark with an upright line.
    """
    points = [point for line in series.values() for point in line]
    x_axis = Axis.around((x for x, _ in points), label=x_label, from_zero=True)
    y_axis = Axis.around((y for _, y in points), label=y_label)
    drawn: list[Markup] = []
    if marked_x is not None:
        x = x_of(x_axis, marked_x)
        drawn.append(svg('<line class="guide" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', x, TOP, HEIGHT - BOTTOM))
    for index, (name, line) in enumerate(series.items()):
        color = f"c{index % 5 + 1}"
        path = " ".join(f"{x_of(x_axis, x)},{y_of(y_axis, y)}" for x, y in line)
        drawn.append(svg('<polyline class="line {}" points="{}"/>', color, path))
        if len(line) <= 40:
            drawn += [
                dot(x_of(x_axis, x), y_of(y_axis, y), f"{name}: {number(y)} at {number(x)}", color) for x, y in line
            ]
    names = list(series) if len(series) > 1 else []
    return plot(x_axis, y_axis, drawn, names=names, summary=f"{', '.join(series)} over {x_label}")


def scatter_chart(points: Sequence[tuple[float, float, str]], *, x_label: str, y_label: str) -> Markup:
    """Return points (x, y, what it is) with the line on which both are equal, on axes of the same length."""
    both = Axis.around([value for x, y, _ in points for value in (x, y)], label=x_label, from_zero=True)
    y_axis = Axis(label=y_label, low=both.low, high=both.high, ticks=both.ticks)
    ends = (x_of(both, both.low), y_of(y_axis, both.low), x_of(both, both.high), y_of(y_axis, both.high))
    drawn = [svg('<line class="guide" x1="{}" y1="{}" x2="{}" y2="{}"/>', *ends)]
    drawn += [
        dot(x_of(both, x), y_of(y_axis, y), f"{what}: {number(x)}, {number(y)}", "c1 faint") for x, y, what in points
    ]
    return plot(both, y_axis, drawn, summary=f"{y_label} against {x_label}, {len(points)} points")


def histogram_chart(values: Sequence[float], *, x_label: str, y_label: str, n_bins: int = 20) -> Markup:
    """Return how many of the values lie in each of about `n_bins` equally wide ranges."""
    axis = Axis.around(values, label=x_label)
    counts, edges = np.histogram(values, bins=n_bins, range=(axis.low, axis.high))
    y_axis = Axis.around(counts.tolist(), label=y_label, from_zero=True)
    base = y_of(y_axis, 0)
    drawn = []
    for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        left, right, top = x_of(axis, low), x_of(axis, high), y_of(y_axis, count)
        drawn.append(
            svg(
                '<rect class="bar c1" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
                left,
                top,
                round(max(0.5, right - left - 1), 1),
                round(base - top, 1),
                f"{number(low)} to {number(high)}: {count}",
            )
        )
    return plot(axis, y_axis, drawn, summary=f"{y_label} by {x_label}, {len(values)} values")


def interval_chart(
    rows: Sequence[tuple[str, float | None, tuple[float, float] | None]],
    *,
    x_label: str,
    marked_x: float | None = None,
    from_zero: bool = True,
) -> Markup:
    """Return one line a row: its name, its value as a dot, and its interval as a bar through it.

    Parameters
    ----------
    rows
        (name, value, (low, high)); a value that is not defined leaves its line empty.
    x_label
        What the values are, with the unit.
    marked_x
        A value to mark with an upright line: that of all rows together.
    from_zero
        Whether the axis holds zero.
    """
    values = [value for _, value, _ in rows if value is not None] + [end for *_, ends in rows if ends for end in ends]
    axis = Axis.around([*values, *([] if marked_x is None else [marked_x])], label=x_label, from_zero=from_zero)
    left, line_px = NAMES_PX, 22
    height = TOP + line_px * len(rows) + BOTTOM
    bottom = height - BOTTOM

    def across(value: float) -> float:
        return round(left + axis.share(value) * (WIDTH - left - RIGHT), 1)

    drawn = [
        svg('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', across(t), TOP, bottom) for t in axis.ticks
    ]
    if marked_x is not None:
        drawn.append(svg('<line class="guide" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', across(marked_x), TOP, bottom))
    for index, (name, value, interval) in enumerate(rows):
        y = TOP + line_px * (index + 0.5)
        drawn.append(row_name(name, y + 4))
        if interval is not None:
            low, high = map(across, interval)
            drawn.append(svg('<line class="whisker c1" x1="{}" x2="{}" y1="{y}" y2="{y}"/>', low, high, y=y))
        if value is not None:
            drawn.append(dot(across(value), y, f"{name}: {number(value)}", "c1"))
    drawn += [svg('<text class="mid" x="{}" y="{}">{}</text>', across(t), bottom + 16, number(t)) for t in axis.ticks]
    middle = (left + WIDTH - RIGHT) / 2
    drawn.append(svg('<text class="mid label" x="{}" y="{}">{}</text>', middle, height - 6, x_label))
    return frame(drawn, height=height, summary=f"{x_label} of {len(rows)} rows")


def swatch_chart(rows: Sequence[tuple[str, Sequence[tuple[str, tuple[float, float, float]]]]]) -> Markup:
    """Return one line a row: its name, and one swatch for each of its (what it is, (red, green, blue))."""
    line_px = 20
    longest = max((len(swatches) for _, swatches in rows), default=1)
    width = (WIDTH - NAMES_PX - RIGHT) / max(1, longest)
    drawn = []
    for index, (name, swatches) in enumerate(rows):
        y = TOP + line_px * index
        drawn.append(row_name(name, y + 14))
        for position, (what, color) in enumerate(swatches):
            drawn.append(
                svg(
                    '<rect x="{}" y="{}" width="{}" height="{}" fill="rgb({})"><title>{}</title></rect>',
                    round(NAMES_PX + position * width, 2),
                    y,
                    round(min(width, 24) + 0.1, 2),
                    line_px - 2,
                    " ".join(str(round(value)) for value in color),
                    what,
                )
            )
    return frame(drawn, height=TOP + line_px * len(rows) + 8, summary=f"Mean colours in {len(rows)} rows")


def reliability_chart(bins: Sequence[Mapping[str, Any]], *, x_label: str, y_label: str, what: str) -> Markup:
    """Return for each range of probabilities what was said (x) and what came true (y), with its interval.

    Faint bars from the axis show how many there are in each range, on a logarithmic scale.

    Parameters
    ----------
    bins
        As ``evaluation.json`` has them: ``n``, ``mean_probability``, ``share_true`` and ``interval``.
    x_label, y_label
        What the axes show, without the unit, which is percent.
    what
        What is counted, in the plural.
    """
    ticks = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)
    x_axis = Axis(label=f"{x_label} (%)", low=0, high=100, ticks=ticks)
    y_axis = Axis(label=f"{y_label} (%)", low=0, high=100, ticks=ticks)
    most = max((item["n"] for item in bins), default=0)
    bars, whiskers, dots, line = [], [], [], []
    for index, item in enumerate(bins):
        if not item["n"]:
            continue
        left, right = (x_of(x_axis, 100 * (index + side) / len(bins)) for side in (0, 1))
        share = max(1 + math.log10(item["n"] / most) / _BAR_DECADES, 0.02)
        height = round((HEIGHT - TOP - BOTTOM) * _BAR_SHARE * share, 1)
        title = f"{100 * index / len(bins):.0f} to {100 * (index + 1) / len(bins):.0f} %: {item['n']:,} {what}"
        bars.append(
            svg(
                '<rect class="ghost" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
                left,
                round(HEIGHT - BOTTOM - height, 1),
                round(right - left - 1, 1),
                height,
                title,
            )
        )
        x, y = x_of(x_axis, 100 * item["mean_probability"]), y_of(y_axis, 100 * item["share_true"])
        line.append(f"{x},{y}")
        words = f"said {100 * item['mean_probability']:.1f} %, true {100 * item['share_true']:.1f} %"
        if item["interval"] is not None:
            low, high = (y_of(y_axis, 100 * end) for end in item["interval"])
            whiskers.append(svg('<line class="whisker c1 faint" x1="{x}" x2="{x}" y1="{}" y2="{}"/>', low, high, x=x))
            words += f" ({100 * item['interval'][0]:.0f} to {100 * item['interval'][1]:.0f})"
        dots.append(dot(x, y, f"{words}, {item['n']:,} {what}", "c1"))
    ends = (x_of(x_axis, 0), y_of(y_axis, 0), x_of(x_axis, 100), y_of(y_axis, 100))
    drawn = [
        *bars,
        svg('<line class="guide" x1="{}" y1="{}" x2="{}" y2="{}"/>', *ends),
        *whiskers,
        svg('<polyline class="line c1" points="{}"/>', " ".join(line)),
        *dots,
    ]
    return plot(x_axis, y_axis, drawn, summary=f"{y_label} against {x_label}, {len(dots)} ranges")


def strip_chart(rows: Mapping[str, Sequence[tuple[float, str]]], *, axis: Axis) -> Markup:
    """Return one band a row: its name, and a faint dot for each of its (value, what it is)."""
    band_px = 60
    height = TOP + band_px * len(rows) + BOTTOM
    bottom = height - BOTTOM

    def across(value: float) -> float:
        return round(NAMES_PX + axis.share(value) * (WIDTH - NAMES_PX - RIGHT), 1)

    drawn = [
        svg('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', across(t), TOP, bottom) for t in axis.ticks
    ]
    for index, (name, values) in enumerate(rows.items()):
        middle = TOP + band_px * (index + 0.5)
        drawn.append(row_name(name, middle + 4))
        for position, (value, what) in enumerate(values):
            # The golden ratio's multiples lie evenly in the band however many there are.
            offset = (position * 0.6180339887 % 1 - 0.5) * 0.7 * band_px
            drawn.append(
                dot(across(value), round(middle + offset, 1), f"{what}: {number(value)}", f"c{index + 1} faint")
            )
    drawn += [svg('<text class="mid" x="{}" y="{}">{}</text>', across(t), bottom + 16, number(t)) for t in axis.ticks]
    centre = (NAMES_PX + WIDTH - RIGHT) / 2
    drawn.append(svg('<text class="mid label" x="{}" y="{}">{}</text>', centre, height - 6, axis.label))
    return frame(drawn, height=height, summary=f"{axis.label} of {len(rows)} rows")
