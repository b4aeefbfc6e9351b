import math

import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.measure import ObjectSettings, connected_components, find_objects

from .drawing import disc

EVERYTHING = ObjectSettings(min_diameter_px=0, max_hole_ratio=0, max_neck_ratio=0)


def objects(mask, *, n_classes=2, mpp=None, **settings):
    values = {"min_diameter_px": 0, "max_neck_ratio": 0, **settings}
    return list(find_objects(mask, n_classes=n_classes, mpp=mpp, settings=ObjectSettings(**values)))


def painted(items, shape):
    mask = np.zeros(shape, np.uint8)
    for item in items:
        height, width = item.pixels.shape
        box = mask[item.row : item.row + height, item.column : item.column + width]
        assert not box[item.pixels].any(), "objects overlap"
        box[item.pixels] = item.class_index
    return mask


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("density", [0.02, 0.3, 0.7])
def test_with_nothing_filled_or_parted_they_are_the_connected_components(seed, density):
    rng = np.random.default_rng(seed)
    mask = (rng.random((70, 61)) < density).astype(np.uint8) * rng.integers(1, 3, (70, 61), dtype=np.uint8)
    found = list(find_objects(mask, n_classes=3, mpp=None, settings=EVERYTHING))
    assert np.array_equal(painted(found, mask.shape), mask)
    expected = connected_components(mask, n_classes=3)
    place = sorted((item.class_index, item.row, item.column, int(item.pixels.sum())) for item in found)
    assert place == sorted((piece.class_index, piece.y_px, piece.x_px, piece.area_px) for piece in expected)


def test_a_hole_no_larger_than_its_ring_is_filled():
    ring = disc(100, centre=(50, 50), radius=40) & ~disc(100, centre=(50, 50), radius=25)
    mask = ring.astype(np.uint8)
    (filled,) = objects(mask)
    assert filled.pixels.sum() == pytest.approx(math.pi * 1600, rel=0.01)
    (kept,) = objects(mask, max_hole_ratio=0.1)
    assert kept.pixels.sum() == mask.sum()
    wide = disc(100, centre=(50, 50), radius=40) & ~disc(100, centre=(50, 50), radius=35)
    assert objects(wide.astype(np.uint8))[0].pixels.sum() == wide.sum()


def test_a_web_is_not_filled_though_each_of_its_holes_is_small():
    mask = np.zeros((130, 130), np.uint8)
    mask[::8] = mask[:, ::8] = 1
    (item,) = objects(mask)
    assert item.pixels.sum() < 2 * mask.sum() + 64
    assert item.pixels.mean() < 0.6


def test_an_island_in_a_filled_hole_belongs_to_what_is_around_it():
    mask = np.zeros((120, 120), np.uint8)
    mask[disc(120, centre=(60, 60), radius=55) & ~disc(120, centre=(60, 60), radius=35)] = 1
    mask[58:62, 58:62] = 1
    (item,) = objects(mask)
    assert item.pixels[55, 55]
    assert len(objects(mask, max_hole_ratio=0)) == 2


def test_another_class_in_a_hole_stays():
    mask = np.zeros((60, 60), np.uint8)
    mask[disc(60, centre=(30, 30), radius=25)] = 1
    mask[disc(60, centre=(30, 30), radius=12)] = 0
    mask[28:32, 28:32] = 2
    mask[30, 34] = 255
    items = objects(mask, n_classes=3)
    assert [item.class_index for item in items] == [1, 2]
    assert np.array_equal(painted(items, mask.shape) == 2, mask == 2)
    assert painted(items, mask.shape)[30, 34] == 0, "ignored pixels are not filled"
    assert painted(items, mask.shape)[30, 24] == 1


def test_specks_are_dropped_in_micrometres_or_pixels():
    mask = np.zeros((200, 200), np.uint8)
    mask[disc(200, centre=(60, 60), radius=30)] = 1
    mask[disc(200, centre=(150, 150), radius=20)] = 1
    assert len(objects(mask, mpp=1.0, min_diameter_um=50)) == 1
    assert len(objects(mask, mpp=1.5, min_diameter_um=50)) == 2
    assert len(objects(mask, mpp=0.5, min_diameter_um=50)) == 0
    assert len(objects(mask, min_diameter_px=41)) == 1
    assert len(objects(mask, mpp=0.1, min_diameter_um=50, min_diameter_px=1)) == 0


def test_touching_ones_are_parted_and_both_are_there():
    mask = (disc(200, centre=(60, 60), radius=40) | disc(200, centre=(120, 90), radius=35)).astype(np.uint8)
    items = objects(mask, max_neck_ratio=0.8)
    assert len(items) == 2
    assert np.array_equal(painted(items, mask.shape), mask)


def test_a_mask_in_a_file_is_enough(tmp_path):
    on_disk = np.memmap(tmp_path / "mask", dtype=np.uint8, mode="w+", shape=(300, 257))
    on_disk[10:60, 200:257] = 1
    (item,) = objects(on_disk)
    assert (item.row, item.column, item.pixels.shape) == (10, 200, (50, 57))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (9, 9)])
def test_nothing_gives_nothing(shape):
    assert objects(np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_diameter_um": -1}, "min_diameter_um is -1"),
        ({"min_diameter_px": math.nan}, "min_diameter_px is nan"),
        ({"max_hole_ratio": math.inf}, "max_hole_ratio is inf"),
        ({"max_neck_ratio": 1.0}, r"max_neck_ratio is 1\.0; it is a share"),
    ],
)
def test_settings_that_make_no_sense(values, message):
    with pytest.raises(InvalidInputError, match=message):
        ObjectSettings(**values)
