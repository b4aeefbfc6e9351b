"""Cutting training windows from tiles: pure functions of an image, a mask and a random generator."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.slides.colors import glass_color
from glomseg.stain import densities
from glomseg.types import IGNORE_INDEX, Scaling

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]

_MAX_DRAWS = 10
_NODE_PX = 32
_GLASS_DENSITY, _TISSUE_SHARE = 0.1, 0.02


def resize(image: Image, *, height: int, width: int, interpolation: str) -> Image:
    """Return an image (H, W, 3) uint8 at another size, by "area" or "bilinear" interpolation.

    Area interpolation only ever shrinks; where it would enlarge, bilinear is used.
    """
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if interpolation == "area" and shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def at_working_size(image: Image, size: tuple[int, ...], *, scaling: Scaling, mpp: float | None) -> Image:
    """Return an image as it is worked on; `size` is the (height, width) of its tile, which may be larger already."""
    height, width = scaling.working_size(height=size[0], width=size[1], mpp=mpp)
    return resize(image, height=height, width=width, interpolation=scaling.interpolation)


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
    window_px: tuple[int, int],
    box_px: tuple[int, int],
    cat_max_ratio: float,
    rng: np.random.Generator,
) -> tuple[Image, Mask]:
    """Return a window the way MMSegmentation's Resize and RandomCrop cut it.

    The tile is resized, ratio kept, into `box_px`; a window of at most `window_px` is redrawn up to ten times
    until more than one class is in it and no class covers `cat_max_ratio` of it; the last draw is used as it
    is. Smaller tiles give smaller windows: padding comes later.

    Parameters
    ----------
    image, mask
        (H, W, 3) and (H, W) uint8.
    window_px
        Height and width.
    box_px
        Limits of the two sides of the tile, from `random_box`.
    cat_max_ratio
        1 never redraws.
    rng
        Source of the random numbers.

    Returns
    -------
    image
        (h, w, 3) uint8 with h and w at most those of `window_px`.
    mask
        (h, w) uint8.
    """
    long, short = max(box_px), min(box_px)
    height, width = image.shape[:2]
    ratio = min(long / max(height, width), short / min(height, width))
    height, width = max(1, int(height * ratio + 0.5)), max(1, int(width * ratio + 0.5))
    image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    mask = resize_mask(mask, height=height, width=width, exact=False)

    window = _draw_window(height, width, window_px, rng)
    if cat_max_ratio < 1:
        for _ in range(_MAX_DRAWS):
            counts = np.bincount(mask[window].ravel(), minlength=256)
            counts[IGNORE_INDEX] = 0
            if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < cat_max_ratio:
                break
            window = _draw_window(height, width, window_px, rng)
    return image[window], mask[window]


def random_box(
    fit_px: tuple[int, int],
    *,
    scale_range: tuple[float, float],
    choices_px: Sequence[tuple[int, int]] | None,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Return the box that a tile is to fit into: `fit_px` times a random factor, or one of `choices_px`."""
    if choices_px is not None:
        return choices_px[int(rng.integers(len(choices_px)))]
    factor = rng.uniform(*scale_range)
    return int(fit_px[0] * factor), int(fit_px[1] * factor)


def _draw_window(height: int, width: int, window_px: tuple[int, int], rng: np.random.Generator) -> tuple[slice, slice]:
    top = int(rng.integers(0, max(height - window_px[0], 0) + 1))
    left = int(rng.integers(0, max(width - window_px[1], 0) + 1))
    return slice(top, top + window_px[0]), slice(left, left + window_px[1])


def turn(image: Image, mask: Mask, *, angle_deg: float) -> tuple[Image, Mask]:
    """Return image and mask turned clockwise about their centre; what comes from outside is black and ignored.

    Conventions
    -----------
    This is MMSegmentation's RandomRotate with its own paddings: bilinear, nearest for the mask, of the same size.
    """
    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle_deg, 1.0)
    image = np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), dtype=np.uint8)
    labels = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_NEAREST, borderValue=IGNORE_INDEX)
    return image, np.asarray(labels, dtype=np.uint8)


