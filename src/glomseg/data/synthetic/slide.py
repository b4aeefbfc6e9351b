"""Synthetic whole slides of any size in small files: one drawn field of tissue, stored once and shown many times."""

import io
import os
import struct
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glomseg.data.synthetic.look import draw_slide_look
from glomseg.data.synthetic.tile import draw_tile
from glomseg.errors import InvalidInputError
from glomseg.files import atomic_path

_TILE_PX = 512
_FIELD_UM = 512.0
_JPEG_QUALITY = 80

# Types of TIFF entries: SHORT, LONG, RATIONAL, and BigTIFF's LONG8.
_SHORT, _LONG, _RATIONAL, _LONG8 = 3, 4, 5, 16
_SIZES = {_SHORT: 2, _LONG: 4, _RATIONAL: 8, _LONG8: 8}


def write_synthetic_slide(
    path: str | os.PathLike[str],
    *,
    tissue: NDArray[np.bool_],
    size_px: tuple[int, int] | None = None,
    mpp: float = 0.25,
    downsamples: Sequence[int] = (1, 4, 16),
    seed: int = 0,
) -> None:
    """Write a pyramidal TIFF slide whose tissue repeats one field of some 512 um, whole or not at all.

    Every tile of a level that looks the same is stored once, so 100,000 x 100,000 pixels take a few MB, yet readers
    decode each tile anew, as they do for a real slide.

    Parameters
    ----------
    path
        The file to write; a BigTIFF.
    tissue
        (rows, columns) of cells, True where there is tissue. A cell is 512 pixels a side of the coarsest level.
    size_px
        (width, height); by default as many pixels as there are cells.
    mpp
        Micrometres per pixel.
    downsamples
        Of the levels: powers of two, 1 first. (1,) writes a slide without lower levels.
    seed
        The same seed draws the same tissue.

    Raises
    ------
    InvalidInputError
        If the downsamples or the size do not fit.
    OutputError
        If the file cannot be written.
    """
    if list(downsamples) != sorted(set(downsamples)) or downsamples[0] != 1 or any(d & (d - 1) for d in downsamples):
        raise InvalidInputError(f"downsamples {list(downsamples)} are not rising powers of two that begin with 1")
    cell_px = _TILE_PX * downsamples[-1]
    rows, columns = tissue.shape
    width, height = size_px or (columns * cell_px, rows * cell_px)
    if not (0 < width <= columns * cell_px and 0 < height <= rows * cell_px):
        raise InvalidInputError(
            f"a slide of {width} x {height} pixels does not fit {columns} x {rows} cells of {cell_px} pixels"
        )
    field, glass = _draw_field(seed, mpp)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))  # the place of the first directory follows
        empty_tile = np.broadcast_to(glass, (_TILE_PX, _TILE_PX, 3)).astype(np.uint8)
        link = 8
        for downsample in downsamples:
            patterns = [empty_tile, *_tiles_of(field, downsample)]
            places = [_append(file, _encode(tile)) for tile in patterns]
            level = (-(-width // downsample), -(-height // downsample))
            numbers = _layout(tissue, level, n_patterns=len(patterns) - 1, cell_tiles=downsamples[-1] // downsample)
            tags = _tags(level, mpp=mpp * downsample, is_first=downsample == 1, places=np.array(places)[numbers])
            link = _append_directory(file, tags, link=link)


def _draw_field(seed: int, mpp: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a square of tissue whose side is a power of two times a tile, and the colour of the glass beside it."""
    side_px = _TILE_PX * 2 ** max(0, round(np.log2(_FIELD_UM / (mpp * _TILE_PX))))
    drawn_px = min(side_px, max(_TILE_PX, 1024))  # finer than 0.5 um nothing more is to be seen
    look = draw_slide_look(seed)
    field_seed = _seed_of_full_field(seed)
    image, _ = draw_tile(seed=field_seed, size_px=drawn_px, mpp=mpp * side_px / drawn_px, n_glomeruli=1, slide=look)
    field = np.asarray(cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_LINEAR), np.uint8)
    return field, np.rint(look.background).astype(np.uint8)


def _seed_of_full_field(seed: int) -> tuple[int, int]:
    """Return the seed of the field, out of some, with the least empty glass: many show the edge of the section."""
    drafts = [draw_tile(seed=(seed, n), size_px=64, mpp=_FIELD_UM / 64, n_glomeruli=1)[0] for n in range(4)]
    return seed, int(np.argmin([draft.mean() for draft in drafts]))


def _tiles_of(field: NDArray[np.uint8], downsample: int) -> list[NDArray[np.uint8]]:
    """Return the tiles, row by row, out of which a level's tissue is made; n x n of them."""
    side = field.shape[0] // downsample
    repeats = max(1, _TILE_PX // side)
    small = np.tile(cv2.resize(field, (side, side), interpolation=cv2.INTER_AREA), (repeats, repeats, 1)).astype(
        np.uint8
    )
    n = small.shape[0] // _TILE_PX
    return [tile for row in np.split(small, n, axis=0) for tile in np.split(row, n, axis=1)]


def _layout(
    tissue: NDArray[np.bool_], size_px: tuple[int, int], *, n_patterns: int, cell_tiles: int
) -> NDArray[np.intp]:
    """Return for each tile of a level, row by row, which pattern it shows: 0 is empty glass."""
    across, down = (-(-side // _TILE_PX) for side in size_px)
    row, column = np.arange(down)[:, None], np.arange(across)[None]
    n = round(np.sqrt(n_patterns))
    pattern = 1 + (row % n) * n + column % n
    return np.where(tissue[row // cell_tiles, column // cell_tiles], pattern, 0).ravel()


def _encode(tile: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(tile).save(buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=2)
    return buffer.getvalue()


_Tag = tuple[int, int, NDArray[np.generic]]


def _tags(size_px: tuple[int, int], *, mpp: float, is_first: bool, places: NDArray[np.int64]) -> list[_Tag]:
    """Return the entries of a level's directory in the order of their numbers, after the TIFF 6.0 specification."""

    def short(*values: int) -> NDArray[np.generic]:
        return np.array(values, "<u2")

    def long(*values: int) -> NDArray[np.generic]:
        return np.array(values, "<u4")

    density = long(round(1e7 / mpp), 1000)  # pixels per cm
    return [
        (254, _LONG, long(0 if is_first else 1)),  # NewSubfileType: 1 is a reduced picture
        (256, _LONG, long(size_px[0])),
        (257, _LONG, long(size_px[1])),
        (258, _SHORT, short(8, 8, 8)),
        (259, _SHORT, short(7)),  # JPEG
        (262, _SHORT, short(6)),  # YCbCr
        (277, _SHORT, short(3)),
        (282, _RATIONAL, density),
        (283, _RATIONAL, density),
        (296, _SHORT, short(3)),  # centimetre
        (322, _LONG, long(_TILE_PX)),
        (323, _LONG, long(_TILE_PX)),
        (324, _LONG8, places[:, 0].astype("<u8")),
        (325, _LONG8, places[:, 1].astype("<u8")),
        (530, _SHORT, short(2, 2)),
    ]


def _append(file: io.BufferedWriter, data: bytes) -> tuple[int, int]:
    """Write bytes at the end of a file, and return where they begin and how many they are."""
    offset = file.seek(0, os.SEEK_END)
    file.write(data)
    return offset, len(data)


def _append_directory(file: io.BufferedWriter, tags: list[_Tag], *, link: int) -> int:
    """Write a BigTIFF directory, point the place `link` to it, and return the place that is to point to the next."""
    entries = []
    for number, kind, values in tags:
        data = values.tobytes()
        if len(data) > 8:
            data = struct.pack("<Q", _append(file, data)[0])
        entries.append(struct.pack("<HHQ8s", number, kind, values.nbytes // _SIZES[kind], data))
    body = struct.pack("<Q", len(entries)) + b"".join(entries)
    offset, _ = _append(file, body + bytes(8))
    file.seek(link)
    file.write(struct.pack("<Q", offset))
    return offset + len(body)
