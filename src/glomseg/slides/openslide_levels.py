"""Files that OpenSlide reads: SVS, NDPI, MRXS, SCN, BIF, DICOM and others."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openslide
from numpy.typing import NDArray
from openslide import OpenSlideError

from glomseg.errors import InvalidInputError
from glomseg.slides.levels import FileFacts, Size
from glomseg.types import Color

_CACHE_BYTES = 128 * 2**20
_BLOCK_PX = 256


def detect_vendor(path: Path) -> str | None:
    """Return OpenSlide's name for the format of a file ("aperio"), or None where it knows none."""
    try:
        vendor: str | None = openslide.OpenSlide.detect_format(path)
    except OpenSlideError:
        return None
    return vendor


class OpenSlideLevels:
    """The levels of a file that OpenSlide reads. For its properties and methods see `Levels`."""

    is_in_strips = False

    def __init__(self, path: Path) -> None:
        try:
            self._slide = openslide.OpenSlide(path)
            self._slide.set_cache(openslide.OpenSlideCache(_CACHE_BYTES))
            self.sizes_px: tuple[Size, ...] = self._slide.level_dimensions
            self._downsamples: tuple[float, ...] = self._slide.level_downsamples
            self.facts = _facts(self._slide)
        except OpenSlideError as error:
            raise InvalidInputError(
                f"slide {str(path)!r} cannot be opened: {error}; it is damaged or files that belong to it are missing: "
                "copy it again, with the folder of the same name if it has one"
            ) from error
        self._path = path

    def read(self, level: int, x: int, y: int, *, width: int, height: int) -> NDArray[np.uint8]:
        """Return a box of a level as RGB, or RGBA where parts have no pixels."""
        if self._downsamples[level].is_integer():
            pixels = self._read(level, x, y, width, height)
        else:
            pixels = self._read_in_blocks(level, x, y, width, height)
        if cv2.extractChannel(pixels, 3).min() == 255:
            return cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)  # type: ignore[return-value]
        return pixels

    def _read_in_blocks(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a box out of blocks that lie where they always lie.

        OpenSlide takes a place in whole pixels of full resolution. Where the downsampling is no whole number that
        hits a level's pixel by a fraction only, and OpenSlide interpolates by it. In fixed blocks a pixel is at
        least the same whichever box it is asked for in.
        """
        result = np.empty((height, width, 4), np.uint8)
        level_width, level_height = self.sizes_px[level]
        for top in range(y // _BLOCK_PX * _BLOCK_PX, y + height, _BLOCK_PX):
            for left in range(x // _BLOCK_PX * _BLOCK_PX, x + width, _BLOCK_PX):
                right, bottom = min(left + _BLOCK_PX, level_width), min(top + _BLOCK_PX, level_height)
                block = self._read(level, left, top, right - left, bottom - top)
                rows = slice(max(top, y), min(bottom, y + height))
                columns = slice(max(left, x), min(right, x + width))
                result[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x] = block[
                    rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
                ]
        return result

    def _read(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        downsample = self._downsamples[level]
        try:
            image = self._slide.read_region((round(x * downsample), round(y * downsample)), level, (width, height))
        except OpenSlideError as error:
            raise InvalidInputError(
                f"slide {str(self._path)!r} is damaged: its level {level} cannot be read at ({x}, {y}): {error}; "
                "it was probably cut off while it was copied: copy it again"
            ) from error
        return np.asarray(image)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


def _facts(slide: Any) -> FileFacts:
    properties = slide.properties
    return FileFacts(
        file_format=properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown"),
        mpp_xy=_mpp(properties),
        mpp_source="properties",
        objective_power=properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER),
        background=_color(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR)),
        icc_profile=slide.read_region((0, 0), 0, (0, 0)).info.get("icc_profile"),
    )


def _mpp(properties: Any) -> tuple[float, float] | None:
    try:
        return float(properties[openslide.PROPERTY_NAME_MPP_X]), float(properties[openslide.PROPERTY_NAME_MPP_Y])
    except (KeyError, ValueError):
        return None


def _color(text: str | None) -> Color | None:
    """Return the colour that OpenSlide writes as RRGGBB."""
    try:
        red, green, blue = bytes.fromhex(text or "")
    except ValueError:
        return None
    return red, green, blue
