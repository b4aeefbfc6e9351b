import numpy as np
import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.statistics import ObjectSize, TileStatistics, holds_only_ignored, scan_masks
from glomseg.errors import InvalidInputError
from glomseg.images import write_png


def tile(root, name, mask):
    mask = np.array(mask, np.uint8)
    write_png(root / "images" / f"{name}.png", np.zeros((*mask.shape, 3), np.uint8))
    write_png(root / "masks" / f"{name}.png", mask)


def test_what_masks_hold(tmp_path):
    tile(tmp_path, "s_1_a", [[0, 1, 1], [255, 0, 0]])
    tile(tmp_path, "s_2_b", [[0], [0]])
    reports = []
    statistics = scan_masks(open_dataset(tmp_path), progress=lambda done, total, note="": reports.append((done, total)))
    assert statistics == (
        TileStatistics(
            name="s_1_a",
            group="s_1",
            height=2,
            width=3,
            class_pixels=(3, 2),
            ignored_pixels=1,
            objects=(ObjectSize(class_index=1, area_px=2, touches_border=True),),
        ),
        TileStatistics(name="s_2_b", group="s_2", height=2, width=1, class_pixels=(2, 0), ignored_pixels=0),
    )
    assert [item.foreground_pixels for item in statistics] == [2, 0]
    assert reports == [(1, 2), (2, 2)]


def test_mask_values_are_mapped(tmp_path):
    tile(tmp_path, "s_1_a", [[0, 255, 255]])
    (statistics,) = scan_masks(open_dataset(tmp_path, mask_values=[0, 255]))
    assert (statistics.class_pixels, statistics.ignored_pixels) == ((1, 2), 0)


def test_255_taken_for_ignored_is_noticed(tmp_path):
    tile(tmp_path, "s_1_a", [[0, 255]])
    tile(tmp_path, "s_1_b", [[0, 0]])
    with pytest.raises(InvalidInputError, match=r"only 0 and 255, and 255 means 'ignore'.*--mask-values 0,255"):
        scan_masks(open_dataset(tmp_path))


def test_values_of_no_class(tmp_path):
    tile(tmp_path, "s_1_a", [[0, 7]])
    with pytest.raises(InvalidInputError, match=r"s_1_a\.png' holds the values \[0, 7\]"):
        scan_masks(open_dataset(tmp_path))


def test_a_tile_without_a_mask(tmp_path):
    tile(tmp_path, "s_1_a", [[0]])
    (tmp_path / "masks" / "s_1_a.png").unlink()
    with pytest.raises(InvalidInputError, match="tile 's_1_a' has no mask"):
        scan_masks(open_dataset(tmp_path, need_masks=False))


def test_only_ignored():
    def of(foreground, ignored):
        return TileStatistics(
            name="a", group="a", height=1, width=9, class_pixels=(1, foreground), ignored_pixels=ignored
        )

    assert holds_only_ignored([of(0, 3), of(0, 0)])
    assert not holds_only_ignored([of(0, 3), of(1, 0)])
    assert not holds_only_ignored([of(0, 0)])
    assert not holds_only_ignored([])


def test_a_diameter_is_that_of_the_circle_of_the_same_area():
    assert ObjectSize(class_index=1, area_px=314, touches_border=False).diameter_px == pytest.approx(20, rel=1e-3)
