import json

import numpy as np
import pytest
from PIL import Image

from glomseg.data.dataset import infer_classes, open_dataset
from glomseg.data.groups import NO_GROUPS
from glomseg.data.statistics import scan_masks
from glomseg.data.tiles import read_tile
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.images import write_png

IMAGE = np.full((4, 5, 3), 200, np.uint8)


def fill(root, tiles):
    """Write images and masks; a tile is its mask's values, or None where it has no mask."""
    for name, values in tiles.items():
        write_png(root / "images" / f"{name}.png", IMAGE)
        if values is not None:
            write_png(root / "masks" / f"{name}.png", np.resize(np.array(values, np.uint8), (4, 5)))
    return root


def groups_of(root, **options):
    dataset = open_dataset(root, **options)
    return {sample.name: sample.group for sample in dataset.samples}, dataset.grouping


def test_what_is_opened(tmp_path):
    dataset = open_dataset(fill(tmp_path, {"X_1_2": [0, 1], "X_1_1": [0]}), mpp=0.5)
    assert [sample.name for sample in dataset.samples] == ["X_1_1", "X_1_2"]
    assert dataset.samples[0].image_path == tmp_path / "images" / "X_1_1.png"
    assert dataset.samples[0].mask_path == tmp_path / "masks" / "X_1_1.png"
    assert dataset.classes.names == ("background", "glomerulus")
    assert (dataset.mpp, dataset.mask_values, dataset.ignore_value, dataset.root) == (0.5, None, None, tmp_path)


def test_groups_by_name_pattern_and_folder(tmp_path):
    fill(tmp_path, {"A_1_1": [0], "A_2_1": [0]})
    assert groups_of(tmp_path) == ({"A_1_1": "A_1", "A_2_1": "A_2"}, "name <site>_<slide>_<tile>")
    assert groups_of(tmp_path, group_pattern="^(.)_")[0] == {"A_1_1": "A", "A_2_1": "A"}
    assert groups_of(tmp_path, group_pattern="(.)_(?P<group>.)_")[0] == {"A_1_1": "1", "A_2_1": "2"}


def test_a_slide_in_train_and_val_is_one_group(tmp_path):
    fill(tmp_path, {"train/A_1_1": [0], "val/A_1_2": [0]})
    assert groups_of(tmp_path)[0] == {"train/A_1_1": "A_1", "val/A_1_2": "A_1"}


def test_folders_below_the_images_are_groups(tmp_path):
    fill(tmp_path, {"case1/t1": [0], "case1/t2": [0], "case2/t1": [0]})
    groups, grouping = groups_of(tmp_path)
    assert set(groups.values()) == {"case1", "case2"}
    assert grouping == "folder"


def test_case_folders_are_groups(tmp_path):
    for case in ("c1", "c2"):
        for kind, array in (("img", IMAGE), ("mask", IMAGE[..., 0] * 0)):
            write_png(tmp_path / "DN" / case / kind / f"t_{kind}.png", array)
    assert groups_of(tmp_path) == ({"DN/c1/t": "DN/c1", "DN/c2/t": "DN/c2"}, "case folder")


def test_names_that_hide_their_slide(tmp_path):
    fill(tmp_path, {"t1": [0], "t2": [0]})
    assert groups_of(tmp_path) == ({"t1": "t1", "t2": "t2"}, NO_GROUPS)


def test_groups_from_columns(tmp_path):
    fill(tmp_path, {"t1": [0], "t2": [0]})
    (tmp_path / "tiles.csv").write_text("file,slide\nt1.png,s1\nt2.png,\n")
    assert groups_of(tmp_path, group_column="slide") == ({"t1": "s1", "t2": "t2"}, "column slide")
    (tmp_path / "pairs.csv").write_text("image,mask,group\nimages/t1.png,masks/t1.png,s1\n")
    assert groups_of(tmp_path / "pairs.csv") == ({"images/t1": "s1"}, "column group")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is no regular expression"),
        ("abc", "has 0 groups; it needs one"),
        ("(.)(.)", "has 2 groups"),
        ("^(x)", "finds no group in the name 'A_1_1'"),
        ("^(x?)", "finds no group in the name 'A_1_1'"),
    ],
)
def test_group_patterns_that_do_not_work(tmp_path, pattern, message):
    fill(tmp_path, {"A_1_1": [0]})
    with pytest.raises(InvalidInputError, match=message):
        open_dataset(tmp_path, group_pattern=pattern)


def test_missing_masks(tmp_path):
    fill(tmp_path, {"a_1_1": [0], "a_1_2": None})
    with pytest.raises(InvalidInputError, match=r"1 of 2 images .* have no mask, the first is 'a_1_2\.png'"):
        open_dataset(tmp_path)
    assert [sample.mask_path is None for sample in open_dataset(tmp_path, need_masks=False).samples] == [False, True]


