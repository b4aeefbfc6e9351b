import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glomseg.data.duplicates import equal_sets, is_blank, similar_sets
from glomseg.images import read_image


def texture(seed, *, side=256):
    """A picture of blobs, (side, side, 3) uint8, like no other seed's."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(side, side, 3)), (0, 0), 5)
    return np.clip(150 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def thumbnail(image):
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA)


def as_jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def with_light(image, factor, offset=0):
    return np.clip(image * factor + offset, 0, 255).astype(np.uint8)


CHANGES = {
    "jpeg": lambda image: as_jpeg(image, 30),
    "brighter": lambda image: with_light(image, 1.1, 5),
    "darker": lambda image: with_light(image, 0.8),
    "half size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), 1.5),
    "stained": lambda image: with_light(image, np.array([1.05, 0.95, 1.0])),
    "uneven light": lambda image: with_light(image, np.linspace(0.85, 1, image.shape[1])[:, None]),
    "jpeg and darker": lambda image: as_jpeg(with_light(image, 0.9), 50),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_others(change):
    tiles = [texture(seed) for seed in range(12)]
    tiles.append(CHANGES[change](tiles[7]))
    assert similar_sets([thumbnail(tile) for tile in tiles]) == [[7, 12]]


def test_blank_tiles_are_no_copies():
    rng = np.random.default_rng(0)
    blank = [
        np.full((256, 256, 3), 240, np.uint8),
        np.full((256, 256, 3), 255, np.uint8),
        np.full((256, 256, 3), 240, np.uint8),
        rng.normal(238, 3, (256, 256, 3)).astype(np.uint8),
        with_light(np.full((256, 256, 3), 240, np.uint8), np.linspace(0.8, 1, 256)[:, None]),  # vignetting
    ]
    assert all(is_blank(thumbnail(tile)) for tile in blank)
    assert not is_blank(thumbnail(texture(0)))
    assert similar_sets([thumbnail(tile) for tile in blank]) == []


def test_tiles_with_the_same_edge_of_tissue_are_no_copies():
    tiles = [texture(seed) for seed in range(6)]
    for tile in tiles:
        tile[:, :128] = 240
    assert similar_sets([thumbnail(tile) for tile in tiles]) == []


def test_sets_are_closed_and_missing_tiles_are_skipped():
    first, second = texture(1), texture(2)
    tiles = [first, second, as_jpeg(first, 60), with_light(first, 0.9), with_light(second, 0.9)]
    thumbnails = [None, *map(thumbnail, tiles), None]
    assert similar_sets(thumbnails) == [[1, 3, 4], [2, 5]]
    assert similar_sets([None, None]) == []
    assert similar_sets([]) == []
    assert similar_sets([thumbnail(first)]) == []


def test_copies_are_found_across_blocks(monkeypatch):
    tiles = [thumbnail(texture(seed, side=64)) for seed in range(11)]
    tiles += [tiles[0], tiles[10]]
    whole = similar_sets(tiles)
    monkeypatch.setattr("glomseg.data.duplicates._CHUNK", 3)
    assert similar_sets(tiles) == whole == [[0, 11], [10, 12]]


def test_equal_sets():
    assert equal_sets(["a", "b", "a", "", "", "c", "b", "a"]) == [[0, 2, 7], [1, 6]]
    assert equal_sets([]) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=10))
def test_sets_are_those_of_equal_content(seeds):
    sets = similar_sets([thumbnail(texture(seed, side=64)) for seed in seeds])
    expected = [[i for i, other in enumerate(seeds) if other == seed] for seed in dict.fromkeys(seeds)]
    assert sets == [members for members in expected if len(members) > 1]


@pytest.mark.real
def test_tissue(shared_data):
    paths = sorted((shared_data / "aidpath_pas" / "images").glob("*.png"))
    tiles = [read_image(path) for path in paths]
    thumbnails = [thumbnail(tile) for tile in tiles]
    assert similar_sets(thumbnails) == []
    copies = [thumbnail(as_jpeg(with_light(tile, 0.9), 40)) for tile in tiles]
    assert similar_sets(thumbnails + copies) == [[i, i + len(tiles)] for i in range(len(tiles))]
