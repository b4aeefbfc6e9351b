import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.images import write_png
from glomseg.slides.opening import open_slide
from glomseg.slides.strips import read_in_strips
from glomseg.types import Region


@pytest.fixture
def slide(tmp_path):
    rng = np.random.default_rng(0)
    write_png(tmp_path / "slide.png", rng.integers(0, 256, (5000, 60, 3), dtype=np.uint8))
    with open_slide(tmp_path / "slide.png") as slide:
        yield slide


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("downsample", [1.0, 12.497, 40.0])
def test_strips_together_are_what_is_read_at_once(slide, downsample, n_threads):
    region = Region(x=-3, y=7.25, width=70, height=5001)  # beyond the slide on three sides
    expected = slide.read(region, downsample=downsample)
    assert np.array_equal(read_in_strips(slide, region, downsample=downsample, n_threads=n_threads), expected)


def test_a_region_smaller_than_a_pixel_is_one_pixel(slide):
    assert read_in_strips(slide, Region(x=0, y=0, width=3, height=3), downsample=10).shape == (1, 1, 3)


def test_the_megapixels_are_reported_until_all_are_done(slide):
    calls = []
    region = Region(x=0, y=0, width=60_000, height=5000)
    read_in_strips(slide, region, downsample=500, progress=lambda done, total, note="": calls.append((done, total)))
    assert calls == [(120, 300), (240, 300), (300, 300)]


def test_an_error_of_a_thread_is_raised(slide):
    with pytest.raises(InvalidInputError, match="no area"):
        read_in_strips(slide, Region(x=0, y=0, width=0, height=10), downsample=1)
