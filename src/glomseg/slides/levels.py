"""What a reader of one kind of file gives: levels, their pixels as stored, and what the file says of itself."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glomseg.types import Color

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a file says of itself.

    Attributes
    ----------
    file_format
        In words: "aperio", "generic-tiff", "OME-TIFF", "PNG" and others.
    mpp_xy
        Micrometres per pixel of full resolution, along x and along y, as the file states them; None where it does not.
    mpp_source
        Where that was found, for messages: "resolution tags".
    objective_power
        As text, where the file has one. It is no mpp: the camera behind the objective decides too.
    background
        Colour of the empty glass as stored, or None where the file does not say.
    icc_profile
        The bytes of the colour profile, or None.
    notes
        What else a user has to know, in sentences.
    """

    file_format: str
    mpp_xy: tuple[float, float] | None = None
    mpp_source: str = ""
    objective_power: str | None = None
    background: Color | None = None
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()


class Levels(Protocol):
    """The levels of one file, each the same picture in fewer pixels."""

    @property
    def facts(self) -> FileFacts:
        """What the file says of itself."""

    @property
    def sizes_px(self) -> tuple[Size, ...]:
        """(width, height) of every level, the finest first."""

    @property
    def is_in_strips(self) -> bool:
        """Whether the file is stored in rows, so that a narrow region costs as much as a wide one."""

    def read(self, level: int, x: int, y: int, *, width: int, height: int) -> NDArray[np.uint8]:
        """Return a box within one level, in that level's pixels, as (height, width, 3) RGB.

        Where a part of it has no pixels, or transparent ones, a fourth channel is their opacity (not premultiplied).
        May be called by several threads at once.

        Raises
        ------
        InvalidInputError
            If the pixels are damaged.
        """

    def close(self) -> None:
        """Close the file."""


def level_downsamples(sizes_px: tuple[Size, ...]) -> tuple[tuple[float, float], ...]:
    """Return for each level how many pixels of the finest lie along x and along y of one of its pixels.

    Conventions
    -----------
    Writers shrink by a whole number and round the size, so that 4443 pixels become 2221, yet their pixels are two
    apart, not 4443 / 2221 = 2.0005 (which OpenSlide takes): at the far edge that is half a pixel. Where rounding
    explains the size, the whole number is taken, and else the ratio of the sizes.
    """
    (full_width, full_height), *_ = sizes_px
    result = []
    for width, height in sizes_px:
        whole = round(full_width / width)
        if _is_rounded(full_width, width, whole) and _is_rounded(full_height, height, whole):
            result.append((float(whole), float(whole)))
        else:
            result.append((full_width / width, full_height / height))
    return tuple(result)


def _is_rounded(full: int, size: int, whole: int) -> bool:
    return size in (full // whole, -(-full // whole))
