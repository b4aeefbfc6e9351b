"""Small charts as SVG that stands in a page: text stays text, and colours follow the page's light and dark.

Colours are classes of the page's style sheet (``c1`` to ``c5``), so a chart is a few kilobytes and prints well.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 440, 270
_NAMES_PX = 150  # before the rows of charts that have names for rows
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 26, 12, 42

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing with its title and a sentence on how to read it."""

    title: str
    caption: str
    drawing: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a chart: its words, the values at its ends, and where its marks are.

    Attributes
    ----------
    label
        With the unit.
    low, high
        Values at the ends.
    ticks
        Values that are marked.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, values: Iterable[float], *, label: str, from_zero: bool = False) -> "Axis":
        """Return the axis that holds all values and begins and ends at round ones."""
        finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        if from_zero:
            low, high = min(0.0, low), max(0.0, high)
        if low == high:
            low, high = low - (0 if from_zero else 0.5), high + (1.0 if from_zero else 0.5)
        step = _round_step((high - low) / 5)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
        return cls(label=label, low=ticks[0], high=ticks[-1], ticks=ticks)

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, 0 to 1."""
        return (value - self.low) / (self.high - self.low)


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
        x = _x(x_axis, marked_x)
        drawn.append(_svg('<line class="guide" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', x, _TOP, _HEIGHT - _BOTTOM))
    for index, (name, line) in enumerate(series.items()):
        color = f"c{index % 5 + 1}"
        path = " ".join(f"{_x(x_axis, x)},{_y(y_axis, y)}" for x, y in line)
        drawn.append(_svg('<polyline class="line {}" points="{}"/>', color, path))
        if len(line) <= 40:
            drawn += [
                _dot(_x(x_axis, x), _y(y_axis, y), f"{name}: {_number(y)} at {_number(x)}", color) for x, y in line
            ]
    names = list(series) if len(series) > 1 else []
    return _chart(x_axis, y_axis, drawn, names=names, summary=f"{', '.join(series)} over {x_label}")


def scatter_chart(points: Sequence[tuple[float, float, str]], *, x_label: str, y_label: str) -> Markup:
    """Return points (x, y, what it is) with the line on which both are equal, on axes of the same length."""
    both = Axis.around([value for x, y, _ in points for value in (x, y)], label=x_label, from_zero=True)
    y_axis = Axis(label=y_label, low=both.low, high=both.high, ticks=both.ticks)
    ends = (_x(both, both.low), _y(y_axis, both.low), _x(both, both.high), _y(y_axis, both.high))
    drawn = [_svg('<line class="guide" x1="{}" y1="{}" x2="{}" y2="{}"/>', *ends)]
    drawn += [
        _dot(_x(both, x), _y(y_axis, y), f"{what}: {_number(x)}, {_number(y)}", "c1 faint") for x, y, what in points
    ]
    return _chart(both, y_axis, drawn, summary=f"{y_label} against {x_label}, {len(points)} points")


def histogram_chart(values: Sequence[float], *, x_label: str, y_label: str, n_bins: int = 20) -> Markup:
    """Return how many of the values lie in each of about `n_bins` equally wide ranges."""
    axis = Axis.around(values, label=x_label)
    counts, edges = np.histogram(values, bins=n_bins, range=(axis.low, axis.high))
    y_axis = Axis.around(counts.tolist(), label=y_label, from_zero=True)
    base = _y(y_axis, 0)
    drawn = []
    for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        left, right, top = _x(axis, low), _x(axis, high), _y(y_axis, count)
        drawn.append(
            _svg(
                '<rect class="bar c1" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
                left,
                top,
                round(max(0.5, right - left - 1), 1),
                round(base - top, 1),
                f"{_number(low)} to {_number(high)}: {count}",
            )
        )
    return _chart(axis, y_axis, drawn, summary=f"{y_label} by {x_label}, {len(values)} values")


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
    left, line_px = _NAMES_PX, 22
    height = _TOP + line_px * len(rows) + _BOTTOM
    bottom = height - _BOTTOM

    def x_of(value: float) -> float:
        return round(left + axis.share(value) * (_WIDTH - left - _RIGHT), 1)

    drawn = [
        _svg('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', x_of(t), _TOP, bottom) for t in axis.ticks
    ]
    if marked_x is not None:
        drawn.append(_svg('<line class="guide" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', x_of(marked_x), _TOP, bottom))
    for index, (name, value, interval) in enumerate(rows):
        y = _TOP + line_px * (index + 0.5)
        drawn.append(_row_name(name, y + 4))
        if interval is not None:
            low, high = map(x_of, interval)
            drawn.append(_svg('<line class="whisker c1" x1="{}" x2="{}" y1="{y}" y2="{y}"/>', low, high, y=y))
        if value is not None:
            drawn.append(_dot(x_of(value), y, f"{name}: {_number(value)}", "c1"))
    drawn += [_svg('<text class="mid" x="{}" y="{}">{}</text>', x_of(t), bottom + 16, _number(t)) for t in axis.ticks]
    middle = (left + _WIDTH - _RIGHT) / 2
    drawn.append(_svg('<text class="mid label" x="{}" y="{}">{}</text>', middle, height - 6, x_label))
    return _frame(drawn, height=height, summary=f"{x_label} of {len(rows)} rows")


def swatch_chart(rows: Sequence[tuple[str, Sequence[tuple[str, tuple[float, float, float]]]]]) -> Markup:
    """Return one line a row: its name, and one swatch for each of its (what it is, (red, green, blue))."""
    line_px = 20
    longest = max((len(swatches) for _, swatches in rows), default=1)
    width = (_WIDTH - _NAMES_PX - _RIGHT) / max(1, longest)
    drawn = []
    for index, (name, swatches) in enumerate(rows):
        y = _TOP + line_px * index
        drawn.append(_row_name(name, y + 14))
        for position, (what, color) in enumerate(swatches):
            drawn.append(
                _svg(
                    '<rect x="{}" y="{}" width="{}" height="{}" fill="rgb({})"><title>{}</title></rect>',
                    round(_NAMES_PX + position * width, 2),
                    y,
                    round(min(width, 24) + 0.1, 2),
                    line_px - 2,
                    " ".join(str(round(value)) for value in color),
                    what,
                )
            )
    return _frame(drawn, height=_TOP + line_px * len(rows) + 8, summary=f"Mean colours in {len(rows)} rows")


def _row_name(name: str, y: float) -> Markup:
    shown = name if len(name) <= 20 else f"{name[:10]}…{name[-9:]}"
    return _svg('<text class="end" x="{}" y="{}">{}<title>{}</title></text>', _NAMES_PX - 10, y, shown, name)


def _chart(x_axis: Axis, y_axis: Axis, drawn: Sequence[Markup], *, summary: str, names: Sequence[str] = ()) -> Markup:
    bottom = _HEIGHT - _BOTTOM
    parts: list[Markup] = []
    for tick in y_axis.ticks:
        y = _y(y_axis, tick)
        parts.append(_svg('<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>', _LEFT, _WIDTH - _RIGHT, y=y))
        parts.append(_svg('<text class="end" x="{}" y="{}">{}</text>', _LEFT - 7, y + 4, _number(tick)))
    parts += [
        _svg('<text class="mid" x="{}" y="{}">{}</text>', _x(x_axis, t), bottom + 16, _number(t)) for t in x_axis.ticks
    ]
    middle_x, middle_y = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + bottom) / 2
    parts.append(_svg('<line class="axis" x1="{}" x2="{}" y1="{y}" y2="{y}"/>', _LEFT, _WIDTH - _RIGHT, y=bottom))
    parts.append(_svg('<text class="mid label" x="{}" y="{}">{}</text>', middle_x, _HEIGHT - 6, x_axis.label))
    parts.append(
        _svg('<text class="mid label" transform="translate(13 {}) rotate(-90)">{}</text>', middle_y, y_axis.label)
    )
    height = _HEIGHT
    for index, name in enumerate(names):  # below the chart, two in a row
        x, y = _LEFT + index % 2 * (_WIDTH - _LEFT) // 2, _HEIGHT + 14 + index // 2 * 18
        parts.append(_svg('<rect class="bar c{}" x="{}" y="{}" width="10" height="10"/>', index % 5 + 1, x, y - 9))
        parts.append(_svg('<text x="{}" y="{}">{}</text>', x + 15, y, name if len(name) <= 26 else f"{name[:25]}…"))
        height = y + 8
    return _frame([*parts, *drawn], height=height, summary=summary)


def _frame(parts: Sequence[Markup], *, height: float, summary: str) -> Markup:
    head = _svg('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">', _WIDTH, round(height), summary)
    return head + Markup("").join(parts) + Markup("</svg>")


def _dot(x: float, y: float, title: str, color: str) -> Markup:
    return _svg('<circle class="dot {}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>', color, x, y, title)


def _svg(template: str, *values: object, **named: object) -> Markup:
    """Fill a piece of SVG with escaped values."""
    return Markup(template).format(*map(escape, values), **{name: escape(value) for name, value in named.items()})


def _x(axis: Axis, value: float) -> float:
    return round(_LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(_HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM), 1)


def _round_step(step: float) -> float:
    """Return the least of 1, 2 and 5 times a power of ten that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    factor = next(factor for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
    return float(factor * power)


def _number(value: float) -> str:
    """Return a number of at most four digits, without needless zeros."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
