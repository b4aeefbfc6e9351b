"""Pictures and masks as text within a page: small, and exact where it matters."""

import base64
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glomseg.data.crops import resize, resize_mask
from glomseg.types import IGNORE_INDEX

MIN_SIDE_PX, MAX_SIDE_PX = 224, 768
"""Between these lies the longest side of a picture in a page."""

_PAGE_PIXELS = 24_000_000
"""Pixels of all pictures of a page together: with WebP's 0.1 to 0.2 bytes a pixel some megabytes."""

_QUALITY = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePicture:
    """What of a tile is embedded in a page.

    Attributes
    ----------
    width, height
        Of the embedded picture, in pixels.
    image
        Data URL of the picture; "" where there is none to show.
    masks
        Truth and, if there is one, prediction; see `embedded_masks`. "" where there is none.
    has_ignored
        Whether the truth has ignored pixels.
    """

    width: int = 1
    height: int = 1
    image: str = ""
    masks: str = ""
    has_ignored: bool = False


def tile_picture(image: NDArray[np.uint8], masks: Sequence[NDArray[np.uint8]], *, side_px: int) -> TilePicture:
    """Return an image (H, W, 3) uint8 and its masks (H, W) uint8, the truth first, shrunk to at most `side_px`."""
    height, width = shrunk_size(*image.shape[:2], side_px=side_px)
    return TilePicture(
        width=width,
        height=height,
        image=embedded_image(image, side_px=side_px),
        masks=embedded_masks(masks, side_px=side_px) if masks else "",
        has_ignored=bool(masks) and bool((masks[0] == IGNORE_INDEX).any()),
    )


def picture_side_px(n_tiles: int) -> int:
    """Return the longest side that each of `n_tiles` pictures may have, so that the page stays a few megabytes."""
    return int(np.clip((_PAGE_PIXELS / max(1, n_tiles)) ** 0.5, MIN_SIDE_PX, MAX_SIDE_PX))


def shrunk_size(height: int, width: int, *, side_px: int) -> tuple[int, int]:
    """Return (height, width) of a picture shrunk, ratio kept, to at most `side_px`; never enlarged."""
    ratio = min(1.0, side_px / max(height, width))
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def embedded_image(image: NDArray[np.uint8], *, side_px: int) -> str:
    """Return an image (H, W, 3) uint8 as a data URL of a WebP picture of at most `side_px`."""
    height, width = shrunk_size(*image.shape[:2], side_px=side_px)
    small = resize(image, height=height, width=width, interpolation="area")
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, format="WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def embedded_masks(masks: Sequence[NDArray[np.uint8]], *, side_px: int) -> str:
    """Return masks (H, W) uint8 of one size as base64: one plane of bytes after the other, compressed by zlib.

    Conventions
    -----------
    Not PNG: a page can read a picture's pixels back only through a canvas, where browsers that protect against
    fingerprinting change them slightly. A class index that is changed slightly is another class.
    """
    planes = []
    for mask in masks:
        height, width = shrunk_size(*mask.shape, side_px=side_px)
        planes.append(resize_mask(mask, height=height, width=width).tobytes())
    return base64.b64encode(zlib.compress(b"".join(planes), 9)).decode("ascii")
