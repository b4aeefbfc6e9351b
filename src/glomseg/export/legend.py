"""Legends: coloured swatches with their meaning, on a picture or below it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from glomseg.export.lettering import draw_text, shortened, text_width_px
from glomseg.types import Color

INK: Color = (33, 37, 41)
PAPER: Color = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend: a colour and what it stands for."""

    color: Color
    meaning: str


def text_size_px(height: int, width: int) -> int:
    """Return a text size that reads well on a picture of this size, shown whole on a screen."""
    return max(11, round(min(height, width) / 38))


def put_legend(picture: NDArray[np.uint8], entries: Sequence[Entry], *, busy: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the picture with a legend in that corner where the least is going on.

    A picture too small for a legend (less than twice as wide or high) is returned without one:
    better no legend than no tissue.

    Parameters
    ----------
    picture
        (H, W, 3) uint8.
    entries
        From top to bottom.
    busy
        (H, W) bool, the pixels that the legend should not hide.
    """
    height, width = busy.shape
    size = text_size_px(height, width)
    margin = size // 2
    panel = _panel(entries, size_px=size, max_width_px=width // 2 - margin)
    if not entries or max(2 * (panel.width + margin) - width, 2 * (panel.height + margin) - height) > 0:
        return picture
    rows = (margin, height - margin - panel.height)
    columns = (width - margin - panel.width, margin)  # from the right, where eyes look for it

    def hidden(corner: tuple[int, int]) -> int:
        top, left = corner
        return int(np.count_nonzero(busy[top : top + panel.height, left : left + panel.width]))

    top, left = min(((row, column) for row in rows for column in columns), key=hidden)
    canvas = Image.fromarray(picture)
    canvas.paste(panel, (left, top), panel)
    return np.array(canvas)


def legend_strip(entries: Sequence[Entry], *, width: int, size_px: int) -> NDArray[np.uint8]:
    """Return a legend as a (h, width, 3) uint8 strip, its entries side by side on as many lines as needed."""
    gap, line_height = round(size_px * 1.2), round(size_px * 1.7)
    places: list[tuple[int, int, Entry]] = []
    x, line = gap // 2, 0
    for entry in entries:
        meaning = shortened(entry.meaning, size_px=size_px, max_width_px=max(size_px, width - gap - 2 * size_px))
        entry_width = round(size_px * 1.5) + text_width_px(meaning, size_px=size_px)
        if x + entry_width > width - gap // 2 and x > gap // 2:
            x, line = gap // 2, line + 1
        places.append((x, line, Entry(entry.color, meaning)))
        x += entry_width + gap
    strip = Image.new("RGB", (width, (line + 1) * line_height + size_px // 2), PAPER)
    draw = ImageDraw.Draw(strip)
    for x, line, entry in places:
        _draw_entry(draw, x, size_px // 4 + (line + 0.5) * line_height, entry, size_px=size_px)
    return np.array(strip)


def _panel(entries: Sequence[Entry], *, size_px: int, max_width_px: int) -> Image.Image:
    """Return the entries below each other on a rounded, slightly transparent RGBA panel."""
    padding, line_height, text_at = round(size_px * 0.6), round(size_px * 1.5), round(size_px * 1.5)
    room = max(size_px, max_width_px - 2 * padding - text_at)
    short = [Entry(e.color, shortened(e.meaning, size_px=size_px, max_width_px=room)) for e in entries]
    text_width = max((text_width_px(e.meaning, size_px=size_px) for e in short), default=0)
    width, height = 2 * padding + text_at + text_width, 2 * padding + line_height * len(short)
    panel = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(panel)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=size_px // 3, fill=(*PAPER, 225))
    for line, entry in enumerate(short):
        _draw_entry(draw, padding, padding + (line + 0.5) * line_height, entry, size_px=size_px)
    return panel


def _draw_entry(draw: ImageDraw.ImageDraw, x: float, y: float, entry: Entry, *, size_px: int) -> None:
    """Draw a swatch with its left edge at x and its meaning beside it, both centred on the height y."""
    half = size_px * 0.5
    draw.rectangle((x, y - half, x + 2 * half, y + half), fill=entry.color, outline=INK, width=max(1, size_px // 16))
    draw_text(draw, (x + size_px * 1.5, y), entry.meaning, size_px=size_px, color=INK)
