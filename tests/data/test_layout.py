import json

import numpy as np
import pytest

from glomseg.data.layout import find_files, image_files
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.images import write_png

IMAGE = np.full((4, 5, 3), 200, np.uint8)
MASK = np.zeros((4, 5), np.uint8)


def put(root, *names):
    """Write a small picture under each name: a mask where the name says mask or label, else an image."""
    for name in names:
        is_mask = any(word in name.lower() for word in ("mask", "label", "ann_dir"))
        write_png(root / name, MASK if is_mask else IMAGE)


def found(root, **options):
    """Return {name: (image, mask, case)} with paths below the root."""
    layout = find_files(root, **options)
    return {
        pair.name: (
            pair.image.relative_to(root).as_posix(),
            None if pair.mask is None else pair.mask.relative_to(root).as_posix(),
            pair.case,
        )
        for pair in layout.pairs
    }


@pytest.mark.parametrize(
    ("image", "mask", "name", "case"),
    [
        ("images/a.png", "masks/a.png", "a", None),
        ("img/a.tif", "mask/a.png", "a", None),
        ("Images/a.png", "Labels/a.png", "a", None),
        ("img_dir/train/a.png", "ann_dir/train/a.png", "train/a", None),
        ("train/images/a.png", "train/masks/a.png", "train/a", None),
        ("images/a_img.png", "masks/a_mask.png", "a", None),
        ("images/a_0000.png", "masks/a.png", "a", None),
        ("images/a.png", "masks/a_mask.png", "a", None),
        ("DN/case 3/img/t1_img.png", "DN/case 3/mask/t1_mask.png", "DN/case 3/t1", "DN/case 3"),
        ("train/case3/img/t1.png", "train/case3/mask/t1.png", "train/case3/t1", "case3"),
        ("a.png", "a_mask.png", "a", None),
        ("a_img.png", "a_label.png", "a", None),
        ("sub/a.png", "sub/a_mask.png", "sub/a", None),
    ],
)
def test_layouts_as_people_have_them(tmp_path, image, mask, name, case):
    put(tmp_path, image, mask)
    assert found(tmp_path) == {name: (image, mask, case)}


@pytest.mark.parametrize(
    "name", ["a b", "肾 小球", "line\nbreak", "[red]x[/red]", "a.b.c", "-rf", "quote'\"", "x" * 200]
)
def test_odd_names(tmp_path, name):
    put(tmp_path, f"images/{name}.png", f"masks/{name}.png")
    assert found(tmp_path) == {name: (f"images/{name}.png", f"masks/{name}.png", None)}


def test_an_ending_is_a_part_of_the_name_unless_the_mask_shows_otherwise(tmp_path):
    put(tmp_path, "images/a_img.png", "masks/a_img.png", "images/b_0000.png")
    assert list(found(tmp_path)) == ["a_img", "b_0000"]


def test_hidden_and_other_files_are_left_out(tmp_path):
    put(tmp_path, "images/a.png", "masks/a.png", "images/.b.png", "images/.thumbs/c.png", ".cache/images/d.png")
    (tmp_path / "images" / "notes.txt").write_text("x")
    (tmp_path / "images" / "folder.png").mkdir()
    assert list(found(tmp_path)) == ["a"]


def test_other_pictures_beside_the_folders_are_no_tiles(tmp_path):
    put(tmp_path, "images/a.png", "masks/a.png", "overview.png", "splits/plot.png")
    layout = find_files(tmp_path)
    assert [pair.name for pair in layout.pairs] == ["a"]
    assert layout.masks_without_image == ()


