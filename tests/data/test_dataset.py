import numpy as np
import pytest

from glomseg.data.dataset import NO_GROUPS, group_of_name, infer_classes, open_dataset
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.images import write_png
from glomseg.types import GLOMERULUS


def make(root, masks, *, folder="masks"):
    """Write one 4 x 4 image a mask; the mask's values fill its first pixels."""
    for name, values in masks.items():
        write_png(root / "images" / f"{name}.png", np.full((4, 4, 3), 200, np.uint8))
        if values is not None:
            mask = np.zeros(16, np.uint8)
            mask[: len(values)] = values
            write_png(root / folder / f"{name}.png", mask.reshape(4, 4))
    return root


def groups(dataset):
    return {sample.name: sample.group for sample in dataset.samples}


def test_the_plain_case(tiny_dataset):
    dataset = open_dataset(tiny_dataset)
    assert len(dataset) == 12
    assert dataset.samples == tuple(sorted(dataset.samples, key=lambda sample: sample.name))
    first = dataset.samples[0]
    assert (first.name, first.group) == ("SITE_S01_T01", "SITE_S01")
    assert first.image_path == tiny_dataset / "images" / "SITE_S01_T01.png"
    assert first.mask_path == tiny_dataset / "masks" / "SITE_S01_T01.png"
    assert dataset.classes == GLOMERULUS
    assert (dataset.mask_values, dataset.ignore_value, dataset.mpp) == (None, None, None)
    assert dataset.grouping == "name <site>_<slide>_<tile>"


def test_opening_twice_gives_the_same(tiny_dataset):
    assert open_dataset(tiny_dataset) == open_dataset(str(tiny_dataset))


def test_no_such_folder(tmp_path):
    with pytest.raises(MissingInputError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")


def test_images_without_any_mask(tmp_path):
    make(tmp_path, {"a": None, "b": None})
    with pytest.raises(InvalidInputError, match="2 images but no masks; a mask has its image's name"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, need_masks=False)
    assert [sample.mask_path for sample in dataset.samples] == [None, None]


def test_one_missing_mask_is_refused_by_name(tmp_path):
    make(tmp_path, {"a": [1], "b": None, "c": [1]})
    with pytest.raises(InvalidInputError, match=r"1 of 3 images .* no mask, the first is 'b\.png'.*glomseg inspect"):
        open_dataset(tmp_path)


def test_a_folder_of_images_alone_is_enough_for_prediction(tmp_path):
    write_png(tmp_path / "x 1.png", np.zeros((4, 4, 3), np.uint8))
    assert [sample.name for sample in open_dataset(tmp_path, need_masks=False).samples] == ["x 1"]


# --- groups


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("AIDPATH_E_6", "AIDPATH_E"),
        ("SYN_S03_T07", "SYN_S03"),
        ("a_b_c_d", "a_b_c"),
        ("slide12_x1024_y2048", "slide12"),
        ("slide12_X1024_Y2048", "slide12"),
        ("slide-1_0_1024", "slide-1"),
        ("S1-2_x3_y4", "S1-2"),
        ("TCGA-AB-1234 [x=512,y=0]", "TCGA-AB-1234"),
        ("case 7_512-1024", "case 7"),
        ("tile7", None),
        ("a_b", None),
        ("tile_7", None),
        ("3f8a9c", None),
        ("", None),
    ],
)
def test_groups_that_names_tell(name, group):
    assert group_of_name(name) == group


def test_names_that_hide_groups_leave_every_tile_alone(tmp_path):
    dataset = open_dataset(make(tmp_path, {"a": [1], "b": [1]}))
    assert groups(dataset) == {"a": "a", "b": "b"}
    assert dataset.grouping == NO_GROUPS


def test_a_pattern_names_the_group(tmp_path):
    make(tmp_path, {"x-P1-a": [1], "x-P1-b": [1], "y-P2-a": [1]})
    expected = {"x-P1-a": "P1", "x-P1-b": "P1", "y-P2-a": "P2"}
    assert groups(open_dataset(tmp_path, group_pattern=r"-(P\d+)-")) == expected
    dataset = open_dataset(tmp_path, group_pattern=r"^(x|y)-(?P<group>P\d+)")
    assert groups(dataset) == expected
    assert dataset.grouping == r"pattern ^(x|y)-(?P<group>P\d+)"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is no regular expression: missing"),
        ("abc", "has 0 groups; it needs one, or one named group"),
        ("(a)(b)", "has 2 groups; it needs one"),
        ("^(Q)", "finds no group in the name 'a'"),
        ("^(q*)", "finds no group in the name 'a'"),
        ("(q)?a", "finds no group in the name 'a'"),
    ],
)
def test_patterns_that_find_nothing(tmp_path, pattern, message):
    make(tmp_path, {"a": [1]})
    with pytest.raises(InvalidInputError, match=message):
        open_dataset(tmp_path, group_pattern=pattern)


def test_case_folders_are_groups(tmp_path):
    for case in ("DN/c1", "DN/c2"):
        for tile in (1, 2):
            write_png(tmp_path / case / "img" / f"t{tile}_img.png", np.zeros((4, 4, 3), np.uint8))
            write_png(tmp_path / case / "mask" / f"t{tile}_mask.png", np.zeros((4, 4), np.uint8))
    dataset = open_dataset(tmp_path)
    assert groups(dataset) == {"DN/c1/t1": "DN/c1", "DN/c1/t2": "DN/c1", "DN/c2/t1": "DN/c2", "DN/c2/t2": "DN/c2"}
    assert dataset.grouping == "case folder"


