import numpy as np
import pytest

from glomseg.slides.colors import glass_color, lay_on, to_srgb


def test_the_glass_is_the_commonest_of_bright_greys():
    glass, pale, dark = (np.full((n, 3), color, np.uint8) for n, color in ((60, 240), (30, 210), (40, 60)))
    assert glass_color(np.concatenate([glass, pale, dark])) == (240, 240, 240)


def test_without_glass_it_is_white():
    assert glass_color(np.full((100, 3), (190, 110, 170), np.uint8)) == (255, 255, 255)
    assert glass_color(np.empty((0, 3), np.uint8)) == (255, 255, 255)


def test_filled_in_white_gives_way_to_glass_that_was_scanned():
    filler, glass = np.full((80, 3), 255, np.uint8), np.full((20, 3), 238, np.uint8)
    assert glass_color(np.concatenate([filler, glass])) == (238, 238, 238)
    assert glass_color(filler) == (255, 255, 255)


def test_half_of_a_colour_on_white_by_hand():
    pixels = np.array([[[100, 0, 50, 51], [1, 2, 3, 255], [9, 9, 9, 0]]], np.uint8)
    assert lay_on(pixels, (255, 255, 255)).tolist() == [[[224, 204, 214], [1, 2, 3], [255, 255, 255]]]


def test_a_damaged_profile_is_an_error():
    with pytest.raises(ValueError, match=r"\w"):
        to_srgb(b"no profile")