def test_unpaired_files(tmp_path):
    put(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/c.png")
    layout = find_files(tmp_path)
    assert [path.name for path in layout.images_without_mask] == ["b.png"]
    assert [path.name for path in layout.masks_without_image] == ["c.png"]


def test_clashing_images_and_masks(tmp_path):
    put(tmp_path, "images/a.png", "images/a.tif", "masks/a.png", "masks/a_mask.png", "images/b.png", "masks/b.png")
    layout = find_files(tmp_path)
    assert [pair.name for pair in layout.pairs] == ["a", "b"]
    assert sorted(path.name for path in layout.clashes) == ["a.tif", "a_mask.png"]
    assert layout.masks_without_image == ()


def test_linked_folders_are_followed_once(tmp_path):
    put(tmp_path / "elsewhere", "a.png")
    root = tmp_path / "data"
    put(root, "masks/a.png")
    (root / "images").symlink_to(tmp_path / "elsewhere")
    (root / "masks" / "loop").symlink_to(root)
    assert list(found(root)) == ["a"]
    assert len(image_files(root)) == 2


def test_no_folder_and_no_images(tmp_path):
    with pytest.raises(MissingInputError, match=r"'.*gone' does not exist"):
        find_files(tmp_path / "gone")
    with pytest.raises(InvalidInputError, match=r"holds no images \(0 image files in all\); looked for images/"):
        find_files(tmp_path)
    put(tmp_path, "masks/a.png")
    with pytest.raises(InvalidInputError, match=r"holds no images \(1 image files"):
        find_files(tmp_path)


def nnunet(root, **changes):
    values = {"channel_names": {"0": "R"}, "labels": {"background": 0, "glomerulus": 1}, "file_ending": ".png"}
    root.mkdir(exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(values | changes))
    put(root, "imagesTr/CASE_1_0000.png", "labelsTr/CASE_1.png", "imagesTs/CASE_2_0000.png")


def test_nnunet(tmp_path):
    nnunet(tmp_path)
    layout = find_files(tmp_path)
    assert found(tmp_path) == {"CASE_1": ("imagesTr/CASE_1_0000.png", "labelsTr/CASE_1.png", None)}
    assert (layout.kind, layout.class_names, layout.ignore_value) == ("nnU-Net", ("background", "glomerulus"), None)


def test_nnunet_labels_are_in_the_order_of_their_values_and_ignore_is_apart(tmp_path):
    nnunet(tmp_path, labels={"background": 0, "ignore": 3, "sclerotic": 2, "glomerulus": 1})
    layout = find_files(tmp_path)
    assert layout.class_names == ("background", "glomerulus", "sclerotic")
    assert layout.ignore_value == 3


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "a": 2},
        {"background": 0, "a": [1, 2]},
        {"background": 0, "a": "1"},
        {"background": 0, "ignore": 1, "a": 2},
        {"background": 0, "a": 1, "b": 1},
        {"background": False, "a": True},
        {"background": 0, "a": None},
    ],
)
def test_nnunet_labels_that_cannot_be_read(tmp_path, labels):
    nnunet(tmp_path, labels=labels)
    with pytest.raises(InvalidInputError, match="whole numbers from 0 without gaps, ignore the highest"):
        find_files(tmp_path)


def test_nnunet_channels_in_files_of_their_own(tmp_path):
    nnunet(tmp_path, channel_names={"0": "R", "1": "G"})
    put(tmp_path, "imagesTr/CASE_1_0001.png")
    with pytest.raises(InvalidInputError, match=r"one channel a file \(2 channels\).*one RGB file ending in _0000"):
        find_files(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"labels": NaN,}'])
def test_a_hostile_dataset_json(tmp_path, text):
    nnunet(tmp_path)
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InvalidInputError, match=r"dataset\.json' is not valid JSON"):
        find_files(tmp_path)


@pytest.mark.parametrize("labels", [None, [], 3])
def test_a_dataset_json_without_labels(tmp_path, labels):
    nnunet(tmp_path, labels=labels)
    with pytest.raises(InvalidInputError, match="has no labels or channel_names"):
        find_files(tmp_path)


def test_a_dataset_json_of_something_else_does_not_matter(tmp_path):
    (tmp_path / "dataset.json").write_text("[1, 2]")
    put(tmp_path, "images/a.png", "masks/a.png")
    assert list(found(tmp_path)) == ["a"]


