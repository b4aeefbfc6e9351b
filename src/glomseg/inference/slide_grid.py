"""Where a slide is read and predicted: its working pixels, the windows over its tissue, and the tiles to read."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.inference.windows import window_spans
from glomseg.types import Inference, ModelCard

DEFAULT_WINDOW_PX, DEFAULT_STRIDE_PX = 512, 384
"""For models whose card names no window: a quarter of each window is shared with the next; docs/predict.md says why."""

_FLOOR = 0.01  # of the blend weights, so that no predicted pixel is without one
_DOWNSAMPLE_LIMITS = 0.1, 1000.0

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideGrid:
    """The windows in which a slide is predicted, in working pixels from the slide's upper left corner.

    Attributes
    ----------
    downsample
        Pixels of full resolution per working pixel.
    height, width
        Of the slide, in working pixels.
    rows, columns
        (start, end) of the windows along both sides: every pair of them is a window.
    chosen
        (rows, columns) bool, which windows are predicted: those that meet tissue.
    """

    downsample: float
    height: int
    width: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    chosen: NDArray[np.bool_]

    @property
    def window_px(self) -> tuple[int, int]:
        """(height, width) of every window: smaller than the network's own where the slide is."""
        return self.rows[0][1] - self.rows[0][0], self.columns[0][1] - self.columns[0][0]

    def windows(self, band: int) -> list[Span]:
        """Return (left, right) of the chosen windows in one row of windows, from left to right."""
        return [self.columns[index] for index in np.flatnonzero(self.chosen[band])]

    def finished_rows(self, band: int) -> Span:
        """Return (top, bottom) of the rows that no band after this one changes."""
        top = self.rows[band][0]
        return top, self.rows[band + 1][0] if band + 1 < len(self.rows) else self.height


@dataclass(frozen=True, slots=True)
class ReadTile:
    """A rectangle of working pixels that is read at once."""

    top: int
    bottom: int
    left: int
    right: int


def working_downsample(card: ModelCard, *, slide_mpp: float | None, working_mpp: float | None = None) -> float:
    """Return how many pixels of a slide's full resolution make one pixel of the size that a model works at.

    Parameters
    ----------
    card
        Of the model.
    slide_mpp
        Micrometres per pixel of the slide, where known.
    working_mpp
        Micrometres per pixel to work at, in place of what the card says.

    Raises
    ------
    InvalidInputError
        If the slide's mpp is needed and not known, the card cannot tell the scale of a slide, or the result is
        beyond any use.
    """
    working_mpp = _working_mpp(card) if working_mpp is None else working_mpp
    if working_mpp is None:
        downsample = 1 / card.scaling.factor
    elif slide_mpp is None:
        raise InvalidInputError(
            "the micrometres per pixel of the slide are not known, and the model works at "
            f"{working_mpp:g} um per pixel: give the slide's with --mpp (0.25 is a 40x scan, 0.5 a 20x)"
        )
    else:
        downsample = working_mpp / slide_mpp
    if not _DOWNSAMPLE_LIMITS[0] <= downsample <= _DOWNSAMPLE_LIMITS[1]:
        raise InvalidInputError(
            f"a slide of {slide_mpp} um per pixel would be worked on at 1/{downsample:g} of its size; "
            "one of the two scales is wrong: check --mpp (0.25 is a 40x scan, 0.5 a 20x) and --working-mpp"
        )
    return downsample


def _working_mpp(card: ModelCard) -> float | None:
    """Return the micrometres per pixel that a model works at; None where it works at a factor of any image."""
    scaling, trained_mpp = card.scaling, card.trained_on.get("mpp")
    if scaling.fit_px is not None:
        trained = f" of {trained_mpp:g} um per pixel" if isinstance(trained_mpp, (int, float)) else ""
        raise InvalidInputError(
            f"the model was trained on tiles{trained} that were fitted into {scaling.fit_px[0]}x{scaling.fit_px[1]} "
            "pixels whatever their size, so it does not say at which scale to show it a slide: give --working-mpp, the "
            "tiles' micrometres per pixel times their side over the fitted side (tiles of 1024 pixels at 0.5 um per "
            "pixel, fitted to 240: 0.5 x 1024 / 240 = 2.13)"
        )
    if scaling.mpp is not None:
        return scaling.mpp
    return trained_mpp / scaling.factor if isinstance(trained_mpp, (int, float)) else None


