"""Pictures in a page: small enough, and masks to the byte."""

import base64
import io
import zlib

import numpy as np
from PIL import Image

from glomseg.report.embedding import embedded_masks, picture_side_px, shrunk_size, tile_picture


def test_masks_come_back_to_the_byte():
    truth = np.array([[0, 1, 255], [2, 0, 1]], np.uint8)
    prediction = np.array([[1, 1, 0], [2, 2, 0]], np.uint8)
    planes = zlib.decompress(base64.b64decode(embedded_masks([truth, prediction], side_px=100)))
    assert planes == truth.tobytes() + prediction.tobytes()


def test_image_and_masks_are_shrunk_alike():
    image = np.zeros((200, 101, 3), np.uint8)
    image[:100] = 255
    mask = (image[..., 0] > 0).astype(np.uint8)
    picture = tile_picture(image, [mask], side_px=50)
    assert (picture.height, picture.width) == (50, 25)
    decoded = Image.open(io.BytesIO(base64.b64decode(picture.image.partition(",")[2])))
    assert decoded.size == (25, 50)
    plane = np.frombuffer(zlib.decompress(base64.b64decode(picture.masks)), np.uint8).reshape(50, 25)
    assert plane[:25].all()
    assert not plane[25:].any()
    assert not picture.has_ignored


def test_small_pictures_are_not_enlarged_and_thin_ones_do_not_vanish():
    assert shrunk_size(10, 20, side_px=100) == (10, 20)
    assert shrunk_size(1, 5000, side_px=100) == (1, 100)


def test_ignored_pixels_and_missing_masks_are_known():
    image = np.zeros((4, 4, 3), np.uint8)
    assert tile_picture(image, [np.full((4, 4), 255, np.uint8)], side_px=4).has_ignored
    assert tile_picture(image, [], side_px=4).masks == ""


def test_more_tiles_get_smaller_pictures():
    sides = [picture_side_px(n) for n in (0, 1, 100, 400, 100000)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == 768
    assert sides[-1] == 224
