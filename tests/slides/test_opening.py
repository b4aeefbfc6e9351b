import shutil
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from glomseg.errors import InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.slides.opening import open_slide
from glomseg.types import Region

RESOLUTION = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}  # 0.5 um


def pixels_of(path, **options):
    with open_slide(path, **options) as slide:
        width, height = slide.size_px
        return slide.read(Region(x=0, y=0, width=width, height=height))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": (64, 96)},
        {"tile": (128, 128), "compression": "deflate", "predictor": True},
        {"tile": (128, 128), "compression": "lzw"},
        {"rowsperstrip": 7, "compression": "zstd"},
        {"rowsperstrip": 701},
        {"bigtiff": True, "byteorder": ">"},
        {"planarconfig": "separate", "tile": (64, 64)},
        {"ome": True, "tile": (64, 64)},
    ],
)
def test_tiffs_of_every_kind_are_read_exactly(write_tiff, picture, options):
    stored = np.moveaxis(picture, 2, 0) if options.get("planarconfig") == "separate" else picture
    path = write_tiff(stored, **{"photometric": "rgb"} | options)
    assert np.array_equal(pixels_of(path), picture)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_pictures_are_read_exactly(tmp_path, picture, suffix):
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(picture).save(path)
    assert np.array_equal(pixels_of(path), picture)
    with open_slide(path) as slide:
        assert slide.file_format == suffix[1:].upper()
        assert slide.level_sizes_px == ((903, 701),)


def test_jpeg_is_read_as_pillow_reads_it(tmp_path, picture):
    path = tmp_path / "picture.jpg"
    Image.fromarray(picture).save(path)
    with Image.open(path) as image:
        assert np.array_equal(pixels_of(path), np.asarray(image))


def test_a_name_with_any_letters_is_fine(tmp_path, slide_path, picture):
    path = tmp_path / "肾 小球 ä.tif"
    shutil.copy(slide_path, path)
    assert np.array_equal(pixels_of(path), picture)


def test_grey_palette_and_bilevel_files_become_rgb(write_tiff):
    values = np.array([[0, 1], [2, 1]], np.uint8).repeat(40, axis=0).repeat(40, axis=1)
    grey = pixels_of(write_tiff(values, photometric="minisblack"))
    assert np.array_equal(grey, np.repeat(values[..., None], 3, axis=2))
    inverted = pixels_of(write_tiff(values, photometric="miniswhite"))
    assert np.array_equal(inverted[..., 0], 255 - values)
    colors = np.zeros((3, 256), np.uint16)
    colors[:, 1], colors[:, 2] = (257, 0, 257 * 9), (257 * 255, 257 * 4, 0)
    indexed = pixels_of(write_tiff(values, photometric="palette", colormap=colors))
    assert indexed[0, 0].tolist() == [0, 0, 0]
    assert indexed[0, -1].tolist() == [1, 0, 9]
    assert indexed[-1, 0].tolist() == [255, 4, 0]
    bilevel = pixels_of(write_tiff(values > 0, photometric="minisblack"))
    assert np.array_equal(bilevel[..., 0], (values > 0) * 255)


def test_levels_are_found_as_pages_and_as_sub_images(tmp_path, picture):
    for sub_images in (0, 1):
        path = tmp_path / f"levels{sub_images}.ome.tif"
        with tifffile.TiffWriter(path, ome=bool(sub_images)) as writer:
            writer.write(picture, tile=(128, 128), subifds=sub_images)
            writer.write(np.ascontiguousarray(picture[::2, ::2]), tile=(128, 128), subfiletype=1)
        with open_slide(path) as slide:
            assert slide.level_sizes_px == ((903, 701), (452, 351))


def test_a_small_picture_of_another_shape_is_no_level(tmp_path, picture):
    path = tmp_path / "with label.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(picture, tile=(128, 128), metadata=None)
        writer.write(np.zeros((100, 300, 3), np.uint8), tile=(64, 64), metadata=None)  # a label
    with open_slide(path) as slide:
        assert slide.level_sizes_px == ((903, 701),)


# Micrometres per pixel


def test_resolution_tags_are_an_mpp(write_tiff, picture):
    with open_slide(write_tiff(picture, **RESOLUTION)) as slide:
        assert slide.mpp == pytest.approx(0.5)
        assert slide.notes == ()


def test_ome_metadata_are_an_mpp_in_their_unit(write_tiff, picture):
    metadata = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.00025, "PhysicalSizeYUnit": "mm"}
    path = write_tiff(picture, ome=True, metadata={"axes": "YXS"} | metadata, **RESOLUTION)
    with open_slide(path) as slide:
        assert slide.file_format == "OME-TIFF"
        assert slide.mpp == pytest.approx(0.25)


