"""The picture of a whole slide with its objects."""

import numpy as np
import pytest

from glomseg.export.slide_overlay import scale_bar_um, slide_overlay
from glomseg.measure import measure_glomeruli
from glomseg.types import GLOMERULUS, Region

GREEN = GLOMERULUS.colors[1]


def discs(height, width, *places, radius):
    rows, columns = np.ogrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    for row, column in places:
        mask[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = 1
    return mask


def drawn(mask, *, downsample, picture_downsample, mpp=0.5, caption="a slide: 2 objects"):
    found = measure_glomeruli(mask, classes=GLOMERULUS, mpp=mpp, downsample=downsample)
    height, width = (round(side * downsample / picture_downsample) for side in mask.shape)
    picture = np.full((height, width, 3), 240, np.uint8)
    region = Region(x=0, y=0, width=width * picture_downsample, height=height * picture_downsample)
    return slide_overlay(picture, found, region=region, classes=GLOMERULUS, caption=caption, mpp=mpp)


def test_objects_are_tinted_where_they_are_and_numbered_in_their_middle():
    mask = discs(300, 400, (150, 100), (150, 280), radius=40)
    picture = drawn(mask, downsample=4.0, picture_downsample=3.0)
    plain = np.array([240, 240, 240])
    assert picture.shape[1] == 533
    assert picture.shape[0] > 400  # the strip
    at = lambda row, column: picture[round(row * 4 / 3), round(column * 4 / 3)]  # noqa: E731
    for column in (100, 280):
        assert np.array_equal(at(130, column), (0.75 * plain + 0.25 * np.array(GREEN)).round())
    assert np.array_equal(at(150, 190), plain)
    assert np.array_equal(at(30, 200), plain)
    dark = (picture[:400] < 60).all(axis=2)
    assert dark[190:210, 125:142].any()  # the 1, in the middle of the first disc
    assert not dark[100:170, 185:300].any()


def test_a_part_of_a_slide_shows_its_objects_in_their_places():
    mask = discs(200, 300, (100, 150), radius=30)
    found = measure_glomeruli(mask, classes=GLOMERULUS, mpp=0.5, downsample=4.0)
    region = Region(x=400, y=200, width=400, height=400)
    plain = np.full((200, 200, 3), 240, np.uint8)
    picture = slide_overlay(plain, found, region=region, classes=GLOMERULUS, caption="", opacity=1)[:200]
    tinted = (picture == GREEN).all(axis=2)
    assert tinted[80, 100]
    down, across = np.flatnonzero(tinted[:, 100]), np.flatnonzero(tinted[100])  # the legend lies in a corner
    assert abs(down[0] - (100 * 4 - 30 * 4 - 200) / 2) <= 4
    assert abs(across[0] - (150 * 4 - 30 * 4 - 400) / 2) <= 4


def test_holes_are_not_tinted():
    mask = discs(300, 300, (150, 150), radius=120)
    mask[discs(300, 300, (150, 150), radius=90) == 1] = 0  # too large to be filled
    picture = drawn(mask, downsample=1.0, picture_downsample=1.0)
    assert np.array_equal(picture[120, 150], [240, 240, 240])


def test_without_a_scale_there_is_no_bar():
    mask = discs(200, 300, (100, 100), radius=30)
    with_bar, without = (drawn(mask, downsample=2.0, picture_downsample=2.0, mpp=mpp) for mpp in (0.5, None))
    assert (with_bar[200:] < 60).all(axis=2).any(axis=0)[280:].any()
    assert not (without[200:] < 60).all(axis=2).any(axis=0)[280:].any()


def test_a_slide_without_objects_and_a_tiny_one_are_drawn():
    assert drawn(np.zeros((50, 60), np.uint8), downsample=4.0, picture_downsample=4.0).shape[1] == 60
    assert drawn(np.zeros((1, 1), np.uint8), downsample=1.0, picture_downsample=1.0).shape[1] == 1


@pytest.mark.parametrize(("width_um", "bar_um"), [(1000, 200), (999, 100), (12_000, 2000), (30, 5), (5, 1)])
def test_the_bar_is_the_longest_round_length_within_a_fifth(width_um, bar_um):
    assert scale_bar_um(width_um) == pytest.approx(bar_um)
