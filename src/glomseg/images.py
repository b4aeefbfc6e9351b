"""Reading and writing image and mask files.

Files from strangers are the normal case: every reader here answers damage, wrong types and sizes that
would exhaust the machine with an error that names the file.
"""

import io
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.files import write_bytes
from glomseg.types import IGNORE_INDEX, Classes

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
"""Suffixes, in lower case, of the files that are taken for images in a folder."""

MAX_PIXELS = 2**28
"""Images with more pixels (16,384 x 16,384) are refused as tiles: 0.8 GB decoded."""

LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")
"""Formats in which neighbouring labels run into each other (WebP has a lossless form, which nobody can tell)."""

_N_SHOWN = 8
_SIXTEEN_BIT_MODES = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}

_PILLOW_LIMIT = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What a file says about its picture before it is decoded.

    Attributes
    ----------
    height, width
        In pixels.
    mode
        Pillow's name of the pixel type: "RGB", "L" (grey), "P" (palette), "RGBA", "CMYK" and others.
    file_format
        "PNG", "JPEG", "TIFF" and others: what the content is, whatever the name says.
    is_deep
        Whether it has more than 8 bits a channel.
    pixels_per_inch
        Along x and along y, where the file states them with a unit; many programs write 72 or 96 into all files.
    """

    height: int
    width: int
    mode: str
    file_format: str
    is_deep: bool
    pixels_per_inch: tuple[float, float] | None = None


def image_header(path: str | os.PathLike[str], *, what: str = "image") -> ImageHeader:
    """Return size and kind of an image file from its header; `what` names it in errors ("mask").

    Raises
    ------
    MissingInputError, InvalidInputError, UnsafeFileError
        As in `read_image`, for what shows without decoding.
    """
    with _open(Path(path), what=what) as image:
        return ImageHeader(
            height=image.height,
            width=image.width,
            mode=image.mode,
            file_format=image.format or "",
            is_deep=_is_deep(image),
            pixels_per_inch=_pixels_per_inch(image),
        )


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) in pixels from a file's header, without decoding it."""
    header = image_header(path)
    return header.height, header.width


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) uint8 RGB.

    Grey, palette and CMYK images are converted; transparency is laid on white, the colour of an
    empty slide. The pixel grid is the file's own: an EXIF orientation is not applied, since masks
    are drawn on the stored pixels.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidInputError
        If it is empty, damaged, not an image, or has more than 8 bits a channel.
    UnsafeFileError
        If it declares more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    with _open(path, what="image") as image:
        if _is_deep(image):
            raise InvalidInputError(
                f"image {str(path)!r} has more than 8 bits a channel (Pillow mode {image.mode}); how to scale it "
                "to 8 bits is not something to guess: export it as 8-bit RGB"
            )
        _load(image, path, what="image")
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
        return np.asarray(image.convert("RGB"))


