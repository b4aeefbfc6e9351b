"""TIFF files: tiled or in strips, with levels as pages or as sub-images, OME-TIFF among them."""

import logging
import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from glomseg.errors import GlomsegError, InvalidInputError, UnsafeFileError
from glomseg.slides.levels import FileFacts, Size
from glomseg.slides.resolution import in_um, mpp_from_density

_CACHE_BYTES = 128 * 2**20
_MAX_SEGMENT_PIXELS = 2**26
"""A tile or strip with more pixels (8192 x 8192) is refused: it can only be decoded whole."""

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = (6, 7, 33007)
_UNITS = {2: "inch", 3: "cm"}  # 1 is "no unit"


def is_tiff(path: Path) -> bool:
    """Return whether a file begins like a TIFF or BigTIFF."""
    with open(path, "rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class TiffLevels:
    """The levels of a TIFF file, decoded tile by tile. For its properties and methods see `Levels`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        logger = logging.getLogger("tifffile")
        if not logger.handlers:  # what it logs about damaged files comes as an error or not at all
            logger.addHandler(logging.NullHandler())
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[int, int], NDArray[np.uint8] | None] = OrderedDict()
        self._cached_bytes = 0
        try:
            self._file = tifffile.TiffFile(path)
        except Exception as error:  # struct.error, OverflowError and others on damage
            raise self._damaged(error) from error
        try:
            self._pages = self._find_pages()
            self.sizes_px: tuple[Size, ...] = tuple((page.imagewidth, page.imagelength) for page in self._pages)
            self.is_in_strips = not self._pages[0].is_tiled
            self.facts = _facts(self._file, self._pages[0])
        except GlomsegError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise self._damaged(error) from error

    def _find_pages(self) -> list[Any]:
        """Return the pages of the largest picture and of its smaller levels."""
        series = [item for item in self._file.series if "Y" in item.axes and "X" in item.axes and item.size > 0]
        if not series:
            raise InvalidInputError(f"slide {str(self._path)!r} is a TIFF file without a picture in it")
        main = max(series, key=lambda item: item.sizes["height"] * item.sizes["width"])
        first = main.levels[0].keyframe
        refusal = _why_no_slide(main, first)
        if refusal:
            raise InvalidInputError(
                f"slide {str(self._path)!r} is not a brightfield colour slide: {refusal}; "
                "export it as RGB with 8 bits a channel"
            )
        pages = [first]
        others = [item.keyframe for item in main.levels[1:]]
        others += [item.levels[0].keyframe for item in series if item is not main and item.levels[0].keyframe.is_tiled]
        for page in sorted(others, key=lambda item: -item.imagewidth):
            if _is_level_of(page, pages[-1], first):
                pages.append(page)
        for page in pages:
            self._check(page)
        return pages

    def _check(self, page: Any) -> None:
        """Raise if the tiles of a page cannot be what the page says."""
        if page.compression not in tifffile.TIFF.DECOMPRESSORS:
            raise InvalidInputError(
                f"slide {str(self._path)!r} is compressed in a way that cannot be read (TIFF compression "
                f"{int(page.compression)}); export it with JPEG, JPEG 2000, LZW or deflate compression"
            )
        width, height = _segment_size(page)
        if width * height > _MAX_SEGMENT_PIXELS:
            raise UnsafeFileError(
                f"slide {str(self._path)!r} is stored in pieces of {width} x {height} pixels, which can only be "
                f"decoded whole, and more than {_MAX_SEGMENT_PIXELS:,} pixels are refused: save it as a tiled TIFF "
                "(vips tiffsave --tile --pyramid)"
            )
        planes = page.samplesperpixel if page.planarconfig == 2 else 1
        n_segments = -(-page.imagewidth // width) * -(-page.imagelength // height) * planes
        offsets, counts = np.array(page.dataoffsets, dtype=object), np.array(page.databytecounts, dtype=object)
        size = self._file.filehandle.size
        if len(offsets) < n_segments or len(counts) < n_segments:
            raise self._damaged(f"{n_segments:,} pieces are needed and {min(len(offsets), len(counts)):,} are listed")
        n_beyond = int((offsets + counts > size).sum())
        if n_beyond:
            raise self._damaged(f"{n_beyond:,} of its {n_segments:,} pieces lie beyond its end at {size:,} bytes")

    def read(self, level: int, x: int, y: int, *, width: int, height: int) -> NDArray[np.uint8]:
        """Return a box of a level as RGB, or RGBA where parts have no pixels."""
        segment_width, segment_height = _segment_size(self._pages[level])
        result = np.empty((height, width, 3), np.uint8)
        opacity: NDArray[np.uint8] | None = None
        for row in range(y // segment_height, -(-(y + height) // segment_height)):
            for column in range(x // segment_width, -(-(x + width) // segment_width)):
                left, top = column * segment_width, row * segment_height
                rows = slice(max(top - y, 0), min(top + segment_height - y, height))
                columns = slice(max(left - x, 0), min(left + segment_width - x, width))
                pixels = self._segment(level, row, column)
                if pixels is None or pixels.shape[2] == 4:
                    opacity = np.full((height, width), 255, np.uint8) if opacity is None else opacity
                    opacity[rows, columns] = 0
                if pixels is None:  # left out of the file: nothing was scanned there
                    result[rows, columns] = 0
                    continue
                piece = pixels[
                    rows.start + y - top : rows.stop + y - top, columns.start + x - left : columns.stop + x - left
                ]
                result[rows, columns] = piece[..., :3]
                if opacity is not None and pixels.shape[2] == 4:
                    opacity[rows, columns] = piece[..., 3]
        return result if opacity is None else np.dstack([result, opacity])

    def _segment(self, level: int, row: int, column: int) -> NDArray[np.uint8] | None:
        """Return a tile or strip as (h, w, 3 or 4), or None where the file leaves it out."""
        page = self._pages[level]
        segment_width, segment_height = _segment_size(page)
        across, down = -(-page.imagewidth // segment_width), -(-page.imagelength // segment_height)
        index = row * across + column
        with self._lock:
            if (level, index) in self._cache:
                self._cache.move_to_end((level, index))
                return self._cache[level, index]
        planes = range(page.samplesperpixel) if page.planarconfig == 2 else range(1)
        parts = [self._decode(page, index + plane * across * down) for plane in planes]
        present = [part for part in parts if part is not None]
        pixels = None if len(present) < len(parts) else _as_color(_together(present), page)
        height = min(segment_height, page.imagelength - row * segment_height)
        width = min(segment_width, page.imagewidth - column * segment_width)
        if pixels is not None and (pixels.shape[0] < height or pixels.shape[1] < width):
            raise self._damaged(f"its piece {index} has {pixels.shape[1]} x {pixels.shape[0]} pixels")
        with self._lock:
            if (level, index) not in self._cache:  # another thread may have been quicker
                self._cache[level, index] = pixels
                self._cached_bytes += 0 if pixels is None else pixels.nbytes
            while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
                _, oldest = self._cache.popitem(last=False)
                self._cached_bytes -= 0 if oldest is None else oldest.nbytes
        return pixels

    def _decode(self, page: Any, index: int) -> NDArray[np.uint8] | None:
        """Return a tile or strip as (h, w, samples) uint8."""
        offset, count = int(page.dataoffsets[index]), int(page.databytecounts[index])
        if count == 0:
            return None
        try:
            with self._lock:
                self._file.filehandle.seek(offset)
                data = self._file.filehandle.read(count)
            decoded, _, _ = page.decode(data, index, jpegtables=page.jpegtables)
            pixels: NDArray[np.uint8] = decoded[0]
            if pixels.dtype == bool:
                pixels = pixels.astype(np.uint8) * 255
            return pixels
        except Exception as error:  # the decoders raise what they like
            raise self._damaged(f"its piece {index} at byte {offset:,} cannot be decoded: {error}") from error

    def _damaged(self, error: object) -> InvalidInputError:
        return InvalidInputError(
            f"slide {str(self._path)!r} is damaged: {error}; it was probably cut off while it was copied: copy it again"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _segment_size(page: Any) -> Size:
    """Return (width, height) of a page's tiles or strips."""
    if page.is_tiled:
        return int(page.tilewidth), int(page.tilelength)
    return int(page.imagewidth), min(int(page.rowsperstrip), int(page.imagelength))


def _why_no_slide(series: Any, page: Any) -> str:
    """Return what is wrong with a picture as a slide, or nothing."""
    others = {axis: n for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS" and n > 1}
    if others:
        names = {"C": "channels", "Z": "focal planes", "T": "times"}
        listed = " and ".join(f"{n} {names.get(axis, f'pictures ({axis})')}" for axis, n in others.items())
        return f"it holds {listed}, as fluorescence images and stacks do"
    if page.dtype not in (np.dtype(np.uint8), np.dtype(bool)):
        return f"its pixels are {page.dtype or 'of an unknown type'}, not 8 bits a channel"
    samples, photometric = page.samplesperpixel, page.photometric
    if photometric == _PALETTE and np.shape(page.colormap) != (3, 2**page.bitspersample):
        return "it has indices of colours, but not the colours"
    if photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK, _PALETTE) and samples == 1:
        return ""
    if photometric == _RGB and samples in (3, 4):
        return ""
    if photometric == _YCBCR and samples == 3 and page.compression in _JPEG:
        return ""
    return f"its colours are stored as {getattr(photometric, 'name', photometric)} with {samples} samples a pixel"


def _is_level_of(page: Any, finer: Any, first: Any) -> bool:
    """Return whether a page can be `first` in fewer pixels than `finer`."""
    if page.imagewidth < 1 or page.imagelength < 1:
        return False
    if page.imagewidth >= finer.imagewidth or page.imagelength >= finer.imagelength:
        return False
    if (page.photometric, page.dtype, page.samplesperpixel) != (first.photometric, first.dtype, first.samplesperpixel):
        return False
    # Equal in shape, to within a pixel of the smaller one.
    skew = int(page.imagewidth) * int(first.imagelength) - int(page.imagelength) * int(first.imagewidth)
    return abs(skew) <= max(int(first.imagewidth), int(first.imagelength))


def _together(planes: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)


def _as_color(pixels: NDArray[np.uint8], page: Any) -> NDArray[np.uint8]:
    """Return (h, w, samples) as stored as (h, w, 3) RGB or (h, w, 4) RGBA."""
    if page.photometric == _PALETTE:
        colors = np.asarray(page.colormap)
        colors = (colors >> 8 if colors.max() > 255 else colors).astype(np.uint8)
        return np.ascontiguousarray(colors.T[pixels[..., 0]])
    if page.photometric == _MIN_IS_WHITE:
        pixels = 255 - pixels
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _facts(file: Any, page: Any) -> FileFacts:
    mpp, source = (_ome_mpp(file.ome_metadata, page), "OME metadata") if file.is_ome else (None, "")
    if mpp is None:
        mpp, source = _aperio_mpp(page.description), "description"
    if mpp is None:
        mpp, source = _tag_mpp(page), "resolution tags"
    profile = page.tags.get("InterColorProfile")
    return FileFacts(
        file_format="OME-TIFF" if file.is_ome else "TIFF",
        mpp_xy=mpp,
        mpp_source=source,
        icc_profile=bytes(profile.value) if profile is not None else None,
        notes=("the file is grey, without colours",) if page.photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK) else (),
    )