@pytest.mark.parametrize("options", [{}, {"resolution": (20000, 20000), "resolutionunit": 1}])
def test_a_file_without_a_physical_unit_has_no_mpp(write_tiff, picture, options):
    with open_slide(write_tiff(picture, **options)) as slide:
        assert slide.mpp is None
        assert "does not say how many micrometres" in slide.notes[0]


@pytest.mark.parametrize("dpi", [72, 96, 300])
def test_the_dpi_of_image_programs_are_no_mpp(write_tiff, picture, dpi):
    with open_slide(write_tiff(picture, resolution=(dpi, dpi), resolutionunit="INCH")) as slide:
        assert slide.mpp is None
        assert "which no slide has" in slide.notes[0]


def test_pixels_that_are_not_square_are_said(write_tiff, picture):
    with open_slide(write_tiff(picture, resolution=(20000, 40000), resolutionunit="CENTIMETER")) as slide:
        assert slide.mpp == pytest.approx(np.sqrt(0.5 * 0.25))
        assert "not square" in slide.notes[0]


def test_a_given_mpp_wins_and_says_so(write_tiff, picture):
    path = write_tiff(picture, **RESOLUTION)
    with open_slide(path, mpp=0.25) as slide:
        assert slide.mpp == 0.25
        assert "0.25 um per pixel was given" in slide.notes[0]
    with open_slide(path, mpp=0.5) as slide:
        assert slide.notes == ()


@pytest.mark.parametrize("mpp", [0, -1, float("nan"), float("inf")])
def test_an_mpp_that_is_none_is_refused(write_tiff, picture, mpp):
    with pytest.raises(InvalidInputError, match="not a positive number of micrometres"):
        open_slide(write_tiff(picture), mpp=mpp)


def test_the_density_of_a_png_is_an_mpp(tmp_path, picture):
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path, dpi=(50800, 50800))
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.5, rel=1e-3)


# What is refused


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((3, 40, 50), np.uint8), {"photometric": "minisblack", "metadata": {"axes": "CYX"}}, "3 channels"),
        (np.zeros((5, 40, 50), np.uint8), {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}, "5 focal planes"),
        (np.zeros((5, 40, 50, 3), np.uint8), {"photometric": "rgb", "metadata": {"axes": "ZYXS"}}, "5 focal planes"),
        (np.zeros((40, 50, 3), np.uint16), {"photometric": "rgb"}, "uint16, not 8 bits"),
        (np.zeros((40, 50), np.float32), {"photometric": "minisblack"}, "float32, not 8 bits"),
        (np.zeros((40, 50, 4), np.uint8), {"photometric": "separated"}, "SEPARATED with 4 samples"),
    ],
)
def test_what_is_no_brightfield_slide_is_refused(write_tiff, array, options, message):
    for name in ("slide.ome.tif", "slide.tif"):
        path = write_tiff(array, name, **options)
        with pytest.raises(InvalidInputError, match="not a brightfield colour slide") as caught:
            open_slide(path)
        assert message in str(caught.value) or name == "slide.tif"
        assert name in str(caught.value)


def test_a_missing_file_a_folder_and_an_empty_file_are_said(tmp_path):
    with pytest.raises(MissingInputError, match=r"nowhere\.svs"):
        open_slide(tmp_path / "nowhere.svs")
    with pytest.raises(InvalidInputError, match=r"is a folder.*\.mrxs"):
        open_slide(tmp_path)
    empty = tmp_path / "empty.svs"
    empty.touch()
    with pytest.raises(InvalidInputError, match="is empty"):
        open_slide(empty)


@pytest.mark.parametrize("name", ["notes.svs", "notes.tif", "notes.ndpi", "notes.mrxs", "notes.dcm", "notes.png"])
@pytest.mark.parametrize("content", [b"just some words\n" * 9, b"II*\0" + b"\xff" * 40, b"MM\0+", bytes(200)])
def test_a_file_that_is_no_slide_is_said(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=name):
        open_slide(path)


def test_a_truncated_file_is_said_at_any_length(tmp_path, slide_path):
    data = slide_path.read_bytes()
    path = tmp_path / "cut.tif"
    for share in (0.001, 0.01, 0.3, 0.7, 0.95):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InvalidInputError, match=r"cut\.tif.*copy it again"):
            pixels_of(path)


