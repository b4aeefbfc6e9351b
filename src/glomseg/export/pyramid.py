"""Writing pictures and masks of any size as pyramidal TIFF files that slide viewers open."""

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.files import atomic_path
from glomseg.progress import Progress
from glomseg.types import Color

COMPRESSIONS = ("jpeg", "deflate", "none")

_TILE_PX = 512
_IN_MEMORY_BYTES = 2**27
_CLASSIC_BYTES = 2**32 - 2**26
"""What a classic TIFF can address, less room for its tables; larger ones are written as BigTIFF."""


def write_pyramid(
    path: str | os.PathLike[str],
    picture: NDArray[np.uint8],
    *,
    mpp: float | None,
    compression: str | None = None,
    jpeg_quality: int = 90,
    colors: Sequence[Color] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a picture or a mask as a tiled TIFF with levels of half the size each, whole or not at all.

    OpenSlide, QuPath, Bio-Formats and `open_slide` read it. A pixel of a lower level is the mean of the four above it,
    and in a mask the upper left one of them, so that it holds no class that is not there.

    Parameters
    ----------
    path
        The file to write.
    picture
        (H, W, 3) RGB or an (H, W) mask. A memory map is read a strip at a time, and its levels are kept on disk.
    mpp
        Micrometres per pixel, for the resolution tags; None writes none.
    compression
        "jpeg", "deflate" or "none"; the default is "jpeg" for RGB and "deflate" for masks, which must not be lossy.
    jpeg_quality
        1 to 100.
    colors
        For a mask: the colour in which viewers show each value. The values stay what they are.
    progress
        Is told of the tiles written, of all levels.

    Raises
    ------
    InvalidInputError
        If the picture is of another shape or type, or the compression, its quality or the mpp does not exist or fit.
    OutputError
        If the file cannot be written.
    """
    is_mask = picture.ndim == 2
    _check(picture, mpp=mpp, jpeg_quality=jpeg_quality)
    compression = compression or ("deflate" if is_mask else "jpeg")
    if compression not in COMPRESSIONS or (is_mask and compression == "jpeg"):
        raise InvalidInputError(
            f"compression {compression!r} is not one of {', '.join(COMPRESSIONS)}; masks take deflate or none, since "
            "JPEG changes their values"
        )
    options: dict[str, Any] = {"compression": None if compression == "none" else compression}
    if compression == "jpeg":
        options["compressionargs"] = {"level": jpeg_quality}
    options["photometric"] = "rgb" if not is_mask else "minisblack"
    if is_mask and colors is not None:
        options |= {"photometric": "palette", "colormap": _colormap(colors)}
    is_big = picture.nbytes * 4 // 3 > _CLASSIC_BYTES
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=is_big) as writer:
        _write_levels(writer, picture, mpp=mpp, folder=temporary.parent, options=options, progress=progress)


def _check(picture: NDArray[np.uint8], *, mpp: float | None, jpeg_quality: int) -> None:
    """Raise InvalidInputError for what cannot be written."""
    is_picture = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)
    if picture.dtype != np.uint8 or picture.size == 0 or not is_picture:
        raise InvalidInputError(
            f"an array of shape {picture.shape} and type {picture.dtype} is no picture to write as a pyramid: it has "
            "to be (H, W, 3) RGB or an (H, W) mask, of uint8"
        )
    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise InvalidInputError(f"mpp {mpp} is not a positive number of micrometres per pixel, such as 0.25")
    if not 1 <= jpeg_quality <= 100:
        raise InvalidInputError(f"a JPEG quality of {jpeg_quality} does not exist; choose one from 1 to 100")


def _write_levels(
    writer: tifffile.TiffWriter,
    picture: NDArray[np.uint8],
    *,
    mpp: float | None,
    folder: Path,
    options: dict[str, Any],
    progress: Progress | None,
) -> None:
    level, downsample = picture, 1
    done, total = 0, _n_tiles(picture.shape)
    while True:
        is_last = max(level.shape[:2]) <= _TILE_PX
        smaller = None if is_last else _empty(_half(level.shape), folder)
        if mpp is not None:
            density = 1e4 / (mpp * downsample)
            options |= {"resolution": (density, density), "resolutionunit": "CENTIMETER"}
        writer.write(
            _counted(_tiles(level, smaller), progress, done=done, total=total),
            shape=level.shape,
            dtype=np.uint8,
            tile=(_TILE_PX, _TILE_PX),
            subfiletype=0 if downsample == 1 else 1,
            software="glomseg" if downsample == 1 else False,
            metadata=None,
            **options,
        )
        if smaller is None:
            return
        done += math.prod(_across(level.shape))
        level, downsample = smaller, 2 * downsample


def _tiles(level: NDArray[np.uint8], smaller: NDArray[np.uint8] | None) -> Iterator[NDArray[np.uint8]]:
    """Yield the tiles of a level row by row, and fill the next level on the way."""
    height, width = level.shape[:2]
    for top in range(0, height, _TILE_PX):
        strip = np.asarray(level[top : top + _TILE_PX])
        if smaller is not None:
            smaller[top // 2 : top // 2 + -(-len(strip) // 2)] = _halved(strip)
        for left in range(0, width, _TILE_PX):
            yield _padded(strip[:, left : left + _TILE_PX])


def _across(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many tiles a level has along its two sides."""
    return -(-shape[0] // _TILE_PX), -(-shape[1] // _TILE_PX)


def _n_tiles(shape: tuple[int, ...]) -> int:
    """Return how many tiles all levels have."""
    n = math.prod(_across(shape))
    return n if max(shape[:2]) <= _TILE_PX else n + _n_tiles(_half(shape))


def _counted(
    tiles: Iterator[NDArray[np.uint8]], progress: Progress | None, *, done: int, total: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the tiles and report the number of each, counted on from finer levels."""
    for n, tile in enumerate(tiles, start=done + 1):
        if progress is not None:
            progress(n, total)
        yield tile


def _padded(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a tile at full size: its last row and column repeated, which JPEG shows least of."""
    missing = [(0, _TILE_PX - tile.shape[0]), (0, _TILE_PX - tile.shape[1]), (0, 0)][: tile.ndim]
    return np.pad(tile, missing, mode="edge") if any(after for _, after in missing) else np.ascontiguousarray(tile)


def _half(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (-(-shape[0] // 2), -(-shape[1] // 2), *shape[2:])


def _halved(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a strip at half its height and width: means for RGB, halves to even; upper left pixels for masks."""
    if strip.ndim == 2:
        return strip[::2, ::2]
    odd = [(0, strip.shape[0] % 2), (0, strip.shape[1] % 2), (0, 0)]
    strip = np.pad(strip, odd, mode="edge") if strip.shape[0] % 2 or strip.shape[1] % 2 else strip
    sums = strip[::2].astype(np.uint16)
    sums += strip[1::2]
    sums = sums[:, ::2] + sums[:, 1::2]
    # Halves to even: rounded up, each level would be a little brighter than the one above.
    return ((sums + 1 + ((sums >> 2) & 1)) >> 2).astype(np.uint8)


def _empty(shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    """Return an array to fill, on disk if it is large; the file is gone when the array is."""
    if math.prod(shape) <= _IN_MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(prefix=".glomseg-", dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # writing to a map on a full disk would end the process: fail here
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)


def _colormap(colors: Sequence[Color]) -> NDArray[np.uint16]:
    """Return (3, 256) for the tag ColorMap; values without a colour are black."""
    table = np.zeros((3, 256), np.uint16)
    table[:, : len(colors)] = np.asarray(colors, np.uint16).T * 257
    return table
