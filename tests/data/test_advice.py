import numpy as np
import pytest

from glomseg.data.advice import TARGET_DIAMETER_PX, check_trainable, choose_factor
from glomseg.data.dataset import open_dataset
from glomseg.data.statistics import scan_masks
from glomseg.errors import InvalidInputError
from glomseg.images import write_png


def dataset_of_discs(root, diameter_px: int):
    mask = np.zeros((600, 600), np.uint8)
    rows, columns = np.ogrid[:600, :600]
    mask[(rows - 300) ** 2 + (columns - 300) ** 2 <= (diameter_px / 2) ** 2] = 1
    mask[:20, :20] = 1  # cut by the border: says nothing about the size
    write_png(root / "images" / "A_1_1.png", np.zeros((600, 600, 3), np.uint8))
    write_png(root / "masks" / "A_1_1.png", mask)
    return open_dataset(root)


def test_objects_are_brought_to_the_working_size(tmp_path):
    dataset = dataset_of_discs(tmp_path, 360)
    factor, reason = choose_factor(dataset, scan_masks(dataset), seed=0)
    assert factor == pytest.approx(TARGET_DIAMETER_PX / 360, rel=0.01)
    assert "360 px" in reason
    assert "--mpp" in reason


def test_tiles_are_never_enlarged(tmp_path):
    dataset = dataset_of_discs(tmp_path, 30)
    assert choose_factor(dataset, scan_masks(dataset), seed=0)[0] == 1.0


def test_nothing_to_train_on(tmp_path):
    dataset = dataset_of_discs(tmp_path, 30)
    with pytest.raises(InvalidInputError, match="has no tiles"):
        check_trainable(dataset, [])