def test_one_slide_in_train_and_val_folders_is_one_group(tmp_path):
    for part, name in (("train", "A_S1_T1"), ("val", "A_S1_T2"), ("val", "A_S2_T1")):
        write_png(tmp_path / "img_dir" / part / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
        write_png(tmp_path / "ann_dir" / part / f"{name}.png", np.zeros((4, 4), np.uint8))
    assert groups(open_dataset(tmp_path)) == {
        "train/A_S1_T1": "A_S1",
        "val/A_S1_T2": "A_S1",
        "val/A_S2_T1": "A_S2",
    }


def test_a_group_column_of_tiles_csv(tmp_path):
    make(tmp_path, {"a": [1], "b": [1]})
    (tmp_path / "tiles.csv").write_text("name,slide\na,S1\nb,S1\n")
    dataset = open_dataset(tmp_path, group_column="slide")
    assert groups(dataset) == {"a": "S1", "b": "S1"}
    assert dataset.grouping == "column slide"


def test_a_csv_with_a_group_column(tmp_path):
    make(tmp_path, {"a": [1], "b": [1]})
    path = tmp_path / "pairs.csv"
    path.write_text("image,mask,group\nimages/a.png,masks/a.png,S1\nimages/b.png,masks/b.png,\n")
    dataset = open_dataset(path)
    assert groups(dataset) == {"images/a": "S1", "images/b": "images/b"}
    assert dataset.grouping == "column group"


# --- classes and values


def test_classes_and_values_are_as_asked_for(tmp_path):
    make(tmp_path, {"a": [0, 128, 255]})
    dataset = open_dataset(tmp_path, classes=["background", "glomerulus", "tubule"], mask_values=[0, 128, 255], mpp=0.5)
    assert dataset.classes.names == ("background", "glomerulus", "tubule")
    assert (dataset.mask_values, dataset.mpp) == ((0, 128, 255), 0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, 2], r"0,1,2 has 3 values for 2 classes \(background, glomerulus\)"),
        ([0, 0], "must be different, from 0 to 255"),
        ([0, 256], "must be different, from 0 to 255"),
        ([-1, 1], "must be different, from 0 to 255"),
    ],
)
def test_values_that_cannot_be(tmp_path, values, message):
    make(tmp_path, {"a": [1]})
    with pytest.raises(InvalidInputError, match=message):
        open_dataset(tmp_path, mask_values=values)


@pytest.mark.parametrize("mpp", [0, -1, 1000, float("nan"), float("inf")])
def test_an_implausible_mpp(tmp_path, mpp):
    make(tmp_path, {"a": [1]})
    with pytest.raises(InvalidInputError, match="not a plausible number of micrometres per pixel"):
        open_dataset(tmp_path, mpp=mpp)


def test_infer_classes_keeps_two_classes_where_masks_hold_no_more(tmp_path):
    dataset = open_dataset(make(tmp_path, {"a": [0, 1, 255], "b": [0]}))
    assert infer_classes(dataset) is dataset


def test_infer_classes_names_every_value(tmp_path):
    dataset = infer_classes(open_dataset(make(tmp_path, {"a": [0, 1], "b": [0, 3]})))
    assert dataset.classes.names == ("background", "class_1", "class_2", "class_3")
    assert len(set(dataset.classes.colors)) == 4


def test_infer_classes_believes_what_was_said(tmp_path):
    dataset = open_dataset(make(tmp_path, {"a": [0, 7, 9]}), mask_values=[0, 7])
    assert infer_classes(dataset) is dataset


def test_infer_classes_does_not_take_grey_levels_for_classes(tmp_path):
    dataset = open_dataset(make(tmp_path, {"a": list(range(0, 160, 10))}))
    with pytest.raises(InvalidInputError, match=r"values up to 150, too many.*--mask-values 0,128,255"):
        infer_classes(dataset)


def test_nnunet_ignore_label_reaches_the_data_set(tmp_path):
    write_png(tmp_path / "imagesTr" / "c_0000.png", np.zeros((4, 4, 3), np.uint8))
    write_png(tmp_path / "labelsTr" / "c.png", np.full((4, 4), 2, np.uint8))
    (tmp_path / "dataset.json").write_text(
        '{"labels": {"background": 0, "glomerulus": 1, "ignore": 2}, "channel_names": {"0": "R", "1": "G", "2": "B"}}'
    )
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("background", "glomerulus")
    assert dataset.ignore_value == 2
    assert infer_classes(dataset) is dataset


@pytest.mark.real
def test_real_tissue_is_grouped_by_region(shared_data):
    dataset = open_dataset(shared_data / "aidpath_pas")
    assert len(dataset) == 18
    assert {sample.group for sample in dataset.samples} == {f"AIDPATH_{letter}" for letter in "BCDEFG"}


@pytest.mark.real
def test_real_names_of_hashes_hide_their_groups(shared_data):
    dataset = open_dataset(shared_data / "dsb2018_purple")
    assert len(dataset) == 107
    assert dataset.grouping == NO_GROUPS
