"""The colours of a slide: its profile, and what its empty glass looks like."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from glomseg.types import Color

WHITE: Color = (255, 255, 255)

_VISIBLE = 2  # grey levels: a profile that changes no colour by more is not worth the time
_BRIGHT, _GREYISH, _LEAST_SHARE, _SCANNED_SHARE = 180, 20, 0.01, 0.1
_SPREAD = 8


def to_srgb(icc_profile: bytes) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None:
    """Return what turns (h, w, 3) uint8 pixels of this profile into sRGB; None if they look the same already.

    Raises
    ------
    ValueError
        If the profile is damaged or not one of RGB.
    """
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        intent = ImageCms.getDefaultIntent(profile)
        transform = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), "RGB", "RGB", ImageCms.Intent(intent)
        )
        apply = _applying(transform)
        changed = apply(_SAMPLE)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ValueError(str(error)) from error
    return None if np.abs(changed.astype(int) - _SAMPLE).max() <= _VISIBLE else apply


def _applying(transform: ImageCms.ImageCmsTransform) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    def apply(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        converted = ImageCms.applyTransform(Image.fromarray(pixels), transform)
        return np.asarray(converted)

    return apply


_SAMPLE = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3, indexing="ij"), axis=-1).reshape(
    256, 16, 3
)
"""4096 colours, evenly over the cube."""


def glass_color(pixels: NDArray[np.uint8]) -> Color:
    """Return the colour of empty glass, that of the bright and nearly grey of (n, 3) pixels, or white."""
    brightness = pixels.min(axis=1)
    is_glass = (brightness >= _BRIGHT) & (pixels.max(axis=1) - brightness <= _GREYISH)
    if is_glass.sum() < max(1, _LEAST_SHARE * len(pixels)):
        return WHITE
    glass = pixels[is_glass]
    scanned = glass[(glass < 255).any(axis=1)]  # pure white is what scanners fill in where they did not look
    if len(scanned) >= _SCANNED_SHARE * len(glass):
        glass = scanned
    level = glass.mean(axis=1)
    # The commonest brightness, for pale tissue is bright too, but not all alike.
    counts = np.bincount(level.astype(int), minlength=256)
    commonest = int(np.convolve(counts, np.ones(5), mode="same").argmax())
    red, green, blue = np.median(glass[np.abs(level - commonest) <= _SPREAD], axis=0)
    return int(red), int(green), int(blue)


def lay_on(pixels: NDArray[np.uint8], background: Color) -> NDArray[np.uint8]:
    """Return (h, w, 4) RGBA pixels, not premultiplied, as (h, w, 3) on a background."""
    opacity = pixels[..., 3]
    result = np.ascontiguousarray(pixels[..., :3])
    clear = opacity < 255
    share = opacity[clear][:, None] / 255.0
    result[clear] = np.floor(result[clear] * share + np.array(background) * (1 - share) + 0.5)
    return result