def slide_grid(
    size_px: tuple[int, int],
    *,
    downsample: float,
    inference: Inference,
    tissue: NDArray[np.bool_] | None = None,
    tissue_downsample: float = 1.0,
) -> SlideGrid:
    """Return the windows of a slide and which of them meet tissue.

    Windows are one stride apart from the slide's upper left corner on, and the last of a row or column is moved
    back to the end, as in `window_spans`: a window shows nothing beyond the slide.

    Parameters
    ----------
    size_px
        (width, height) of the slide at full resolution.
    downsample
        Pixels of full resolution per working pixel.
    inference
        Its window and stride, where the model has its own.
    tissue
        (h, w) bool, where the slide has tissue; beyond it there is none. None predicts all.
    tissue_downsample
        Pixels of full resolution per pixel of `tissue`.
    """
    height, width = (max(1, math.floor(side / downsample + 0.5)) for side in reversed(size_px))
    window_px = inference.window_px or (DEFAULT_WINDOW_PX, DEFAULT_WINDOW_PX)
    stride_px = inference.stride_px or (DEFAULT_STRIDE_PX, DEFAULT_STRIDE_PX)
    rows = tuple(window_spans(height, window_px=window_px[0], stride_px=stride_px[0]))
    columns = tuple(window_spans(width, window_px=window_px[1], stride_px=stride_px[1]))
    if tissue is None:
        chosen = np.ones((len(rows), len(columns)), np.bool_)
    else:
        chosen = _meeting(tissue, rows, columns, factor=downsample / tissue_downsample)
    return SlideGrid(downsample=downsample, height=height, width=width, rows=rows, columns=columns, chosen=chosen)


def _meeting(
    tissue: NDArray[np.bool_], rows: tuple[Span, ...], columns: tuple[Span, ...], *, factor: float
) -> NDArray[np.bool_]:
    """Return for every window whether it holds any pixel of tissue, from a table of sums."""
    sums = np.pad(tissue.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    tops, bottoms = _scaled(rows, factor, limit=tissue.shape[0])
    lefts, rights = _scaled(columns, factor, limit=tissue.shape[1])
    inside = sums[np.ix_(bottoms, rights)] - sums[np.ix_(tops, rights)]
    inside += sums[np.ix_(tops, lefts)] - sums[np.ix_(bottoms, lefts)]
    met: NDArray[np.bool_] = inside > 0
    return met


def _scaled(spans: tuple[Span, ...], factor: float, *, limit: int) -> tuple[list[int], list[int]]:
    """Return starts and ends in pixels of another resolution, widened to whole ones."""
    starts = [min(math.floor(start * factor), limit) for start, _ in spans]
    return starts, [min(math.ceil(end * factor), limit) for _, end in spans]


def blend_weights(length_px: int) -> NDArray[np.float32]:
    """Return (length,) float32 weights of a window's pixels along one side: highest in its middle, never zero.

    A network sees less around a pixel at a window's border than in its middle, so there the neighbouring window
    should count for more; and a weight that changes smoothly leaves no seam. The weight in two dimensions
    is the product.
    """
    places = (np.arange(length_px) + 0.5) / length_px
    return (_FLOOR + (1 - _FLOOR) * np.sin(np.pi * places) ** 2).astype(np.float32)


def tiles_of_band(grid: SlideGrid, band: int, *, tile_px: int) -> list[ReadTile]:
    """Return what has to be read before a band can be predicted and was not read for those before it.

    Every pixel that a chosen window needs is read once. Rows shared with later bands are read for these too.

    Parameters
    ----------
    grid
        The windows.
    band
        Which row of windows.
    tile_px
        Tiles are cut at multiples of it: the largest side of one.

    Returns
    -------
    From left to right.
    """
    top, bottom = grid.rows[band]
    first_row = max(top, grid.rows[band - 1][1]) if band else top
    taken = np.zeros(grid.width, np.bool_)
    tiles: list[ReadTile] = []
    for later in range(band, len(grid.rows)):
        start = max(first_row, grid.rows[later][0])
        if start >= bottom:
            break
        needed = np.zeros(grid.width, np.bool_)
        for left, right in grid.windows(later):
            needed[left:right] = True
        tiles += [
            ReadTile(top=first, bottom=last, left=left, right=right)
            for run in _runs(needed & ~taken)
            for left, right in _cut(run, tile_px)
            for first, last in _cut((start, bottom), tile_px)
        ]
        taken |= needed
    return sorted(tiles, key=lambda tile: (tile.left, tile.top))


def tiles_up_to_band(grid: SlideGrid, band: int, *, tile_px: int) -> list[ReadTile]:
    """Return what is read where a prediction goes on with a band: its tiles, and earlier ones that reach into it.

    They are the tiles that were read the first time, not smaller ones, for a reader may round the edges of
    a pixel's area differently when it reads another region.
    """
    tiles = [
        tile
        for earlier in range(band + 1)
        if grid.rows[earlier][1] > grid.rows[band][0]
        for tile in tiles_of_band(grid, earlier, tile_px=tile_px)
        if tile.bottom > grid.rows[band][0]
    ]
    return sorted(tiles, key=lambda tile: (tile.left, tile.top))


def _runs(flags: NDArray[np.bool_]) -> list[Span]:
    """Return (start, end) of the stretches that are True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _cut(span: Span, step: int) -> Iterator[Span]:
    """Cut a stretch at the multiples of a step."""
    start, end = span
    for cut in range(start // step * step, end, step):
        yield max(start, cut), min(end, cut + step)
