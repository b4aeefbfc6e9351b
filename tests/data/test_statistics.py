import numpy as np
import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.statistics import TileStatistics, holds_only_ignored, scan_masks
from glomseg.errors import InvalidInputError
from glomseg.images import write_png


def make(root, **masks):
    for name, mask in masks.items():
        write_png(root / "images" / f"{name}.png", np.zeros((*np.shape(mask), 3), np.uint8))
        write_png(root / "masks" / f"{name}.png", np.array(mask, np.uint8))
    return root


def test_every_mask_is_counted(tmp_path):
    make(tmp_path, A_1_1=[[0, 1, 1], [0, 0, 255]], A_1_2=[[0, 0]])
    first, second = scan_masks(open_dataset(tmp_path))
    assert first == TileStatistics(name="A_1_1", group="A_1", height=2, width=3, class_pixels=(3, 2), ignored_pixels=1)
    assert second == TileStatistics(name="A_1_2", group="A_1", height=1, width=2, class_pixels=(2, 0), ignored_pixels=0)
    assert (first.foreground_pixels, second.foreground_pixels) == (2, 0)


def test_values_are_mapped_to_classes(tmp_path):
    make(tmp_path, a=[[0, 128, 255, 255]])
    dataset = open_dataset(tmp_path, classes=["background", "x", "y"], mask_values=[0, 128, 255])
    (item,) = scan_masks(dataset)
    assert item.class_pixels == (1, 1, 2)
    assert item.ignored_pixels == 0


def test_foreground_is_every_class_but_the_background(tmp_path):
    (item,) = scan_masks(open_dataset(make(tmp_path, a=[[0, 1, 2, 2]]), classes=["background", "x", "y"]))
    assert item.foreground_pixels == 3


def test_masks_of_0_and_255_alone_are_refused_with_the_option_that_mends_it(tmp_path):
    make(tmp_path, a=[[0, 255]], b=[[0, 0]])
    with pytest.raises(InvalidInputError, match="hold only 0 and 255.*--mask-values 0,255"):
        scan_masks(open_dataset(tmp_path))
    assert sum(item.foreground_pixels for item in scan_masks(open_dataset(tmp_path, mask_values=[0, 255]))) == 1


def test_one_tile_of_0_and_255_among_others_is_ignored_pixels(tmp_path):
    make(tmp_path, a=[[0, 255]], b=[[0, 1]])
    statistics = scan_masks(open_dataset(tmp_path))
    assert [item.ignored_pixels for item in statistics] == [1, 0]
    assert not holds_only_ignored(statistics)


def test_masks_of_background_alone_are_not_mistaken_for_0_and_255(tmp_path):
    assert not holds_only_ignored(scan_masks(open_dataset(make(tmp_path, a=[[0, 0]]))))


def test_a_value_of_no_class_is_refused_by_file(tmp_path):
    make(tmp_path, a=[[0, 7]])
    with pytest.raises(InvalidInputError, match=r"a\.png' holds the values \[0, 7\]"):
        scan_masks(open_dataset(tmp_path))


def test_a_tile_without_a_mask_is_refused(tmp_path):
    write_png(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(InvalidInputError, match="tile 'a' has no mask"):
        scan_masks(open_dataset(tmp_path, need_masks=False))


def test_progress_counts_to_the_end(tiny_dataset):
    seen = []
    scan_masks(open_dataset(tiny_dataset), progress=lambda done, total, note="": seen.append((done, total)))
    assert seen == [(number, 12) for number in range(1, 13)]
