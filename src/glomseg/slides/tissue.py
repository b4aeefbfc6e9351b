"""Where on a slide there is tissue."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glomseg.progress import Progress
from glomseg.slides.colors import glass_color
from glomseg.slides.slide import Slide
from glomseg.slides.strips import read_in_strips
from glomseg.types import Region

_MASK_UM = 8.0
_USUAL_MPP = 0.5  # stands in where a slide's own is not known
_MAX_SIDE_PX = 4096

_FLOOR, _CEILING = 0.045, 0.09
"""Optical densities between which the threshold is chosen. Empty glass with uneven light reaches 0.03; the palest
tissue is seen from about 0.06 on, and above the ceiling the pale parts of strongly stained tissue would be lost."""

_CLOSING_UM, _HOLE_UM2, _LINE_UM, _SPECK_UM2 = 24.0, 200_000.0, 32.0, 5_000.0
"""Gaps that are closed, holes that are filled (a large vessel), and what is dropped: hairs, scratches and edges of the
cover slip, which are lines, and specks (80 um across)."""

_BLACK = 50  # no stain leaves all three channels darker than this over 8 um: ink, or the edge of the glass
_INK_DENSITY, _INK_EXCESS = 0.3, 0.12
_STROKE_UM = 48.0  # ink is drawn broader than this, and no stained structure is as evenly black


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """Where a slide has tissue.

    Attributes
    ----------
    mask
        (h, w) bool, True where there is tissue. Pixel (row, column) covers the square of `downsample` pixels a side
        whose upper left corner is at (x, y) = (column, row) * downsample in full resolution.
    downsample
        Pixels of full resolution along a pixel of the mask; need not be whole.
    mpp
        Micrometres per pixel of full resolution, or None where it is not known.
    """

    mask: NDArray[np.bool_]
    downsample: float
    mpp: float | None

    def share_of(self, region: Region) -> float:
        """Return the share of a region that is tissue, 0 to 1, as far as pixels of the mask tell."""
        top, left = math.floor(region.y / self.downsample), math.floor(region.x / self.downsample)
        bottom = math.ceil((region.y + region.height) / self.downsample)
        right = math.ceil((region.x + region.width) / self.downsample)
        within = self.mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        return float(np.count_nonzero(within)) / ((bottom - top) * (right - left))

    @property
    def area_px(self) -> float:
        """Area of the tissue in pixels of full resolution."""
        return float(self.mask.sum()) * self.downsample**2

    @property
    def area_mm2(self) -> float | None:
        """Area of the tissue in square millimetres, or None where the mpp is not known."""
        return None if self.mpp is None else self.area_px * self.mpp**2 / 1e6


def find_tissue(slide: Slide, *, n_threads: int = 1, progress: Progress | None = None) -> Tissue:
    """Return where a slide has tissue, looked at with 8 um a pixel.

    A pixel is tissue if it absorbs more light than the glass does in the channel where it absorbs most (its optical
    density), by a threshold that Otsu's method chooses within limits: an empty slide has none. Ink and dark edges are
    left out, small holes are filled, specks are dropped. Where the mpp is not known, 0.5 um is taken for it.

    What is doubtful counts as tissue, since a window too many costs a moment, and a window too few a glomerulus.

    Memory does not grow with the slide: it is read in parts, at the level that fits.

    Parameters
    ----------
    slide
        Read by several threads at once.
    n_threads
        Threads that read.
    progress
        Is told of the megapixels of full resolution that are read.

    Raises
    ------
    InvalidInputError
        If pixels of the file are damaged.

    References
    ----------
    N. Otsu, A threshold selection method from gray-level histograms, IEEE Trans. Syst. Man Cybern. 9 (1979).
    """
    width, height = slide.size_px
    mpp = slide.mpp or _USUAL_MPP
    downsample = max(1.0, _MASK_UM / mpp, max(width, height) / _MAX_SIDE_PX)
    whole = Region(x=0, y=0, width=width, height=height)
    pixels = read_in_strips(slide, whole, downsample=downsample, n_threads=n_threads, progress=progress)
    mask = tissue_mask(pixels, mpp=downsample * mpp)
    return Tissue(mask=mask, downsample=downsample, mpp=slide.mpp)


def tissue_mask(pixels: NDArray[np.uint8], *, mpp: float) -> NDArray[np.bool_]:
    """Return which pixels of a picture at low resolution are tissue; see `find_tissue`.

    Parameters
    ----------
    pixels
        (h, w, 3) uint8 RGB.
    mpp
        Micrometres per pixel of `pixels`.
    """
    glass = glass_color(pixels.reshape(-1, 3))
    smooth = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.0), np.uint8)
    red, green, blue = (_densities(smooth[..., channel], glass[channel]) for channel in range(3))
    strongest = np.maximum(np.maximum(red, green), blue)
    mask = strongest > np.clip(_otsu(strongest), _FLOOR, _CEILING)
    mask &= ~_ink(smooth.max(axis=2) < _BLACK, red, green, mask, stroke_px=max(1, round(_STROKE_UM / mpp / 2)))
    closing, opening = (max(1, round(width_um / mpp / 2)) for width_um in (_CLOSING_UM, _LINE_UM))
    border = closing + opening
    mask = np.pad(mask, border, mode="edge")  # tissue goes on beyond the picture
    mask = ndimage.binary_closing(mask, iterations=closing)
    mask = ~_without_small(~mask, area_px=_HOLE_UM2 / mpp**2, keep_at_border=True)
    mask = ndimage.binary_opening(mask, iterations=opening)
    mask = mask[border:-border, border:-border]
    return _without_small(mask, area_px=_SPECK_UM2 / mpp**2, keep_at_border=False)


def _densities(channel: NDArray[np.uint8], glass: int) -> NDArray[np.float32]:
    """Return the optical densities, log10(glass / intensity), of one channel."""
    table = np.log10((glass + 1) / (np.arange(256) + 1)).astype(np.float32)  # + 1: black is not infinitely dense
    return table[channel]


def _otsu(values: NDArray[np.float32]) -> float:
    """Return the threshold that divides values from 0 to 1 with the largest variance between the two parts."""
    levels = np.clip(values * 255, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(threshold) / 255


def _ink(
    black: NDArray[np.bool_],
    red: NDArray[np.float32],
    green: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    stroke_px: int,
) -> NDArray[np.bool_]:
    """Return which pixels are of broad black areas, or of blue or green ink, with a margin around them.

    Most stains of the kidney absorb green most, and inks of these colours red. So does the blue or green of a
    trichrome: unless most of what seems to be tissue absorbs green most, such colours are the stain.
    """
    ink = black
    if (mask & (green >= red)).sum() > mask.sum() / 2:
        ink = black | ((red > _INK_DENSITY) & (red - green > _INK_EXCESS))
    padded = np.pad(ink, stroke_px, mode="edge")  # what reaches the border goes on beyond it
    core = ndimage.binary_erosion(padded, iterations=stroke_px)
    if not core.any():
        return np.zeros_like(ink)
    distance = ndimage.distance_transform_edt(~core)[stroke_px:-stroke_px, stroke_px:-stroke_px]
    return np.asarray(distance <= 2 * stroke_px + 1)


def _without_small(mask: NDArray[np.bool_], *, area_px: float, keep_at_border: bool) -> NDArray[np.bool_]:
    """Return the mask without connected pieces smaller than an area; those at its border are kept if wanted."""
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    kept = stats[:, cv2.CC_STAT_AREA] >= area_px
    if keep_at_border:
        edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        kept[edges] = True
    kept[0] = False
    return kept[labels] if n > 1 else np.zeros_like(mask)
