import io
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image, ImageCms

from glomseg.errors import InvalidInputError
from glomseg.images import write_png
from glomseg.slides import pyramid
from glomseg.slides.opening import open_slide
from glomseg.types import Region

from .conftest import GLASS


def whole(slide):
    width, height = slide.size_px
    return Region(x=0, y=0, width=width, height=height)


def test_full_resolution_is_what_is_stored(slide_path, picture):
    with open_slide(slide_path) as slide:
        assert np.array_equal(slide.read(whole(slide)), picture)
        assert np.array_equal(slide.read(Region(x=10, y=20, width=30, height=40)), picture[20:60, 10:40])


@pytest.mark.parametrize("downsample", [2, 3, 5])
def test_whole_downsamples_are_the_means_of_blocks(slide_path, tmp_path, picture, downsample):
    n = 700 // downsample
    side = n * downsample
    blocks = picture[:side, :side].reshape(n, downsample, n, downsample, 3)
    write_png(tmp_path / "one level.png", picture)
    # From a level of half the size, downsample 3 is made of one and a half pixels of it: near, but not the same.
    for path, mean_error, largest_error in ((tmp_path / "one level.png", 0.26, 0.5), (slide_path, 0.8, 40)):
        with open_slide(path) as slide:
            result = slide.read(Region(x=0, y=0, width=side, height=side), downsample=downsample)
        error = np.abs(result - blocks.mean(axis=(1, 3)))
        assert error.mean() <= mean_error
        assert error.max() <= largest_error


@pytest.mark.parametrize("downsample", [0.4, 1.0, 1.7, 2.013, 6.3])
def test_a_grid_of_pixels_is_the_same_in_different_cuts(slide_path, downsample, monkeypatch):
    n = 90
    x, y = 903 - 60 * downsample, -20.3 * downsample  # over the slide's right and upper edge
    with open_slide(slide_path) as slide:

        def read(top, bottom, left, right):
            size = {"width": (right - left) * downsample, "height": (bottom - top) * downsample}
            return slide.read(Region(x=x + left * downsample, y=y + top * downsample, **size), downsample=downsample)

        together = read(0, n, 0, n)
        for cut in ((0, 45, 0, 90), (45, 90, 0, 90), (7, 33, 20, 71), (89, 90, 0, 1)):
            top, bottom, left, right = cut
            assert np.array_equal(read(*cut), together[top:bottom, left:right])
        monkeypatch.setattr(pyramid, "_BLOCK_SIDE_PX", 40)  # in many small parts
        assert np.array_equal(read(0, n, 0, n), together)


def test_beyond_the_slide_there_is_glass(slide_path):
    with open_slide(slide_path) as slide:
        assert np.abs(np.subtract(slide.background, GLASS)).max() <= 1
        beyond = slide.read(Region(x=-500, y=-500, width=400, height=300), downsample=3)
        assert beyond.shape == (100, 133, 3)
        assert (beyond == slide.background).all()


def test_mpp_and_downsample_say_the_same(slide_path):
    region = Region(x=100, y=50, width=400, height=400)
    with open_slide(slide_path) as slide:
        by_mpp = slide.read(region, mpp=1.0)
        assert by_mpp.shape == (100, 100, 3)
        assert np.array_equal(by_mpp, slide.read(region, downsample=4))


def test_a_region_smaller_than_a_pixel_gives_one(slide_path):
    with open_slide(slide_path) as slide:
        assert slide.read(Region(x=5, y=5, width=1, height=1), downsample=8).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("region", "options", "message"),
    [
        ({"width": 0.0}, {}, "no area"),
        ({"x": float("nan")}, {}, "no area"),
        ({"height": float("inf")}, {}, "no area"),
        ({}, {"mpp": 1.0, "downsample": 2.0}, "both were given"),
        ({}, {"mpp": 0.0}, "mpp 0.0 is not a positive number"),
        ({}, {"downsample": -2}, "downsample -2 is not a positive number"),
    ],
)
def test_what_cannot_be_read_is_said(slide_path, region, options, message):
    with open_slide(slide_path) as slide, pytest.raises(InvalidInputError, match=message):
        slide.read(Region(**{"x": 0.0, "y": 0.0, "width": 10.0, "height": 10.0} | region), **options)


def test_an_mpp_needs_the_slides_own(write_tiff):
    path = write_tiff(np.zeros((20, 20, 3), np.uint8))
    with open_slide(path) as slide, pytest.raises(InvalidInputError, match=r"1 um per pixel.*give its mpp"):
        slide.read(whole(slide), mpp=1.0)


def test_threads_may_read_at_once(slide_path, picture):
    with open_slide(slide_path) as slide, ThreadPoolExecutor(4) as pool:
        regions = [Region(x=7 * i, y=5 * i, width=200, height=150) for i in range(24)]
        results = list(pool.map(slide.read, regions))
    for i, result in enumerate(results):
        assert np.array_equal(result, picture[5 * i : 5 * i + 150, 7 * i : 7 * i + 200])


def test_levels_are_used_where_they_are_fine_enough(tmp_path):
    path = tmp_path / "levels.tif"
    with tifffile.TiffWriter(path) as writer:
        for size, color in ((512, 10), (256, 20), (128, 40)):  # each level of another colour tells where one reads
            level = np.full((size, size, 3), color, np.uint8)
            writer.write(level, tile=(64, 64), subfiletype=int(size < 512), metadata=None)
    with open_slide(path) as slide:
        assert slide.level_sizes_px == ((512, 512), (256, 256), (128, 128))
        region = Region(x=0, y=0, width=256, height=256)
        seen = {d: int(slide.read(region, downsample=d).max()) for d in (0.5, 1, 1.9, 2, 3.9, 3.99, 4, 9)}
    assert seen == {0.5: 10, 1: 10, 1.9: 10, 2: 20, 3.9: 20, 3.99: 40, 4: 40, 9: 40}


