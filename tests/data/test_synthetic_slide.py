import numpy as np
import openslide
import pytest

from glomseg.data.synthetic import write_synthetic_slide
from glomseg.errors import InvalidInputError
from glomseg.slides.opening import open_slide
from glomseg.types import Region

CELLS = np.array([[False, True], [True, True]])


def test_a_slide_has_tissue_where_it_is_asked_for(tmp_path):
    path = tmp_path / "slide.tif"
    write_synthetic_slide(path, tissue=CELLS, mpp=0.5, downsamples=(1, 4), size_px=(4000, 3001), seed=3)
    with open_slide(path) as slide:
        assert slide.size_px == (4000, 3001)
        assert slide.level_sizes_px == ((4000, 3001), (1000, 751))
        assert slide.mpp == pytest.approx(0.5)
        for row, column in np.ndindex(2, 2):
            cell = slide.read(Region(x=column * 2048, y=row * 2048, width=900, height=900), downsample=30)
            assert (cell.std() > 5) == CELLS[row, column]
        # Every level shows the same tissue.
        fine = slide.read(Region(x=2048, y=0, width=1024, height=1024)).reshape(256, 4, 256, 4, 3).mean(axis=(1, 3))
        coarse = slide.read(Region(x=2048, y=0, width=1024, height=1024), downsample=4)
        assert np.abs(fine - coarse).mean() < 10  # JPEG; a shift of a pixel gives twice that


def test_openslide_reads_the_same(tmp_path):
    path = tmp_path / "slide.tif"
    write_synthetic_slide(path, tissue=CELLS, mpp=0.5, downsamples=(1, 2))
    with openslide.OpenSlide(path) as other, open_slide(path) as slide:
        assert other.dimensions == slide.size_px == (2048, 2048)
        pixels = np.asarray(other.read_region((900, 900), 0, (300, 300)))[..., :3]
        assert np.array_equal(pixels, slide.read(Region(x=900, y=900, width=300, height=300)))


def test_a_slide_of_ten_gigapixels_takes_few_bytes_and_the_same_seed_gives_the_same(tmp_path):
    for name in ("one.tif", "two.tif"):
        cells = np.ones((13, 13), bool)
        write_synthetic_slide(tmp_path / name, tissue=cells, size_px=(100_000, 100_000), mpp=0.5)
    assert (tmp_path / "one.tif").stat().st_size < 5e6
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "two.tif").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downsamples": (1, 3)}, "rising powers of two"),
        ({"downsamples": (2, 4)}, "begin with 1"),
        ({"downsamples": (1,), "size_px": (1025, 10)}, "1025 x 10 pixels does not fit 2 x 2 cells of 512"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, message):
    with pytest.raises(InvalidInputError, match=message):
        write_synthetic_slide(tmp_path / "slide.tif", tissue=CELLS, **options)
