"""Scales, windows, weights and what is read for them."""

import dataclasses

import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.inference.slide_grid import (
    blend_weights,
    slide_grid,
    tiles_of_band,
    tiles_up_to_band,
    working_downsample,
)
from glomseg.types import GLOMERULUS, Inference, ModelCard, Scaling

CARD = ModelCard(architecture="none", classes=GLOMERULUS)
SMALL = Inference(window_px=(8, 8), stride_px=(6, 6))


def card(**scaling):
    return dataclasses.replace(CARD, scaling=Scaling(**scaling))


@pytest.mark.parametrize(
    ("made", "slide_mpp", "working_mpp", "downsample"),
    [
        (card(mpp=2.0), 0.25, None, 8),
        (card(mpp=2.0, factor=0.5), 0.5, None, 4),
        (card(mpp=2.0), 0.25, 1.0, 4),  # the user knows better
        (card(factor=0.25), None, None, 4),
        (card(factor=0.25), 0.5, None, 4),  # nobody knows at which mpp it learnt
        (dataclasses.replace(card(factor=0.25), trained_on={"mpp": 0.5}), 0.25, None, 8),
        (card(fit_px=(320, 240)), 0.5, 2.0, 4),
    ],
)
def test_the_scale_is_the_cards(made, slide_mpp, working_mpp, downsample):
    assert working_downsample(made, slide_mpp=slide_mpp, working_mpp=working_mpp) == downsample


@pytest.mark.parametrize(
    ("made", "slide_mpp", "working_mpp", "reasons"),
    [
        (card(mpp=2.0), None, None, ["not known", "2 um per pixel", "--mpp"]),
        (card(), None, 2.0, ["--mpp"]),
        (card(fit_px=(320, 240)), 0.5, None, ["320x240", "--working-mpp", "2.13"]),
        (dataclasses.replace(card(fit_px=(9, 9)), trained_on={"mpp": 0.5}), 0.5, None, ["tiles of 0.5 um per pixel"]),
        (card(mpp=2.0), 0.001, None, ["--mpp", "--working-mpp", "1/2000"]),
        (card(mpp=2.0), 30.0, None, ["wrong"]),
    ],
)
def test_a_scale_that_cannot_be_told_is_refused_with_the_option_that_tells_it(made, slide_mpp, working_mpp, reasons):
    with pytest.raises(InvalidInputError) as refused:
        working_downsample(made, slide_mpp=slide_mpp, working_mpp=working_mpp)
    for reason in reasons:
        assert reason in str(refused.value)


def test_windows_cover_the_slide_and_show_nothing_beyond_it():
    grid = slide_grid((60, 41), downsample=2, inference=SMALL)
    assert (grid.height, grid.width) == (21, 30)  # 20.5 is rounded up
    assert grid.rows == ((0, 8), (6, 14), (12, 20), (13, 21))
    assert grid.columns[-1] == (22, 30)
    assert grid.chosen.all()
    assert [grid.finished_rows(band) for band in range(4)] == [(0, 6), (6, 12), (12, 13), (13, 21)]


def test_a_slide_smaller_than_a_window_is_one_window():
    grid = slide_grid((5, 20), downsample=1, inference=SMALL)
    assert grid.window_px == (8, 5)
    assert grid.columns == ((0, 5),)
    tiny = slide_grid((1, 1), downsample=8, inference=Inference())
    assert (tiny.window_px, tiny.rows, tiny.columns) == ((1, 1), ((0, 1),), ((0, 1),))


def test_a_model_without_windows_gets_512_with_a_quarter_shared():
    grid = slide_grid((2000, 600), downsample=1, inference=Inference())
    assert grid.rows == ((0, 512), (88, 600))
    assert grid.columns[:2] == ((0, 512), (384, 896))


def test_windows_that_meet_tissue_are_chosen():
    tissue = np.zeros((6, 6), np.bool_)  # a tissue pixel is 4 working pixels
    tissue[2, 2] = True  # rows and columns 8 to 12
    grid = slide_grid((24, 24), downsample=1, inference=SMALL, tissue=tissue, tissue_downsample=4.0)
    brute = [
        [bool(tissue[top // 4 : -(-bottom // 4), left // 4 : -(-right // 4)].any()) for left, right in grid.columns]
        for top, bottom in grid.rows
    ]
    assert grid.chosen.tolist() == brute
    assert grid.chosen.sum() == 1
    assert grid.windows(1) == [(6, 14)]
    assert not slide_grid(
        (24, 24), downsample=1, inference=SMALL, tissue=np.zeros((3, 3), np.bool_), tissue_downsample=8.0
    ).chosen.any()


def test_weights_are_smooth_symmetric_and_never_zero():
    weights = blend_weights(512)
    assert weights.dtype == np.float32
    assert weights.min() > 0.009
    assert 0.99 < weights.max() <= 1
    assert np.array_equal(weights, weights[::-1])
    assert np.abs(np.diff(weights)).max() < 0.01
    assert blend_weights(1) == 1


@pytest.mark.parametrize("tile_px", [5, 8, 1000])
@pytest.mark.parametrize("stride", [2, 6, 8])
@pytest.mark.parametrize("first_band", [0, 2])
def test_every_pixel_of_a_chosen_window_is_read_once_and_in_time(tile_px, stride, first_band):
    rng = np.random.default_rng(stride)
    grid = slide_grid((50, 39), downsample=1, inference=Inference(window_px=(8, 8), stride_px=(stride, stride)))
    grid = dataclasses.replace(grid, chosen=rng.random(grid.chosen.shape) < 0.2)
    n_read = np.zeros((grid.height, grid.width), int)
    needed = np.zeros_like(n_read, dtype=bool)
    for band in range(first_band, len(grid.rows)):
        tiles = (tiles_up_to_band if band == first_band else tiles_of_band)(grid, band, tile_px=tile_px)
        assert tiles == sorted(tiles, key=lambda tile: tile.left)
        for tile in tiles:
            assert max(tile.bottom - tile.top, tile.right - tile.left) <= tile_px
            assert tile.top < tile.bottom <= grid.rows[band][1]
            assert tile.bottom > grid.rows[band][0]
            n_read[tile.top : tile.bottom, tile.left : tile.right] += 1
        top, bottom = grid.rows[band]
        for left, right in grid.windows(band):
            needed[top:bottom, left:right] = True
            assert n_read[top:bottom, left:right].all()
    assert n_read.max() == 1
    if first_band == 0:
        assert np.array_equal(n_read > 0, needed)
