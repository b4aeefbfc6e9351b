"""One picture of a whole slide with its numbered objects, a caption and a scale bar."""

import itertools
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from glomseg.export.legend import INK, PAPER, text_size_px
from glomseg.export.lettering import draw_text, shortened, text_width_px
from glomseg.export.pictures import check_picture, overlay
from glomseg.measure.glomerulus import Glomerulus
from glomseg.types import Classes, Region

_STEPS = (1, 2, 5)
_SMALLEST_NUMBER_PX = 11


def slide_overlay(
    picture: NDArray[np.uint8],
    glomeruli: Sequence[Glomerulus],
    *,
    region: Region,
    classes: Classes,
    caption: str,
    mpp: float | None = None,
    opacity: float = 0.25,
) -> NDArray[np.uint8]:
    """Return a small picture of a slide with every object outlined, tinted and numbered, (H + strip, W, 3) uint8.

    Lines and numbers are as large as the objects allow. A strip below holds the caption and, where the scale is known,
    a scale bar.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB.
    glomeruli
        What is drawn; the numbers are their labels.
    region
        What the picture shows, in pixels of full resolution.
    classes
        Names and colours, for the legend.
    caption
        One line; shortened in the middle where it does not fit.
    mpp
        Micrometres per pixel of full resolution.
    opacity
        Of the tint.
    """
    check_picture(picture)
    height, width = picture.shape[:2]
    downsample = region.width / width
    mask = np.zeros((height, width), np.uint8)
    outlines = [_outline(item, region, downsample=downsample) for item in glomeruli]
    for item, rings in zip(glomeruli, outlines, strict=True):
        cv2.fillPoly(mask, rings, item.class_index)  # its even-odd rule leaves holes out
    drawn = overlay(picture, mask, classes=classes, opacity=opacity, outline=False)
    text_px = text_size_px(height, width)
    usual_px = float(np.median([item.equivalent_diameter_px for item in glomeruli] or [0])) / downsample
    for item, rings in zip(glomeruli, outlines, strict=True):
        thickness = max(1, round(min(usual_px / 30, text_px / 12)))
        cv2.polylines(drawn, rings, True, classes.colors[item.class_index], thickness, cv2.LINE_AA)
    canvas = Image.fromarray(drawn)
    draw = ImageDraw.Draw(canvas)
    number_px = round(min(max(_SMALLEST_NUMBER_PX, usual_px / 2), text_px * 0.75))
    for item in glomeruli:
        place = (item.centroid_px[0] - region.x) / downsample, (item.centroid_px[1] - region.y) / downsample
        _draw_number(draw, str(item.label), place, size_px=number_px)
    micrometres = None if mpp is None else mpp * downsample
    return np.concatenate([np.array(canvas), _strip(width, caption, size_px=text_px, mpp=micrometres)])


def _outline(item: Glomerulus, region: Region, *, downsample: float) -> list[NDArray[np.int32]]:
    """Return an object's rings in pixels of the picture."""
    corner = np.array([region.x, region.y])
    rings = [np.asarray(ring.coords) for part in item.outline.geoms for ring in (part.exterior, *part.interiors)]
    # Half a pixel turns pixel edges into OpenCV's pixel centres.
    return [np.round((ring - corner) / downsample - 0.5).astype(np.int32) for ring in rings]


def _draw_number(draw: ImageDraw.ImageDraw, text: str, place: tuple[float, float], *, size_px: int) -> None:
    """Write a label in the middle of an object, so that it cannot be taken for a neighbour's."""
    width, height = draw.im.size
    half = text_width_px(text, size_px=size_px) / 2
    x = min(max(place[0], half + 2), width - half - 2)
    y = min(max(place[1], size_px / 2 + 1), height - size_px / 2 - 1)
    rim = max(1, size_px // 10)
    for shift_x, shift_y in itertools.product((-rim, 0, rim), repeat=2):  # of paper, for dark tissue
        draw_text(draw, (x + shift_x, y + shift_y), text, size_px=size_px, color=PAPER, anchor="mm")
    draw_text(draw, (x, y), text, size_px=size_px, color=INK, anchor="mm")


def _strip(width: int, caption: str, *, size_px: int, mpp: float | None) -> NDArray[np.uint8]:
    """Return (h, width, 3) with the caption on the left and a scale bar on the right."""
    strip = Image.new("RGB", (width, round(2.4 * size_px)), PAPER)
    draw = ImageDraw.Draw(strip)
    middle, margin, right = strip.height / 2, size_px // 2, width - size_px // 2
    if mpp is not None:
        length_um = scale_bar_um(width * mpp)
        name = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
        left = right - length_um / mpp
        thickness = max(2, size_px // 5)
        draw.rectangle((left, middle - thickness / 2, right, middle + thickness / 2), fill=INK)
        right = int(left) - margin
        draw_text(draw, (right, middle), name, size_px=size_px, color=INK, anchor="rm")
        right -= text_width_px(name, size_px=size_px) + 2 * margin
    if right - margin > 2 * size_px:
        line = shortened(caption, size_px=size_px, max_width_px=right - margin)
        draw_text(draw, (margin, middle), line, size_px=size_px, color=INK)
    return np.array(strip)


def scale_bar_um(width_um: float) -> float:
    """Return the longest round length (1, 2 or 5 times a power of ten) within a fifth of a width, in micrometres.

    Examples
    --------
    >>> scale_bar_um(12_000)
    2000.0
    """
    longest = width_um / 5
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in _STEPS if step * power <= longest * (1 + 1e-9))
