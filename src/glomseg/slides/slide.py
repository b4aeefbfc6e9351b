"""What every slide can do, whatever file it is in."""

from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from glomseg.types import Color, Region


class Slide(Protocol):
    """An image too large to be held in memory, read region by region at any resolution."""

    @property
    def path(self) -> Path:
        """The file it is read from."""

    @property
    def file_format(self) -> str:
        """What kind of file it is: "aperio", "OME-TIFF", "PNG" and others."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) in pixels of full resolution."""

    @property
    def level_sizes_px(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of every level in the file, the finest first; `read` chooses among them by itself."""

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of full resolution; None where neither the file nor the user tells."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know about the file, in sentences: an anisotropic or implausible mpp, say."""

    @property
    def background(self) -> Color:
        """Colour of the empty glass, which also stands where the file holds no pixels."""

    def read(self, region: Region, *, mpp: float | None = None, downsample: float | None = None) -> NDArray[np.uint8]:
        """Return a region as (h, w, 3) uint8 RGB, each pixel the mean over its area of the slide.

        What lies beyond the slide is background, and so is what the file leaves out. Enlarging is bilinear. Several
        threads may read at once. The result's size is that of the region divided by the
        downsampling, rounded; a pixel's value depends on its own area alone, not on the region it was read with.

        Parameters
        ----------
        region
            In pixels of full resolution.
        mpp
            Micrometres per pixel of the result.
        downsample
            Pixels of full resolution per pixel of the result, in place of `mpp`; 1 where neither is given.

        Raises
        ------
        InvalidInputError
            If `mpp` is given but the slide's own is not known, both are given, the region has no area, or pixels of the
            file are damaged.
        """

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