def test_levels_of_sizes_rounded_down_are_whole_numbers_apart(tmp_path, picture):
    # 903 x 701 halved by means, the odd row and column dropped, as scanners do.
    half = cv2.resize(picture[:700, :902], (451, 350), interpolation=cv2.INTER_AREA)
    path = tmp_path / "rounded.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(picture, tile=(128, 128), metadata=None)
        writer.write(half, tile=(128, 128), subfiletype=1, metadata=None)
    with open_slide(path) as slide:
        result = slide.read(Region(x=0, y=0, width=902, height=700), downsample=2)
        assert np.array_equal(result, half)
        edge = slide.read(Region(x=890, y=0, width=13, height=701), downsample=1)
    assert np.array_equal(edge, picture[:, 890:])


def test_colours_become_srgb(write_tiff):
    # A gamma of 1 (linear light): a stored 55 is seen as sRGB's 128.
    linear = _linear_profile()
    path = write_tiff(np.full((64, 64, 3), 55, np.uint8), tile=(64, 64), photometric="rgb", iccprofile=linear)
    with open_slide(path) as slide:
        assert np.abs(slide.read(whole(slide)).astype(int) - 128).max() <= 1
        assert slide.notes == () or all("profile" not in note for note in slide.notes)


def test_the_profile_of_srgb_changes_nothing(write_tiff, picture):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = write_tiff(picture, tile=(256, 256), photometric="rgb", iccprofile=srgb)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(whole(slide)), picture)


def test_a_damaged_profile_is_noted(write_tiff, picture):
    path = write_tiff(picture, tile=(256, 256), photometric="rgb", iccprofile=b"no profile" * 20)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(whole(slide)), picture)
        assert any("colour profile is damaged" in note for note in slide.notes)


def _linear_profile() -> bytes:
    """sRGB's profile with its curves made straight, which is all that differs in linear light."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for i in range(int.from_bytes(profile[128:132])):
        entry = 132 + 12 * i
        if profile[entry : entry + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            offset = int.from_bytes(profile[entry + 4 : entry + 8])
            profile[offset : offset + 12] = b"curv" + bytes(8)  # a curve of no points is the identity
    ImageCms.ImageCmsProfile(io.BytesIO(bytes(profile)))
    return bytes(profile)


def test_transparent_pixels_are_glass(write_tiff):
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:32] = (*GLASS, 255)
    rgba[40:, :, :] = (100, 0, 0, 128)
    path = write_tiff(rgba, tile=(64, 64), photometric="rgb", extrasamples=["unassalpha"])
    with open_slide(path) as slide:
        pixels = slide.read(whole(slide))
        background = np.array(slide.background)
    assert (pixels[:40] == background).all()
    assert np.abs(pixels[50, 5] - (background * 127 + np.array([100, 0, 0]) * 128) / 255).max() < 1


@pytest.mark.real
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "tcga-cr-7395-01a-01-ts1.svs", "aidpath_E.tif"])
def test_real_slides_read_as_openslide_reads_them(shared_data, name):
    path = shared_data / "slides" / name
    with open_slide(path) as slide, openslide.OpenSlide(path) as other:
        assert slide.size_px == other.dimensions
        for x, y in ((0, 0), (901, 1203), (1700, 2500)):
            expected = np.asarray(other.read_region((x, y), 0, (301, 299)).convert("RGB"))
            assert np.array_equal(slide.read(Region(x=x, y=y, width=301, height=299)), expected)


@pytest.mark.real
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "tcga-cr-7395-01a-01-ts1.svs", "aidpath_E.tif"])
@pytest.mark.parametrize("downsample", [2, 4])
def test_real_slides_shrink_to_means_of_areas(shared_data, name, downsample):
    x, y, side = 1000, 1000, 512 * downsample
    with open_slide(shared_data / "slides" / name) as slide:
        full = slide.read(Region(x=x - downsample, y=y - downsample, width=side + 16, height=side + 16))
        result = slide.read(Region(x=x, y=y, width=side, height=side), downsample=downsample)

    def error(shift_x, shift_y):  # in pixels of full resolution
        top, left = downsample + shift_y, downsample + shift_x
        area = np.ascontiguousarray(full[top : top + side, left : left + side])
        return np.abs(cv2.resize(area, (512, 512), interpolation=cv2.INTER_AREA).astype(int) - result).mean()

    # The levels in the files are made and compressed in ways of their own, so they differ a little.
    assert error(0, 0) < 7
    half = downsample // 2
    assert error(0, 0) < min(error(half, 0), error(-half, 0), error(0, half), error(0, -half))


@pytest.mark.real
def test_a_grid_over_a_real_level_that_openslide_interpolates_is_the_same_in_different_cuts(shared_data):
    with open_slide(shared_data / "slides" / "tcga-cr-7395-01a-01-ts1.svs") as slide:
        together = slide.read(Region(x=1500.3, y=1200.7, width=900, height=900), downsample=3)
        part = slide.read(Region(x=1500.3 + 3 * 101, y=1200.7 + 3 * 57, width=300, height=450), downsample=3)
    assert np.array_equal(part, together[57:207, 101:201])


def test_pictures_of_one_pixel_are_slides_too(tmp_path):
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), (10, 20, 30)).save(path)
    with open_slide(path) as slide:
        assert slide.read(whole(slide), downsample=0.5).tolist() == [[[10, 20, 30]] * 2] * 2
