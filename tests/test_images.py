import cv2
import numpy as np
import pytest
from PIL import Image

from glomseg.errors import InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.images import encode_png, image_header, image_size, read_image, read_mask, read_mask_values, write_png
from glomseg.types import GLOMERULUS, Classes

RGB = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


@pytest.mark.parametrize("name", ["a b.png", "肾.png", "line\nbreak.png", "<b>.png"])
def test_rgb_is_read_as_written_under_any_name(tmp_path, name):
    write_png(tmp_path / name, RGB)
    assert np.array_equal(read_image(tmp_path / name), RGB)
    assert image_size(tmp_path / name) == (4, 5)


def test_grey_palette_and_cmyk_become_rgb(tmp_path):
    picture = Image.fromarray(RGB)
    picture.convert("L").save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").shape == (4, 5, 3)
    picture.convert("P").save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").shape == (4, 5, 3)
    Image.new("CMYK", (5, 4), (0, 0, 0, 0)).save(tmp_path / "cmyk.tif")
    assert (read_image(tmp_path / "cmyk.tif") == 255).all()


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image[0, 0].tolist() == [10, 20, 30]
    assert image[1, 1].tolist() == [255, 255, 255]


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((3, 3), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InvalidInputError, match=r"deep\.png.*more than 8 bits"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize("read", [read_image, read_mask_values, image_size])
def test_files_that_are_no_images(tmp_path, read):
    with pytest.raises(MissingInputError, match=r"none\.png"):
        read(tmp_path / "none.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"empty\.png.*0 bytes"):
        read(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("I am a text file")
    with pytest.raises(InvalidInputError, match=r"text\.png.*not an image"):
        read(tmp_path / "text.png")
    with pytest.raises(MissingInputError):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_image, read_mask_values])
def test_a_truncated_file_is_damaged(tmp_path, read):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    (tmp_path / "cut.png").write_bytes(encode_png(noise)[:1000])
    with pytest.raises(InvalidInputError, match=r"cut\.png.*damaged.*copy it again"):
        read(tmp_path / "cut.png")


@pytest.mark.parametrize("read", [read_image, read_mask_values, image_size])
@pytest.mark.parametrize("side", [20_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, png_claiming, read, side):
    (tmp_path / "bomb.png").write_bytes(png_claiming(side, side))
    with pytest.raises(UnsafeFileError, match=rf"bomb\.png' declares {side} x {side} pixels, more"):
        read(tmp_path / "bomb.png")


@pytest.mark.parametrize("size", [(14_000, 13_000), (16_384, 16_384)])
def test_our_limit_decides_and_not_pillows(tmp_path, png_claiming, size):
    limit = Image.MAX_IMAGE_PIXELS
    (tmp_path / "large.png").write_bytes(png_claiming(*size))
    assert image_size(tmp_path / "large.png") == size[::-1]
    assert limit is not None and limit == Image.MAX_IMAGE_PIXELS


def test_masks_of_every_storage(tmp_path):
    values = np.array([[0, 1], [1, 255]], np.uint8)
    Image.fromarray(values).save(tmp_path / "grey.png")
    palette = Image.fromarray(values, mode=None).convert("L")
    palette = Image.frombytes("P", (2, 2), values.tobytes())
    palette.putpalette([0, 0, 0, 255, 0, 0] + [9] * 762)
    palette.save(tmp_path / "palette.png")
    Image.fromarray(np.repeat(values[..., None], 3, axis=2)).save(tmp_path / "rgb.png")
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "deep.png")
    for name in ("grey", "palette", "rgb", "deep"):
        assert np.array_equal(read_mask(tmp_path / f"{name}.png", classes=GLOMERULUS), values), name
    Image.fromarray(values == 1).save(tmp_path / "bits.png")
    assert read_mask_values(tmp_path / "bits.png").tolist() == [[0, 1], [1, 0]]


def test_masks_that_cannot_be_class_indices(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "colour.png")
    with pytest.raises(InvalidInputError, match=r"colour\.png.*colour picture"):
        read_mask_values(tmp_path / "colour.png")
    Image.fromarray(np.array([[300]], np.uint16)).save(tmp_path / "labels.png")
    with pytest.raises(InvalidInputError, match=r"labels\.png.*300.*instance label map"):
        read_mask_values(tmp_path / "labels.png")
    Image.fromarray(np.array([[0.5]], np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InvalidInputError, match="probability map"):
        read_mask_values(tmp_path / "float.tif")


def test_mask_values_are_mapped_and_unknown_ones_refused(tmp_path):
    write_png(tmp_path / "m.png", np.array([[0, 255, 128]], np.uint8))
    with pytest.raises(InvalidInputError, match=r"m\.png.*\[0, 128, 255\].*--mask-values"):
        read_mask(tmp_path / "m.png", classes=GLOMERULUS, mask_values=(0, 255))
    three = Classes.of(("background", "glomerulus", "sclerosed"))
    assert read_mask(tmp_path / "m.png", classes=three, mask_values=(0, 255, 128)).tolist() == [[0, 1, 2]]
    write_png(tmp_path / "i.png", np.array([[0, 255, 1]], np.uint8))
    assert read_mask(tmp_path / "i.png", classes=GLOMERULUS).tolist() == [[0, 255, 1]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_colour_is_refused_rather_than_shortened(tmp_path, suffix):
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), np.full((3, 3, 3), 1, np.uint16))
    with pytest.raises(InvalidInputError, match=r"deep\..*more than 8 bits"):
        read_image(path)
    with pytest.raises(InvalidInputError, match="colour channels of 16 bits"):
        read_mask_values(path)


def test_a_header_tells_size_and_kind(tmp_path):
    write_png(tmp_path / "a.jpg", RGB)
    header = image_header(tmp_path / "a.jpg")
    assert (header.height, header.width, header.mode, header.file_format, header.is_deep) == (4, 5, "RGB", "PNG", False)
    cv2.imwrite(str(tmp_path / "b.png"), np.ones((2, 3), np.uint16))
    assert image_header(tmp_path / "b.png").is_deep
    with pytest.raises(MissingInputError, match=r"mask '.*' does not exist"):
        image_header(tmp_path / "c.png", what="mask")


def test_an_ignore_value_is_ignored(tmp_path):
    write_png(tmp_path / "m.png", np.array([[0, 1, 2, 255]], np.uint8))
    assert read_mask(tmp_path / "m.png", classes=GLOMERULUS, ignore_value=2).tolist() == [[0, 1, 255, 255]]
    with pytest.raises(InvalidInputError, match="holds the values"):
        read_mask(tmp_path / "m.png", classes=GLOMERULUS, ignore_value=3)


def test_a_smeared_mask_is_known_as_such_and_not_spelled_out(tmp_path):
    rows, columns = np.ogrid[:64, :64]
    disc = np.where((rows - 31) ** 2 + (columns - 31) ** 2 < 400, 255, 0).astype(np.uint8)
    Image.fromarray(disc).save(tmp_path / "m.jpg", quality=60)
    with pytest.raises(InvalidInputError, match=r"\[0, 1, 2, [^a-z]*\] and \d+ more, but .*JPEG.*PNG") as raised:
        read_mask(tmp_path / "m.jpg", classes=GLOMERULUS, mask_values=(0, 255))
    assert "--classes" not in str(raised.value)
    with Image.open(tmp_path / "m.jpg") as smeared:
        smeared.save(tmp_path / "m.png")
    with pytest.raises(InvalidInputError, match=r" and \d+ more, but .*look like JPEG compression.*PNG") as raised:
        read_mask(tmp_path / "m.png", classes=GLOMERULUS)
    assert "--classes" not in str(raised.value)