def random_flip(
    image: Image, mask: Mask, *, flip: str | tuple[float, float, float], rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Mirror image and mask alike.

    Parameters
    ----------
    image, mask
        (H, W, 3) and (H, W) uint8.
    flip
        "none"; "horizontal" or "both", each direction with probability one half; or the probabilities of a mirror
        left to right, upside down, and both at once.
    rng
        Source of the random numbers.
    """
    if not isinstance(flip, str):
        drawn = int(np.searchsorted(np.cumsum(flip), rng.random(), side="right"))  # 3: as it is
        across, down = drawn in (0, 2), drawn in (1, 2)
    else:
        across = flip in ("horizontal", "both") and rng.random() < 0.5
        down = flip == "both" and rng.random() < 0.5
    if across:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if down:
        image, mask = image[::-1], mask[::-1]
    return image, mask


def centered_crop(
    image: Image,
    mask: Mask,
    *,
    center: tuple[float, float],
    window_px: tuple[int, int],
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
    window_px
        Height and width of the window.
    scale
        Window pixels per tile pixel.
    angle_rad
        Counter-clockwise turn of the content.

    Returns
    -------
    image, mask
        (h, w, 3) and (h, w) uint8, with the height and width of `window_px`.
    """
    cosine, sine = np.cos(angle_rad) / scale, np.sin(angle_rad) / scale
    row, column = center
    middle_row, middle_column = (window_px[0] - 1) / 2, (window_px[1] - 1) / 2
    # Maps window coordinates (x, y) to tile coordinates, as WARP_INVERSE_MAP wants it.
    matrix = np.array(
        [
            [cosine, -sine, column - cosine * middle_column + sine * middle_row],
            [sine, cosine, row - sine * middle_column - cosine * middle_row],
        ]
    )
    border = cv2.BORDER_REFLECT_101 if min(image.shape[:2]) > 1 else cv2.BORDER_REPLICATE
    if scale < 1:  # antialias before shrinking: the standard deviation of a box of 1/scale pixels
        sigma = 0.5 * np.sqrt(1 / scale**2 - 1)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8) if sigma > 0.3 else image
    size = window_px[::-1]
    window = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border)
    labels = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderMode=border)
    return np.asarray(window, dtype=np.uint8), np.asarray(labels, dtype=np.uint8)


def deform(image: Image, mask: Mask, *, std_px: float, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Return image and mask bent alike: the nodes of a grid are moved at random, and what is between them follows.

    Parameters
    ----------
    image, mask
        (H, W, 3) and (H, W) uint8.
    std_px
        Standard deviation of the way that each node, 32 pixels from the next, is moved down and to the right.
    rng
        Source of the random numbers.

    References
    ----------
    Ronneberger et al., U-Net, MICCAI 2015 (there 3 x 3 nodes and 10 pixels, with bicubic interpolation as here).
    """
    height, width = mask.shape
    nodes = rng.normal(0, std_px, (2, height // _NODE_PX + 2, width // _NODE_PX + 2)).astype(np.float32)
    down, right = (cv2.resize(ways, (width, height), interpolation=cv2.INTER_CUBIC) for ways in nodes)
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    where, border = (columns + right, rows + down), cv2.BORDER_REFLECT_101
    bent = cv2.remap(image, *where, interpolation=cv2.INTER_LINEAR, borderMode=border)
    labels = cv2.remap(mask, *where, interpolation=cv2.INTER_NEAREST, borderMode=border)
    return np.asarray(bent, dtype=np.uint8), np.asarray(labels, dtype=np.uint8)


def shows_glass(image: Image) -> bool:
    """Return whether an image (H, W, 3) uint8 RGB shows next to nothing but empty glass.

    That is where at most 2 % of its pixels absorb more than the glass in one of the channels, by an optical density of
    0.1 (natural logarithm). Every fourth pixel of every fourth row is looked at.
    """
    pixels = image[::4, ::4].reshape(-1, 3)
    glass = densities(np.array(glass_color(pixels), np.uint8))
    return bool(((densities(pixels) - glass).max(axis=1) > _GLASS_DENSITY).mean() <= _TISSUE_SHARE)


def place_in_object(mask: Mask, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return (row, column) of a random pixel of a random object, each object being equally likely; None if none is.

    Objects are connected pieces of a class, touching corners included.
    """
    found: list[NDArray[np.intp]] = []
    for value in np.unique(mask):
        if value not in (0, IGNORE_INDEX):
            _, labels = cv2.connectedComponents((mask == value).astype(np.uint8), connectivity=8)
            order = np.argsort(labels, axis=None, kind="stable")
            counts = np.bincount(labels.ravel())
            found += np.split(order, np.cumsum(counts)[:-1])[1:]
    if not found:
        return None
    places = found[int(rng.integers(len(found)))]
    row, column = divmod(int(rng.choice(places)), mask.shape[1])
    return row, column


def pad(image: NDArray[np.float32], mask: Mask, *, size_px: tuple[int, int]) -> tuple[NDArray[np.float32], Mask]:
    """Pad a normalised window (h, w, 3) at the right and the bottom: 0, the mean colour, and 255, ignored."""
    bottom, right = size_px[0] - mask.shape[0], size_px[1] - mask.shape[1]
    if (bottom, right) == (0, 0):
        return image, mask
    image = np.pad(image, ((0, bottom), (0, right), (0, 0)))
    return image, np.pad(mask, ((0, bottom), (0, right)), constant_values=IGNORE_INDEX)