def _ome_mpp(xml: str | None, page: Any) -> tuple[float, float] | None:
    """Return what the <Pixels> of the page's size state."""
    for pixels in re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", xml or ""):
        attributes = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', pixels))
        if attributes.get("SizeX") != str(page.imagewidth) or attributes.get("SizeY") != str(page.imagelength):
            continue
        try:
            x = in_um(float(attributes["PhysicalSizeX"]), attributes.get("PhysicalSizeXUnit", "um"))
            y = in_um(float(attributes["PhysicalSizeY"]), attributes.get("PhysicalSizeYUnit", "um"))
        except (KeyError, ValueError):
            continue
        if x and y:
            return x, y
    return None


def _aperio_mpp(description: str) -> tuple[float, float] | None:
    found = re.search(r"^Aperio.*\|\s*MPP\s*=\s*([0-9.]+)", description, flags=re.DOTALL)
    try:
        return None if found is None else (float(found[1]), float(found[1]))
    except ValueError:
        return None


def _tag_mpp(page: Any) -> tuple[float, float] | None:
    """Return what the resolution tags state, if they have a unit."""
    tags = page.tags
    unit = _UNITS.get(int(tags["ResolutionUnit"].value)) if "ResolutionUnit" in tags else None
    if unit is None or "XResolution" not in tags or "YResolution" not in tags:
        return None
    try:
        x, y = (top / bottom for top, bottom in (tags["XResolution"].value, tags["YResolution"].value))
    except (ZeroDivisionError, TypeError, ValueError):
        return None
    return mpp_from_density(x, y, unit)