def read_mask_values(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return the values stored in a mask file as (H, W) uint8, before they are mapped to classes.

    Palette images give their indices, not their colours. An RGB or RGBA mask with equal channels
    gives that channel.

    Raises
    ------
    InvalidInputError
        If the file is damaged, has values above 255, or is a colour picture.
    """
    path = Path(path)
    with _open(path, what="mask") as image:
        if _is_deep(image) and image.mode not in _SIXTEEN_BIT_MODES:
            raise InvalidInputError(
                f"mask {str(path)!r} has colour channels of 16 bits; a mask has one channel of class indices: "
                "export indices (0, 1, ...) as 8-bit PNG"
            )
        _load(image, path, what="mask")
        if image.mode == "1":
            return np.asarray(image.convert("L")) // 255
        if image.mode in ("L", "P"):
            return np.asarray(image)
        if image.mode == "LA":
            return np.asarray(image)[..., 0].copy()
        if image.mode in _SIXTEEN_BIT_MODES:
            values = np.asarray(image)
            whole = values.astype(np.int64)
            if values.size and (whole.min() < 0 or whole.max() > 255 or not np.array_equal(whole, values)):
                raise InvalidInputError(
                    f"mask {str(path)!r} holds values from {values.min()} to {values.max()}; class indices are "
                    "whole numbers from 0 to 255. It looks like an instance label map or a probability map: "
                    "export class indices instead"
                )
            return whole.astype(np.uint8)
        channels = np.asarray(image.convert("RGB"))
        if (channels == channels[..., :1]).all():
            return channels[..., 0].copy()
        raise InvalidInputError(
            f"mask {str(path)!r} is a colour picture; a mask has one channel of class indices. "
            "It looks like an overlay or a coloured export: export indices (0, 1, ...) instead"
        )


def read_mask(
    path: str | os.PathLike[str],
    *,
    classes: Classes,
    mask_values: Sequence[int] | None = None,
    ignore_value: int | None = None,
) -> NDArray[np.uint8]:
    """Return a mask as (H, W) uint8 class indices, 255 where ignored.

    Parameters
    ----------
    path
        The mask file.
    classes
        Values at or above their number, other than 255, are an error.
    mask_values
        For each class its value in the file; None takes file values as class indices. Values that
        are neither listed nor 255 are an error.
    ignore_value
        A value in the file that means "ignored", beside 255.

    Raises
    ------
    InvalidInputError
        If a value stands for no class; the message names the option that mends it.
    """
    values = read_mask_values(path)
    allowed = list(range(len(classes))) if mask_values is None else list(mask_values)
    lookup = np.full(256, IGNORE_INDEX, dtype=np.uint8)
    lookup[allowed] = np.arange(len(allowed))
    known = {*allowed, IGNORE_INDEX, ignore_value}
    present = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    if not known.issuperset(present.tolist()):
        raise _unknown_values(Path(path), present.tolist(), classes=classes, allowed=allowed)
    return lookup[values]


def _unknown_values(path: Path, present: list[int], *, classes: Classes, allowed: list[int]) -> InvalidInputError:
    """Return the error of a mask that holds values of no class, with what most probably mends it."""
    more = f" and {len(present) - _N_SHOWN} more" if len(present) > _N_SHOWN else ""
    if image_header(path, what="mask").file_format in LOSSY_FORMATS:
        mend = "lossy compression such as JPEG's smears labels along their borders: export the mask again as PNG"
    elif more:
        mend = (
            "so many look like JPEG compression (before it was saved in this format), grey levels or numbered objects: "
            "export class indices (0, 1, ...) as 8-bit PNG"
        )
    else:
        mend = "give the file's values with --mask-values, one a class, or name all its classes with --classes"
    return InvalidInputError(
        f"mask {str(path)!r} holds the values {present[:_N_SHOWN]}{more}, but {len(classes)} classes "
        f"({', '.join(classes.names)}) have the values {allowed}; {mend}"
    )


def encode_png(array: NDArray[np.uint8]) -> bytes:
    """Return a (H, W) or (H, W, 3) uint8 array as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def write_png(path: str | os.PathLike[str], array: NDArray[np.uint8]) -> None:
    """Write a (H, W) mask or (H, W, 3) RGB image, uint8, as PNG: whole or not at all."""
    write_bytes(path, encode_png(array))


def _open(path: Path, *, what: str) -> ImageFile.ImageFile:
    try:
        if not path.is_file():
            raise MissingInputError(f"{what} {str(path)!r} does not exist or is not a file")
        if path.stat().st_size == 0:
            raise InvalidInputError(f"{what} {str(path)!r} is empty (0 bytes); copy or export it again")
        image = _open_header(path)
    except GlomsegError:
        raise
    except UnidentifiedImageError as error:
        raise InvalidInputError(
            f"{what} {str(path)!r} is not an image that can be read: its content fits no known format, "
            "whatever its name says; export it again as PNG"
        ) from error
    except Exception as error:  # Pillow's plugins raise SyntaxError, struct.error and others on damage
        raise _damaged(path, what, error) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise UnsafeFileError(
            f"{what} {str(path)!r} declares {image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} that a "
            "tile may have; it is a whole slide or a decompression bomb: cut it into tiles"
        )
    return image


def _open_header(path: Path) -> ImageFile.ImageFile:
    """Return an opened image, of whatever size its header declares: nothing is decoded yet, and MAX_PIXELS decides."""
    # Pillow's own limit, below ours, is a global that other users of Pillow in this process rely on.
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _load(image: ImageFile.ImageFile, path: Path, *, what: str) -> None:
    try:
        image.load()
    except Exception as error:
        raise _damaged(path, what, error) from error


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Return whether an image that is not loaded yet has more than 8 bits a channel."""
    # Pillow shortens 16-bit colour to 8 bits without a word; only the raw mode of its decoder tells.
    return image.mode in _SIXTEEN_BIT_MODES or any(";16" in str(tile.args) for tile in image.tile)


def _pixels_per_inch(image: ImageFile.ImageFile) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):  # TIFF has fractions, some of them of zero
        return None
    return x, y


def _damaged(path: Path, what: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        f"{what} {str(path)!r} is damaged: {error}; it was probably cut off while it was copied: copy it again"
    )
