import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glomseg.errors import InvalidInputError
from glomseg.slides.tiling import cells_with_tissue, grid_cells
from glomseg.slides.tissue import Tissue
from glomseg.types import Region


@given(height=st.integers(1, 90), width=st.integers(1, 90), window_px=st.integers(1, 40), margin_px=st.integers(0, 19))
def test_cells_share_out_the_image_and_lie_in_their_windows(height, width, window_px, margin_px):
    if window_px <= 2 * margin_px:
        return
    times = np.zeros((height, width), int)
    for cell in grid_cells(height, width, window_px=window_px, margin_px=margin_px):
        times[cell.in_image] += 1
        window = np.zeros((window_px, window_px), bool)
        window[cell.in_window] = True
        assert window.sum() == cell.height * cell.width > 0
        region = cell.region(downsample=1.0)
        rows, columns = cell.in_window
        assert (region.y + rows.start, region.x + columns.start) == (cell.row, cell.column)
    assert (times == 1).all()


def test_putting_cells_together_gives_the_image_back():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (53, 71))
    padded = np.pad(image, 40, mode="constant")
    result = np.full_like(image, -1)
    for cell in grid_cells(53, 71, window_px=16, margin_px=3):
        region = cell.region(downsample=1.0)
        window = padded[int(region.y) + 40 :, int(region.x) + 40 :][:16, :16]
        result[cell.in_image] = window[cell.in_window]
    assert np.array_equal(result, image)


def test_a_window_in_full_resolution_by_hand():
    last = grid_cells(100, 150, window_px=64, margin_px=8)[-1]
    assert (last.row, last.column, last.height, last.width) == (96, 144, 4, 6)
    assert last.region(downsample=8.1) == Region(x=136 * 8.1, y=88 * 8.1, width=64 * 8.1, height=64 * 8.1)


@pytest.mark.parametrize(
    "options", [{"window_px": 16, "margin_px": 8}, {"window_px": 0}, {"window_px": 8, "margin_px": -1}]
)
def test_a_grid_of_nothing_is_refused(options):
    with pytest.raises(InvalidInputError, match="cannot be shared out"):
        grid_cells(10, 10, **options)


def tissue_of(*pixels, shape=(10, 10), downsample=16.0):
    mask = np.zeros(shape, bool)
    for row, column in pixels:
        mask[row, column] = True
    return Tissue(mask=mask, downsample=downsample, mpp=None)


def test_only_cells_that_touch_tissue_are_taken():
    cells = grid_cells(40, 40, window_px=10)  # 4 x 4 cells of 40 pixels of full resolution, 2.5 pixels of the mask
    taken = cells_with_tissue(cells, tissue_of((2, 7)), downsample=4.0)
    assert [(cell.row, cell.column) for cell in taken] == [(0, 20), (0, 30), (10, 20), (10, 30)]
    assert cells_with_tissue(cells, tissue_of(), downsample=4.0) == ()


def test_a_cell_that_ends_where_tissue_begins_is_not_taken():
    cells = grid_cells(32, 32, window_px=16)
    taken = cells_with_tissue(cells, tissue_of((1, 1), shape=(2, 2), downsample=1.6), downsample=0.1)
    assert [(cell.row, cell.column) for cell in taken] == [(16, 16)]


def test_a_share_of_tissue_may_be_asked_for():
    cells = grid_cells(8, 8, window_px=4)
    tissue = tissue_of((0, 0), (0, 1), (1, 0), (3, 3), shape=(4, 4), downsample=2.0)  # 3, 0, 0 and 1 of 4
    assert len(cells_with_tissue(cells, tissue, downsample=1.0)) == 2
    assert cells_with_tissue(cells, tissue, downsample=1.0, min_share=0.5) == cells[:1]


@given(seed=st.integers(0, 50))
def test_every_tissue_pixel_is_met_by_a_cell(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(5, 60, 2)
    downsample, mask_downsample = rng.uniform(1, 9, 2)
    shape = [max(1, int(side * downsample / mask_downsample + 0.5)) for side in (height, width)]
    pixel = [int(rng.integers(side)) for side in shape]
    tissue = tissue_of(pixel, shape=shape, downsample=mask_downsample)
    cells = grid_cells(int(height), int(width), window_px=9, margin_px=2)
    assert cells_with_tissue(cells, tissue, downsample=downsample)