def csv_of(root, text):
    path = root / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_with_relative_and_absolute_paths(tmp_path):
    put(tmp_path, "x/a.png", "x/a_mask.png", "y/b.png")
    path = csv_of(tmp_path, f"image,mask,group\nx/a.png,x/a_mask.png,s1\n{tmp_path}/y/b.png,,s2\n")
    first, second = find_files(path).pairs
    # Names stay below whatever folder results are written to.
    assert first.name == f"{tmp_path}/y/b".lstrip("/")
    assert (first.image, first.mask, first.case) == (tmp_path / "y" / "b.png", None, "s2")
    assert (second.name, second.mask, second.case) == ("x/a", tmp_path / "x" / "a_mask.png", "s1")


def test_a_csv_whose_names_try_to_get_out(tmp_path):
    path = csv_of(tmp_path, "image,name\n../../x/a.png,\nb.png,/etc/../b\n")
    assert [pair.name for pair in find_files(path).pairs] == ["etc/b", "x/a"]


def test_a_csv_with_byte_order_mark_quotes_and_line_breaks(tmp_path):
    path = csv_of(tmp_path, '\ufeffimage,mask\n"a,\n1.png","肾.png"\n')
    (pair,) = find_files(path).pairs
    assert (pair.name, pair.image.name, pair.mask.name) == ("a,\n1", "a,\n1.png", "肾.png")


def test_a_csv_group_column(tmp_path):
    path = csv_of(tmp_path, "image,mask,slide\na.png,a_mask.png,s1\n")
    assert find_files(path, group_column="slide").pairs[0].case == "s1"
    with pytest.raises(InvalidInputError, match="has no column 'case', only image, mask, slide"):
        find_files(path, group_column="case")


def test_a_csv_with_a_tile_twice(tmp_path):
    layout = find_files(csv_of(tmp_path, "image,mask\na.png,m1.png\na.png,m2.png\n"))
    assert [pair.mask.name for pair in layout.pairs] == ["m1.png"]
    assert [path.name for path in layout.clashes] == ["a.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns none"),
        ("image,mask\n", "has the columns none"),
        ("picture;mask\na;b\n", "has the columns picture;mask; a data set needs image and mask"),
        ("image,mask\n,b.png\n", "line 2: the image column names no file"),
        ("image,mask\n..,b.png\n", "names no file"),
        ("image,mask\na.png\n", "line 2: not as many cells as columns"),
        ("image,mask\na.png,b.png,c.png\n", "line 2: not as many cells"),
        ('image,mask\n"a.png,b.png\n', "not valid CSV"),
        ("image,mask\na\0.png,b.png\n", "is no text"),
    ],
)
def test_a_hostile_csv(tmp_path, text, message):
    with pytest.raises(InvalidInputError, match=message):
        find_files(csv_of(tmp_path, text))


def test_a_csv_that_is_no_text(tmp_path):
    put(tmp_path, "a.png")
    with pytest.raises(InvalidInputError, match="is not UTF-8 text"):
        find_files(tmp_path / "a.png")


def test_groups_from_tiles_csv(tmp_path):
    put(tmp_path, "images/a_img.png", "masks/a_mask.png", "images/b.v2.png", "masks/b.v2.png")
    (tmp_path / "tiles.csv").write_text("file,slide\na_img.png,s1\nb.v2,s2\nc.png,s3\n")
    assert {name: case for name, (_, _, case) in found(tmp_path, group_column="slide").items()} == {
        "a": "s1",
        "b.v2": "s2",
    }


def test_tiles_csv_that_does_not_fit(tmp_path):
    put(tmp_path, "images/a.png", "masks/a.png", "images/b.png", "masks/b.png")
    with pytest.raises(MissingInputError, match=r"tiles\.csv' does not exist"):
        find_files(tmp_path, group_column="slide")
    (tmp_path / "tiles.csv").write_text("file,case\na.png,s1\n")
    with pytest.raises(InvalidInputError, match="needs a column file, name, image or tile and the column 'slide'"):
        find_files(tmp_path, group_column="slide")
    with pytest.raises(InvalidInputError, match="has no line for 1 tiles, the first is 'b'"):
        find_files(tmp_path, group_column="case")
