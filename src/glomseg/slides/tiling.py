"""A working image in cells: which windows of it are read, and which of them meet tissue. No pixels are touched."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glomseg.errors import InvalidInputError
from glomseg.slides.tissue import Tissue
from glomseg.types import Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a grid over a working image, in working pixels.

    Cells share out the image among themselves without gap or overlap; what is known of a pixel comes from its cell
    alone. The window around it, which is what is read, reaches further by a margin, and is always of one size.

    Attributes
    ----------
    row, column
        Its upper left pixel.
    height, width
        Its size; smaller than that of others where the image ends.
    window_px
        Side of the square window.
    margin_px
        How far the window begins above and to the left of the cell.
    """

    row: int
    column: int
    height: int
    width: int
    window_px: int
    margin_px: int

    def region(self, *, downsample: float) -> Region:
        """Return the window in pixels of full resolution; parts of it may lie beyond the slide.

        Parameters
        ----------
        downsample
            Pixels of full resolution per working pixel.
        """
        return Region(
            x=(self.column - self.margin_px) * downsample,
            y=(self.row - self.margin_px) * downsample,
            width=self.window_px * downsample,
            height=self.window_px * downsample,
        )

    @property
    def in_window(self) -> tuple[slice, slice]:
        """Rows and columns of the cell's own pixels within the window."""
        start = self.margin_px
        return slice(start, start + self.height), slice(start, start + self.width)

    @property
    def in_image(self) -> tuple[slice, slice]:
        """Rows and columns of the cell within the working image."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)


def grid_cells(height: int, width: int, *, window_px: int, margin_px: int = 0) -> tuple[Cell, ...]:
    """Return the cells that share out a working image, row by row.

    Parameters
    ----------
    height, width
        Of the working image.
    window_px
        Side of the windows.
    margin_px
        How much of a window, on each side, serves as context only.

    Raises
    ------
    InvalidInputError
        If a side is not positive, or the margins leave nothing of a window.
    """
    cell_px = window_px - 2 * margin_px
    if height < 1 or width < 1 or margin_px < 0 or cell_px < 1:
        raise InvalidInputError(
            f"an image of {height} x {width} pixels cannot be shared out among windows of {window_px} pixels with "
            f"margins of {margin_px}: sides have to be positive, and a window larger than its two margins"
        )
    return tuple(
        Cell(
            row=row,
            column=column,
            height=min(cell_px, height - row),
            width=min(cell_px, width - column),
            window_px=window_px,
            margin_px=margin_px,
        )
        for row in range(0, height, cell_px)
        for column in range(0, width, cell_px)
    )


def cells_with_tissue(
    cells: Sequence[Cell], tissue: Tissue, *, downsample: float, min_share: float = 0.0
) -> tuple[Cell, ...]:
    """Return the cells that meet tissue, in their order.

    Parameters
    ----------
    cells
        Of a working image.
    tissue
        Of the same slide.
    downsample
        Pixels of full resolution per working pixel.
    min_share
        Only cells of which more than this share is tissue, as far as pixels of the tissue's mask tell. With 0 every
        cell that touches one is taken.
    """
    # sums[r, c] is the number of tissue pixels above row r and left of column c.
    sums = np.zeros((tissue.mask.shape[0] + 1, tissue.mask.shape[1] + 1), np.int64)
    sums[1:, 1:] = tissue.mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    ratio = downsample / tissue.downsample
    chosen = []
    for cell in cells:
        top, bottom = _mask_span(cell.row, cell.height, ratio, tissue.mask.shape[0])
        left, right = _mask_span(cell.column, cell.width, ratio, tissue.mask.shape[1])
        n_tissue = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        if n_tissue > min_share * (bottom - top) * (right - left):
            chosen.append(cell)
    return tuple(chosen)


def _mask_span(start: int, length: int, ratio: float, n: int) -> tuple[int, int]:
    """Return the first pixel of the mask that a cell touches, and the one after the last."""
    # A cell that ends on a pixel's border does not touch the next one, whatever the last digits say.
    first, end = np.floor(start * ratio + 1e-6), np.ceil((start + length) * ratio - 1e-6)
    return int(np.clip(first, 0, n - 1)), int(np.clip(end, 1, n))