def test_damaged_pixels_are_said_when_they_are_read(tmp_path, slide_path):
    data = bytearray(slide_path.read_bytes())
    with tifffile.TiffFile(slide_path) as file:
        offset = file.pages[0].dataoffsets[1]
    data[offset : offset + 40] = bytes(40)
    path = tmp_path / "damaged.tif"
    path.write_bytes(data)
    with open_slide(path) as slide:
        slide.read(Region(x=0, y=0, width=50, height=50))
        with pytest.raises(InvalidInputError, match=r"damaged\.tif.*piece 1 .*cannot be decoded"):
            slide.read(Region(x=600, y=0, width=50, height=50))


def change_tags(path, changes):
    """Overwrite the values of tags of the first page in place: {name: value}."""
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in changes.items():
            file.pages[0].tags[name].overwrite(value)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"ImageWidth": 2_000_000_000, "ImageLength": 2_000_000_000}, InvalidInputError, "pieces are needed"),
        ({"TileWidth": 2**20, "TileLength": 2**20}, UnsafeFileError, "1048576 x 1048576 pixels"),
        ({"TileOffsets": [10**9] * 4}, InvalidInputError, "lie beyond its end"),
        ({"TileByteCounts": [2**31] * 4}, InvalidInputError, "lie beyond its end"),
        ({"Compression": 52479}, InvalidInputError, "TIFF compression 52479"),
    ],
)
def test_a_file_that_lies_about_itself_is_refused(write_tiff, changes, error, message):
    path = write_tiff(
        np.zeros((1000, 1000, 3), np.uint8), tile=(512, 512), photometric="rgb", metadata=None, compression="deflate"
    )
    change_tags(path, changes)
    with pytest.raises(error, match=message):
        open_slide(path)


def test_one_strip_of_a_whole_slide_is_refused(write_tiff):
    path = write_tiff(np.zeros((100, 100, 3), np.uint8), metadata=None, rowsperstrip=100, compression="deflate")
    change_tags(path, {"ImageWidth": 60_000, "ImageLength": 60_000, "RowsPerStrip": 60_000})
    with pytest.raises(UnsafeFileError, match="tiled TIFF"):
        open_slide(path)


def test_directories_in_a_circle_end(write_tiff):
    path = write_tiff(np.zeros((64, 64, 3), np.uint8), photometric="rgb", metadata=None)
    data = bytearray(path.read_bytes())
    first = struct.unpack_from("<I", data, 4)[0]
    n_tags = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * n_tags, first)  # the next directory is this one
    path.write_bytes(data)
    try:
        assert pixels_of(path).shape == (64, 64, 3)
    except InvalidInputError as error:
        assert "slide.tif" in str(error)


def test_tiles_that_the_file_leaves_out_are_glass(tmp_path):
    def tiles():
        yield np.full((64, 64, 3), 200, np.uint8)
        yield None
        yield np.full((64, 64, 3), 200, np.uint8)
        yield None

    path = tmp_path / "sparse.tif"
    tifffile.imwrite(
        path, tiles(), shape=(128, 128, 3), dtype=np.uint8, tile=(64, 64), photometric="rgb", compression="deflate"
    )
    with open_slide(path) as slide:
        pixels = slide.read(Region(x=0, y=0, width=128, height=128))
        assert (pixels[:, 64:] == slide.background).all()
    assert (pixels[:, :64] == 200).all()


# Real files


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken.svs", "in no format that can be read"),
        ("unopenable.tiff", "TIFF compression 52479"),
        ("multi-channel-z-series.ome.tif", "3 channels and 5 focal planes"),
    ],
)
def test_real_files_that_are_no_slides_are_refused(shared_data, name, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        open_slide(shared_data / "slides" / name)
    assert name in str(caught.value)


@pytest.mark.real
def test_a_real_file_with_damaged_pixels_says_so_when_read(shared_data):
    with open_slide(shared_data / "slides" / "unreadable.svs") as slide:
        assert slide.mpp == 0.499
        with pytest.raises(InvalidInputError, match=r"unreadable\.svs.*damaged"):
            slide.read(Region(x=0, y=0, width=16, height=16))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "mpp", "n_levels", "note"),
    [
        ("CMU-1-Small-Region.svs", 0.499, 1, ""),
        ("tcga-cr-7395-01a-01-ts1.svs", None, 2, "does not say"),
        ("aidpath_D.tif", 0.5, 2, ""),
        ("aidpath_E.tif", 0.5, 2, ""),
        ("boxes.tiff", None, 4, "352.8 um"),
    ],
)
def test_real_slides_are_opened(shared_data, name, mpp, n_levels, note):
    with open_slide(shared_data / "slides" / name) as slide:
        assert slide.mpp == (None if mpp is None else pytest.approx(mpp))
        assert len(slide.level_sizes_px) == n_levels
        assert note in " ".join(slide.notes)
        assert bool(slide.notes) == bool(note)
