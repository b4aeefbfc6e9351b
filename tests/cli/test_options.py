import numpy as np
import pytest

from glomseg.cli.options import DatasetOptions, TtaOptions, open_with, tta_with
from glomseg.errors import InvalidInputError
from glomseg.images import write_png
from glomseg.types import TestTimeAugmentation


@pytest.fixture
def data(tmp_path):
    for name in ("x-P1-a", "x-P1-b", "y-P2-a"):
        write_png(tmp_path / "images" / f"{name}.png", np.zeros((2, 2, 3), np.uint8))
        write_png(tmp_path / "masks" / f"{name}.png", np.zeros((2, 2), np.uint8))
    (tmp_path / "tiles.csv").write_text("name,slide\nx-P1-a,S\nx-P1-b,S\ny-P2-a,T\n")
    return tmp_path


def test_nothing_said_is_the_default(data):
    dataset = open_with(data, None)
    assert dataset == open_with(data, DatasetOptions())
    assert dataset.classes.names == ("background", "glomerulus")
    assert dataset.mask_values is None


def test_lists_are_split_at_commas(data):
    options = DatasetOptions(classes="background, glomerulus ,肾小管", mask_values="0, 128,255", mpp=0.5)
    dataset = open_with(data, options)
    assert dataset.classes.names == ("background", "glomerulus", "肾小管")
    assert dataset.mask_values == (0, 128, 255)
    assert dataset.mpp == 0.5


def test_groups_by_pattern_and_by_column(data):
    by_pattern = open_with(data, DatasetOptions(group_pattern=r"-(P\d)-"))
    assert [sample.group for sample in by_pattern.samples] == ["P1", "P1", "P2"]
    by_column = open_with(data, DatasetOptions(group_column="slide"))
    assert [sample.group for sample in by_column.samples] == ["S", "S", "T"]


@pytest.mark.parametrize("text", ["0;255", "0,", "a,b", "", "0.5,1"])
def test_values_that_are_no_whole_numbers(data, text):
    with pytest.raises(InvalidInputError, match="is not a list of whole numbers such as 0,255"):
        open_with(data, DatasetOptions(mask_values=text))


@pytest.mark.parametrize("text", ["background,", "background", ",,"])
def test_class_names_that_cannot_be(data, text):
    with pytest.raises(InvalidInputError, match="class"):
        open_with(data, DatasetOptions(classes=text))


def test_masks_may_be_absent_where_they_are_not_needed(data):
    (data / "masks" / "x-P1-a.png").unlink()
    assert len(open_with(data, None, need_masks=False)) == 3
    with pytest.raises(InvalidInputError, match="have no mask"):
        open_with(data, None)


def test_classes_come_from_the_masks_unless_they_are_named(data, capsys):
    write_png(data / "masks" / "x-P1-a.png", np.array([[0, 1], [2, 255]], np.uint8))
    assert open_with(data, None).classes.names == ("background", "class 1", "class 2")
    assert "--classes 'background,class 1,class 2' would name them" in capsys.readouterr().err
    named = open_with(data, DatasetOptions(classes="background,tuft,capsule"))
    assert named.classes.names == ("background", "tuft", "capsule")
    assert open_with(data, DatasetOptions(classes="background,glomerulus")).classes.names[1] == "glomerulus"
    assert capsys.readouterr().err == ""


def test_masks_of_0_and_255_keep_the_default_classes(data):
    for path in (data / "masks").iterdir():
        write_png(path, np.array([[0, 255], [0, 0]], np.uint8))
    assert open_with(data, None).classes.names == ("background", "glomerulus")


def test_flags_of_test_time_augmentation():
    assert tta_with(None) is False
    assert tta_with(TtaOptions(tta=True)) is True
    assert tta_with(TtaOptions(tta_flips="horizontal, both")) == TestTimeAugmentation(
        flips=("none", "horizontal", "both")
    )
    assert tta_with(TtaOptions(tta=True, tta_scales="0.5,1,1.25")) == TestTimeAugmentation(
        scales=(0.5, 1.0, 1.25), flips=("none",)
    )
    assert tta_with(TtaOptions(tta_scales="2", tta_flips="none,vertical")).flips == ("none", "vertical")
    with pytest.raises(InvalidInputError, match=r"--tta-scales '1;2' is not a list of numbers such as 0\.75"):
        tta_with(TtaOptions(tta_scales="1;2"))
    with pytest.raises(InvalidInputError, match="no flip 'up': there are none, horizontal, vertical, both"):
        tta_with(TtaOptions(tta_flips="up"))
