"""Cutting training windows from tiles: pure functions of an image, a mask and a random generator."""

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.types import IGNORE_INDEX

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]

_MAX_DRAWS = 10


def resize(image: Image, *, height: int, width: int, interpolation: str) -> Image:
    """Return an image (H, W, 3) uint8 at another size, by "area" or "bilinear" interpolation.

    Area interpolation only ever shrinks; where it would enlarge, bilinear is used.
    """
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if interpolation == "area" and shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def resize_mask(mask: Mask, *, height: int, width: int, exact: bool = True) -> Mask:
    """Return a mask (H, W) uint8 at another size, each pixel the class at its centre.

    Conventions
    -----------
    ``exact=False`` takes OpenCV's INTER_NEAREST, which MMSegmentation uses: it reads the upper left
    corner of the source area, half an output pixel off.
    """
    if mask.shape == (height, width):
        return mask
    method = cv2.INTER_NEAREST_EXACT if exact else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(mask, (width, height), interpolation=method), dtype=np.uint8)


def resize_then_crop(
    image: Image,
    mask: Mask,
    *,
    size_px: int,
    fit_px: tuple[int, int],
    scale_range: tuple[float, float],
    cat_max_ratio: float,
    flip: str,
    rng: np.random.Generator,
) -> tuple[Image, Mask]:
    """Return a window the way MMSegmentation's RandomResize, RandomCrop and RandomFlip cut it.

    The tile is resized, ratio kept, into `fit_px` times a random factor; a window of at most `size_px`
    is redrawn up to ten times until more than one class is in it and no class covers `cat_max_ratio` of
    it; the last draw is used as it is. Smaller tiles give smaller windows: padding comes later.

    Returns
    -------
    image
        (h, w, 3) uint8 with h, w <= `size_px`.
    mask
        (h, w) uint8.
    """
    factor = rng.uniform(*scale_range)
    long, short = int(max(fit_px) * factor), int(min(fit_px) * factor)
    height, width = image.shape[:2]
    ratio = min(long / max(height, width), short / min(height, width))
    height, width = max(1, int(height * ratio + 0.5)), max(1, int(width * ratio + 0.5))
    image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    mask = resize_mask(mask, height=height, width=width, exact=False)

    window = _draw_window(height, width, size_px, rng)
    if cat_max_ratio < 1:
        for _ in range(_MAX_DRAWS):
            counts = np.bincount(mask[window].ravel(), minlength=256)
            counts[IGNORE_INDEX] = 0
            if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < cat_max_ratio:
                break
            window = _draw_window(height, width, size_px, rng)
    image, mask = image[window], mask[window]
    return random_flip(image, mask, flip=flip, rng=rng)


def _draw_window(height: int, width: int, size_px: int, rng: np.random.Generator) -> tuple[slice, slice]:
    top = int(rng.integers(0, max(height - size_px, 0) + 1))
    left = int(rng.integers(0, max(width - size_px, 0) + 1))
    return slice(top, top + size_px), slice(left, left + size_px)


def random_flip(image: Image, mask: Mask, *, flip: str, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Mirror image and mask alike, each allowed direction with probability one half."""
    if flip in ("horizontal", "both") and rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if flip == "both" and rng.random() < 0.5:
        image, mask = image[::-1], mask[::-1]
    return image, mask


def centered_crop(
    image: Image,
    mask: Mask,
    *,
    center: tuple[float, float],
    size_px: int,
    scale: float,
    angle_rad: float,
) -> tuple[Image, Mask]:
    """Return the window around a point, scaled and turned in one interpolation.

    Beyond the tile's border the tile continues as its mirror image, mask and all, so that the window
    shows tissue everywhere and no border of filling is learnt.

    Parameters
    ----------
    image, mask
        (H, W, 3) and (H, W) uint8.
    center
        (row, column) of the window's centre in tile pixels.
    size_px
        Side of the window.
    scale
        Window pixels per tile pixel.
    angle_rad
        Counter-clockwise turn of the content.

    Returns
    -------
    image, mask
        (size_px, size_px, 3) and (size_px, size_px) uint8.
    """
    cosine, sine = np.cos(angle_rad) / scale, np.sin(angle_rad) / scale
    row, column = center
    middle = (size_px - 1) / 2
    # Maps window coordinates (x, y) to tile coordinates, as WARP_INVERSE_MAP wants it.
    matrix = np.array(
        [
            [cosine, -sine, column - cosine * middle + sine * middle],
            [sine, cosine, row - sine * middle - cosine * middle],
        ]
    )
    border = cv2.BORDER_REFLECT_101 if min(image.shape[:2]) > 1 else cv2.BORDER_REPLICATE
    if scale < 1:  # antialias before shrinking: the standard deviation of a box of 1/scale pixels
        sigma = 0.5 * np.sqrt(1 / scale**2 - 1)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8) if sigma > 0.3 else image
    size = (size_px, size_px)
    window = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border)
    labels = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderMode=border)
    return np.asarray(window, dtype=np.uint8), np.asarray(labels, dtype=np.uint8)


def pad_to_square(image: NDArray[np.float32], mask: Mask, *, size_px: int) -> tuple[NDArray[np.float32], Mask]:
    """Pad a normalised window (h, w, 3) at the right and the bottom: 0, the mean colour, and 255, ignored."""
    height, width = mask.shape
    if (height, width) == (size_px, size_px):
        return image, mask
    bottom, right = size_px - height, size_px - width
    image = np.pad(image, ((0, bottom), (0, right), (0, 0)))
    return image, np.pad(mask, ((0, bottom), (0, right)), constant_values=IGNORE_INDEX)