def test_no_masks_at_all(tmp_path):
    fill(tmp_path, {"a_1_1": None})
    with pytest.raises(InvalidInputError, match=r"1 images but no masks.*`glomseg predict` needs none"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, need_masks=False)) == 1


def test_no_such_folder(tmp_path):
    with pytest.raises(MissingInputError, match="does not exist"):
        open_dataset(tmp_path / "gone")


@pytest.mark.parametrize("mpp", [0, -1, 1000, float("nan")])
def test_an_impossible_mpp(tmp_path, mpp):
    fill(tmp_path, {"a_1_1": [0]})
    with pytest.raises(InvalidInputError, match="not a plausible number of micrometres per pixel"):
        open_dataset(tmp_path, mpp=mpp)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0,), "has 1 values for 2 classes"),
        ((0, 1, 2), "has 3 values for 2 classes"),
        ((0, 0), "must be different, from 0 to 255"),
        ((0, 256), "must be different, from 0 to 255"),
        ((-1, 1), "must be different"),
    ],
)
def test_mask_values_that_do_not_fit(tmp_path, values, message):
    fill(tmp_path, {"a_1_1": [0]})
    with pytest.raises(InvalidInputError, match=message):
        open_dataset(tmp_path, mask_values=values)


def nnunet(root, labels, values):
    root.mkdir(exist_ok=True)
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "R"}, "labels": labels}))
    write_png(root / "imagesTr" / "C_0000.png", IMAGE[:1, :4])
    write_png(root / "labelsTr" / "C.png", np.array([values], np.uint8))
    return root


def test_nnunets_ignore_label_is_read_as_ignored(tmp_path):
    dataset = open_dataset(nnunet(tmp_path, {"background": 0, "tuft": 1, "ignore": 2}, [0, 1, 2, 255]))
    assert dataset.classes.names == ("background", "tuft")
    assert read_tile(dataset, dataset.samples[0])[1].tolist() == [[0, 1, 255, 255]]
    (statistics,) = scan_masks(dataset)
    assert (statistics.class_pixels, statistics.ignored_pixels) == ((1, 1), 2)


def test_named_classes_outrank_nnunets_ignore_label(tmp_path):
    root = nnunet(tmp_path, {"background": 0, "tuft": 1, "ignore": 2}, [0, 1, 2, 255])
    dataset = open_dataset(root, classes=["background", "a", "b"])
    assert dataset.ignore_value is None
    assert read_tile(dataset, dataset.samples[0])[1].tolist() == [[0, 1, 2, 255]]
    renamed = open_dataset(root, classes=["background", "a"])
    assert renamed.ignore_value == 2


def test_classes_are_inferred_from_the_masks(tmp_path):
    dataset = open_dataset(fill(tmp_path, {"a_1_1": [0, 1], "a_1_2": [0, 3, 2, 255]}))
    done = []
    inferred = infer_classes(dataset, progress=lambda *step: done.append(step))
    assert inferred.classes.names == ("background", "class 1", "class 2", "class 3")
    assert done == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    "values", [[0], [0, 1], [0, 255], [0, 1, 255], [0, 128], [0, 128, 255], [0, 1, 3], [1, 2, 3], list(range(30))]
)
def test_values_that_are_no_plain_indices_leave_the_classes(tmp_path, values):
    fill(tmp_path, {"a_1_1": [0]})
    write_png(tmp_path / "masks" / "a_1_1.png", np.array([values], np.uint8))
    dataset = open_dataset(tmp_path)
    assert infer_classes(dataset) is dataset


def test_named_classes_stay(tmp_path):
    fill(tmp_path, {"a_1_1": [0, 1, 2]})
    for options in ({"classes": ["background", "x"]}, {"mask_values": [1, 0]}):
        dataset = open_dataset(tmp_path, **options)
        assert infer_classes(dataset) is dataset


def test_broken_missing_and_smeared_masks_tell_no_classes(tmp_path):
    fill(tmp_path, {"a_1_1": [0, 1], "a_1_2": [0], "a_1_3": None})
    (tmp_path / "masks" / "a_1_2.png").write_bytes(b"")
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "masks" / "a_1_3.webp", lossless=True)
    dataset = open_dataset(tmp_path, need_masks=False)
    assert dataset.samples[2].mask_path is not None
    assert infer_classes(dataset) is dataset


def test_an_ignore_label_is_no_inferred_class(tmp_path):
    dataset = open_dataset(nnunet(tmp_path, {"background": 0, "glomerulus": 1, "ignore": 2}, [0, 1, 2, 255]))
    assert infer_classes(dataset) is dataset
