import numpy as np
import openslide
import pytest
import tifffile

from glomseg.errors import InvalidInputError, OutputError
from glomseg.export import pyramid
from glomseg.export.pyramid import write_pyramid
from glomseg.slides.opening import open_slide
from glomseg.types import Region

RGB = np.random.default_rng(0).integers(0, 256, (1101, 1533, 3), dtype=np.uint8)
MASK = (RGB[..., 0] > 200).astype(np.uint8) * 3


@pytest.mark.parametrize("compression", ["deflate", "none"])
def test_openslide_and_tifffile_read_what_was_written(tmp_path, compression):
    write_pyramid(tmp_path / "slide.tif", RGB, mpp=0.25, compression=compression)
    with openslide.OpenSlide(tmp_path / "slide.tif") as slide:
        assert slide.level_dimensions == ((1533, 1101), (767, 551), (384, 276))
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.25)
        assert np.array_equal(np.asarray(slide.read_region((0, 0), 0, (1533, 1101)))[..., :3], RGB)
    with tifffile.TiffFile(tmp_path / "slide.tif") as file:
        assert not file.is_bigtiff
        assert file.pages[0].is_tiled
        assert [page.subfiletype for page in file.pages] == [0, 1, 1]


def test_jpeg_is_the_default_for_rgb_and_close(tmp_path):
    smooth = np.broadcast_to(np.linspace(0, 255, 1200, dtype=np.uint8)[None, :, None], (700, 1200, 3))
    write_pyramid(tmp_path / "slide.tif", smooth, mpp=0.25)
    with tifffile.TiffFile(tmp_path / "slide.tif") as file:
        assert file.pages[0].compression == tifffile.COMPRESSION.JPEG
    with open_slide(tmp_path / "slide.tif") as slide:
        result = slide.read(Region(x=0, y=0, width=1200, height=700))
    assert np.abs(result.astype(int) - smooth).max() <= 4


def test_a_better_quality_takes_more_room(tmp_path):
    for quality in (50, 95):
        write_pyramid(tmp_path / f"{quality}.tif", RGB, mpp=None, jpeg_quality=quality)
    assert (tmp_path / "95.tif").stat().st_size > 1.5 * (tmp_path / "50.tif").stat().st_size


def test_lower_levels_are_means_with_halves_to_even(tmp_path):
    picture = np.zeros((4, 1026, 3), np.uint8)
    picture[:2, :2, 0] = [[0, 1], [1, 0]]  # a mean of 0.5
    picture[:2, :2, 1] = [[1, 2], [2, 1]]  # of 1.5
    picture[:2, :2, 2] = [[1, 1], [1, 0]]  # of 0.75
    write_pyramid(tmp_path / "slide.tif", picture, mpp=1, compression="none")
    with tifffile.TiffFile(tmp_path / "slide.tif") as file:
        assert file.pages[1].asarray()[0, 0].tolist() == [0, 2, 1]


def test_odd_sizes_keep_their_last_row_and_column(tmp_path):
    write_pyramid(tmp_path / "slide.tif", RGB, mpp=None, compression="none")
    with tifffile.TiffFile(tmp_path / "slide.tif") as file:
        level = file.pages[1].asarray()
    assert level.shape == (551, 767, 3)
    assert np.array_equal(level[-1, -1], RGB[-1, -1])
    assert np.abs(level[:550, :766] - RGB[:1100, :1532].reshape(550, 2, 766, 2, 3).mean(axis=(1, 3))).max() <= 0.5


@pytest.mark.parametrize("colors", [None, ((0, 0, 0), (1, 1, 1), (2, 2, 2), (255, 140, 0))])
def test_masks_keep_their_values_on_all_levels(tmp_path, colors):
    write_pyramid(tmp_path / "mask.tif", MASK, mpp=0.5, colors=colors)
    with tifffile.TiffFile(tmp_path / "mask.tif") as file:
        assert np.array_equal(file.pages[0].asarray(), MASK)
        assert np.array_equal(file.pages[1].asarray(), MASK[::2, ::2])
        assert set(np.unique(file.pages[2].asarray())) == {0, 3}
    with open_slide(tmp_path / "mask.tif") as slide:
        assert slide.mpp == pytest.approx(0.5)
        seen = slide.read(Region(x=0, y=0, width=1533, height=1101))
    assert seen[MASK == 3][0].tolist() == ([3, 3, 3] if colors is None else [255, 140, 0])


def test_a_memory_map_is_written_with_its_levels_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(pyramid, "_IN_MEMORY_BYTES", 1000)
    stored = np.memmap(tmp_path / "raw", np.uint8, "w+", shape=RGB.shape)
    stored[:] = RGB
    write_pyramid(tmp_path / "mapped.tif", stored, mpp=0.25, compression="none")
    write_pyramid(tmp_path / "held.tif", RGB, mpp=0.25, compression="none")
    assert (tmp_path / "mapped.tif").read_bytes() == (tmp_path / "held.tif").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held.tif", "mapped.tif", "raw"]


def test_what_classic_tiff_cannot_address_becomes_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(pyramid, "_CLASSIC_BYTES", 1000)
    write_pyramid(tmp_path / "slide.tif", MASK, mpp=None)
    with tifffile.TiffFile(tmp_path / "slide.tif") as file:
        assert file.is_bigtiff
        assert np.array_equal(file.pages[0].asarray(), MASK)


def test_without_an_mpp_there_is_no_unit(tmp_path):
    write_pyramid(tmp_path / "slide.tif", MASK, mpp=None)
    with open_slide(tmp_path / "slide.tif") as slide:
        assert slide.mpp is None


@pytest.mark.parametrize("shape", [(1, 1), (512, 512), (513, 1), (1, 1, 3)])
def test_pictures_of_any_size_are_written(tmp_path, shape):
    write_pyramid(tmp_path / "slide.tif", np.ones(shape, np.uint8), mpp=1)
    with open_slide(tmp_path / "slide.tif") as slide:
        assert slide.size_px == (shape[1], shape[0])


@pytest.mark.parametrize(
    ("picture", "options", "message"),
    [
        (RGB.astype(np.uint16), {}, "uint16"),
        (RGB[..., :2], {}, r"\(1101, 1533, 2\)"),
        (RGB[:0], {}, r"\(0, 1533, 3\)"),
        (RGB, {"compression": "zip"}, "'zip' is not one of jpeg, deflate, none"),
        (MASK, {"compression": "jpeg"}, "JPEG changes their values"),
        (RGB, {"mpp": 0}, "mpp 0 is not a positive"),
        (RGB, {"jpeg_quality": 101}, "JPEG quality of 101"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is_left(tmp_path, picture, options, message):
    with pytest.raises(InvalidInputError, match=message):
        write_pyramid(tmp_path / "slide.tif", picture, **{"mpp": 0.5} | options)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_pyramid(tmp_path / "file" / "slide.tif", MASK, mpp=None)


def test_every_tile_of_every_level_is_reported(tmp_path):
    calls = []

    def report(done, total, note=""):
        calls.append((done, total))

    write_pyramid(tmp_path / "mask.tif", np.zeros((1025, 600), np.uint8), mpp=None, progress=report)
    # 3 x 2 tiles, 2 x 1 of 513 x 300 pixels, and 1 of 257 x 150
    assert calls == [(n, 9) for n in range(1, 10)]
