"""What the charts of a page are drawn with: axes, dots, words and the frame around them, as SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 270
NAMES_PX = 150  # before the rows of charts that have names for rows
LEFT, RIGHT, TOP, BOTTOM = 76, 26, 12, 42


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


def row_name(name: str, y: float) -> Markup:
    """Return the name of a row, shortened in the middle, before the drawing."""
    shown = name if len(name) <= 20 else f"{name[:10]}…{name[-9:]}"
    return svg('<text class="end" x="{}" y="{}">{}<title>{}</title></text>', NAMES_PX - 10, y, shown, name)


def plot(x_axis: Axis, y_axis: Axis, drawn: Sequence[Markup], *, summary: str, names: Sequence[str] = ()) -> Markup:
    """Return a chart: what is drawn, over two axes with their marks and words, and the names of its colours."""
    bottom = HEIGHT - BOTTOM
    parts: list[Markup] = []
    for tick in y_axis.ticks:
        y = y_of(y_axis, tick)
        parts.append(svg('<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>', LEFT, WIDTH - RIGHT, y=y))
        parts.append(svg('<text class="end" x="{}" y="{}">{}</text>', LEFT - 7, y + 4, number(tick)))
    parts += [
        svg('<text class="mid" x="{}" y="{}">{}</text>', x_of(x_axis, t), bottom + 16, number(t)) for t in x_axis.ticks
    ]
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + bottom) / 2
    parts.append(svg('<line class="axis" x1="{}" x2="{}" y1="{y}" y2="{y}"/>', LEFT, WIDTH - RIGHT, y=bottom))
    parts.append(svg('<text class="mid label" x="{}" y="{}">{}</text>', middle_x, HEIGHT - 6, x_axis.label))
    parts.append(
        svg('<text class="mid label" transform="translate(13 {}) rotate(-90)">{}</text>', middle_y, y_axis.label)
    )
    height = HEIGHT
    for index, name in enumerate(names):  # below the chart, two in a row
        x, y = LEFT + index % 2 * (WIDTH - LEFT) // 2, HEIGHT + 14 + index // 2 * 18
        parts.append(svg('<rect class="bar c{}" x="{}" y="{}" width="10" height="10"/>', index % 5 + 1, x, y - 9))
        parts.append(svg('<text x="{}" y="{}">{}</text>', x + 15, y, name if len(name) <= 26 else f"{name[:25]}…"))
        height = y + 8
    return frame([*parts, *drawn], height=height, summary=summary)


def frame(parts: Sequence[Markup], *, height: float, summary: str) -> Markup:
    """Return a drawing of the full width, with a summary for those who cannot see it."""
    head = svg('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">', WIDTH, round(height), summary)
    return head + Markup("").join(parts) + Markup("</svg>")


def dot(x: float, y: float, title: str, color: str) -> Markup:
    """Return a dot that says what it is when it is pointed at."""
    return svg('<circle class="dot {}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>', color, x, y, title)


def svg(template: str, *values: object, **named: object) -> Markup:
    """Fill a piece of SVG with escaped values."""
    return Markup(template).format(*map(escape, values), **{name: escape(value) for name, value in named.items()})


def x_of(axis: Axis, value: float) -> float:
    """Return where a value lies across the drawing."""
    return round(LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT), 1)


def y_of(axis: Axis, value: float) -> float:
    """Return where a value lies from the top of the drawing."""
    return round(HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM), 1)


def _round_step(step: float) -> float:
    """Return the least of 1, 2 and 5 times a power of ten that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    factor = next(factor for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
    return float(factor * power)


def number(value: float) -> str:
    """Return a number of at most four digits, without needless zeros."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
