"""A slide over the levels of a file: the one place where regions, resolutions, colours and gaps are dealt with."""

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.slides.colors import glass_color, lay_on, to_srgb
from glomseg.slides.levels import Levels, Size, level_downsamples
from glomseg.slides.resampling import Weights, area_weights, line_weights, resample
from glomseg.slides.resolution import decide_mpp
from glomseg.types import Color, Region

_BLOCK_SIDE_PX = 2896  # of source pixels that are held at once: 2896 x 2896 are 2^23, 25 MB as RGB
_MAX_BLOCK_PX = 4096
_LEVEL_TOLERANCE = 1.01
_SAMPLE_PX = 256


class PyramidSlide:
    """A slide that is read from the levels of a file. For its properties and methods see `Slide`."""

    def __init__(self, path: Path, levels: Levels, *, mpp: float | None) -> None:
        facts = levels.facts
        self._path, self._levels = path, levels
        self._downsamples = level_downsamples(levels.sizes_px)
        self._mpp, notes = decide_mpp(facts, given=mpp)
        self._to_srgb = None
        if facts.icc_profile:
            try:
                self._to_srgb = to_srgb(facts.icc_profile)
            except ValueError as error:
                notes += (f"the file's colour profile is damaged ({error}); colours are those stored",)
        self._notes = (*facts.notes, *notes)

    @property
    def path(self) -> Path:
        """The file it is read from."""
        return self._path

    @property
    def file_format(self) -> str:
        """What kind of file it is: "aperio", "OME-TIFF", "PNG" and others."""
        return self._levels.facts.file_format

    @property
    def size_px(self) -> Size:
        """(width, height) in pixels of full resolution."""
        return self._levels.sizes_px[0]

    @property
    def level_sizes_px(self) -> tuple[Size, ...]:
        """(width, height) of every level in the file, the finest first."""
        return self._levels.sizes_px

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of full resolution; None where neither the file nor the user tells."""
        return self._mpp

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know about the file, in sentences."""
        return self._notes

    @property
    def background(self) -> Color:
        """Colour of the empty glass, which also stands where the file holds no pixels."""
        red, green, blue = self._convert(np.array(self._stored_background, np.uint8).reshape(1, 1, 3))[0, 0]
        return int(red), int(green), int(blue)

    @cached_property
    def _stored_background(self) -> Color:
        """The background before it is converted to sRGB."""
        stated = self._levels.facts.background
        return glass_color(self._sample_pixels()) if stated is None else stated

    def _sample_pixels(self) -> NDArray[np.uint8]:
        """Return (n, 3) pixels from sixteen places of the coarsest level."""
        level = len(self._downsamples) - 1
        width, height = self._levels.sizes_px[level]
        across, down = min(_SAMPLE_PX, width), min(_SAMPLE_PX, height)
        samples = []
        for y in np.linspace(0, height - down, 4).astype(int):
            for x in np.linspace(0, width - across, 4).astype(int):
                pixels = self._levels.read(level, int(x), int(y), width=across, height=down)
                present = pixels[pixels[..., 3] == 255] if pixels.shape[2] == 4 else pixels.reshape(-1, 3)
                samples.append(present[:, :3])
        return np.concatenate(samples)

    def read(self, region: Region, *, mpp: float | None = None, downsample: float | None = None) -> NDArray[np.uint8]:
        """Return a region as (h, w, 3) uint8 RGB, each pixel the mean over its area of the slide; see `Slide.read`."""
        step = self._chosen_downsample(mpp, downsample)
        if not all(map(math.isfinite, (region.x, region.y))) or not (
            0 < region.width < math.inf and 0 < region.height < math.inf
        ):
            raise InvalidInputError(f"{region} has no area to read")
        width, height = (max(1, math.floor(side / step + 0.5)) for side in (region.width, region.height))
        fitting = [i for i, ratio in enumerate(self._downsamples) if max(ratio) <= step * _LEVEL_TOLERANCE]
        level = fitting[-1] if fitting else 0
        weigh = area_weights if fitting else line_weights
        axes = []
        for start, n, axis in ((region.y, height, 1), (region.x, width, 0)):
            ratio, n_source = self._downsamples[level][axis], self._levels.sizes_px[level][axis]
            extent = self.size_px[axis] / ratio
            axes.append(weigh(start / ratio, step / ratio, n=n, n_source=n_source, extent=extent))
        rows, columns = axes
        result = np.empty((height, width, 3), np.uint8)
        for block_rows, block_columns in self._blocks(level, result.shape, step):
            result[block_rows, block_columns] = self._read_block(
                level,
                rows.part(block_rows.start, block_rows.stop),
                columns.part(block_columns.start, block_columns.stop),
            )
        return result

    def _chosen_downsample(self, mpp: float | None, downsample: float | None) -> float:
        if mpp is not None and downsample is not None:
            raise InvalidInputError("a slide is read at an mpp or at a downsample, and both were given")
        if mpp is None:
            step, given = (1.0 if downsample is None else downsample), f"downsample {downsample}"
        elif self.mpp is None:
            raise InvalidInputError(
                f"slide {str(self.path)!r} cannot be read at {mpp:g} um per pixel, since its own resolution is not "
                "known; give its mpp when it is opened"
            )
        else:
            step, given = mpp / self.mpp, f"mpp {mpp}"
        if not (math.isfinite(step) and step > 0):
            raise InvalidInputError(f"{given} is not a positive number")
        return step

    def _blocks(self, level: int, shape: tuple[int, ...], step: float) -> Iterator[tuple[slice, slice]]:
        """Yield rows and columns of a result in parts whose source pixels fit in memory."""
        height, width = shape[:2]
        step_x, step_y = (step / ratio for ratio in self._downsamples[level])
        across = min(_MAX_BLOCK_PX, max(1, int(_BLOCK_SIDE_PX / step_x)))
        down = min(_MAX_BLOCK_PX, max(1, int(_BLOCK_SIDE_PX / step_y)))
        if self._levels.is_in_strips:  # a strip is decoded whole: use it at once
            down = max(1, across * down // width)
            across = width
        for top in range(0, height, down):
            for left in range(0, width, across):
                yield slice(top, min(top + down, height)), slice(left, min(left + across, width))

    def _read_block(self, level: int, rows: Weights, columns: Weights) -> NDArray[np.uint8]:
        (top, bottom), (left, right) = rows.span, columns.span
        if top == bottom or left == right:  # beside the slide
            pixels = np.empty((0, 0, 3), np.uint8)
        else:
            pixels = self._levels.read(level, left, top, width=right - left, height=bottom - top)
        if pixels.shape[2] == 4:
            pixels = lay_on(pixels, self._stored_background)
        is_inside = rows.is_covered and columns.is_covered
        fill = np.array((0, 0, 0) if is_inside else self._stored_background, np.float64)
        return self._convert(resample(pixels, rows, columns, origin=(top, left), fill=fill))

    def _convert(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return pixels as stored in sRGB."""
        return pixels if self._to_srgb is None else self._to_srgb(pixels)

    def close(self) -> None:
        """Close the file."""
        self._levels.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
