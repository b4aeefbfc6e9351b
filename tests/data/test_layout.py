import json

import pytest

from glomseg.data.layout import find_files, image_files
from glomseg.errors import InvalidInputError, MissingInputError


def fill(root, *names):
    """Create files; nothing in this module is decoded."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def pairs_of(layout, root):
    """{name: (image, mask)} with paths relative to the root."""
    return {
        pair.name: (
            pair.image.relative_to(root).as_posix(),
            None if pair.mask is None else pair.mask.relative_to(root).as_posix(),
        )
        for pair in layout.pairs
    }


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "masks"),
        ("img", "mask"),
        ("imgs", "mask"),
        ("image", "labels"),
        ("Images", "Annotations"),
        ("img_dir", "ann_dir"),
        ("tiles", "gt"),
    ],
)
def test_folder_names_that_people_use(tmp_path, images, masks):
    fill(tmp_path, f"{images}/b.png", f"{images}/a.png", f"{masks}/a.png", f"{masks}/b.png")
    assert pairs_of(find_files(tmp_path), tmp_path) == {
        "a": (f"{images}/a.png", f"{masks}/a.png"),
        "b": (f"{images}/b.png", f"{masks}/b.png"),
    }


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a_img.jpg", "a_mask.jpg"),
        ("a.tif", "a.png"),
        ("a_0000.png", "a.png"),
        ("a.png", "a_seg.png"),
        ("a.JPG", "a_label.PNG"),
        ("a_image.webp", "a_labels.bmp"),
        ("a.jpeg", "a_gt.tiff"),
        ("a.png", "a_annotation.png"),
    ],
)
def test_suffixes_and_endings_do_not_hinder_pairing(tmp_path, image, mask):
    fill(tmp_path, f"images/{image}", f"masks/{mask}")
    assert pairs_of(find_files(tmp_path), tmp_path) == {"a": (f"images/{image}", f"masks/{mask}")}


def test_an_ending_without_a_mask_to_prove_it_stays_part_of_the_name(tmp_path):
    fill(tmp_path, "images/scan_0000.png", "images/scan_0001.png", "masks/scan_0000.png", "masks/scan_0001.png")
    assert [pair.name for pair in find_files(tmp_path).pairs] == ["scan_0000", "scan_0001"]


def test_train_and_val_folders_keep_names_apart_and_are_no_case(tmp_path):
    fill(tmp_path, "img_dir/train/a.png", "img_dir/val/a.png", "ann_dir/train/a.png", "ann_dir/val/a.png")
    layout = find_files(tmp_path)
    assert pairs_of(layout, tmp_path) == {
        "train/a": ("img_dir/train/a.png", "ann_dir/train/a.png"),
        "val/a": ("img_dir/val/a.png", "ann_dir/val/a.png"),
    }
    assert {pair.case for pair in layout.pairs} == {None}


def test_part_folders_above_images_are_no_case_either(tmp_path):
    fill(tmp_path, "train/images/a.png", "train/masks/a.png", "val/images/a.png", "val/masks/a.png")
    layout = find_files(tmp_path)
    assert [(pair.name, pair.case) for pair in layout.pairs] == [("train/a", None), ("val/a", None)]


def test_nested_cases_name_their_tiles_and_groups(tmp_path):
    fill(
        tmp_path,
        "56NX/12_116/img/12_116_0_img.jpg",
        "56NX/12_116/mask/12_116_0_mask.jpg",
        "DN/11_358/img/12_116_0_img.jpg",
        "DN/11_358/mask/12_116_0_mask.jpg",
    )
    layout = find_files(tmp_path)
    assert [(pair.name, pair.case) for pair in layout.pairs] == [
        ("56NX/12_116/12_116_0", "56NX/12_116"),
        ("DN/11_358/12_116_0", "DN/11_358"),
    ]
    assert all(pair.mask is not None for pair in layout.pairs)


def test_hidden_files_and_those_of_other_programs_are_ignored(tmp_path):
    fill(
        tmp_path,
        "images/a.png",
        "masks/a.png",
        "images/._a.png",
        "images/.DS_Store",
        "images/Thumbs.db",
        "images/.ipynb_checkpoints/a.png",
        "splits/train.txt",
        "overlays/a.png",
        "preview.png",
    )
    layout = find_files(tmp_path)
    assert list(pairs_of(layout, tmp_path)) == ["a"]
    assert layout.masks_without_image == ()
    assert layout.clashes == ()


def test_unpaired_files_are_named_not_refused(tmp_path):
    fill(tmp_path, "images/a.png", "images/b.png", "masks/b.png", "masks/c.png")
    layout = find_files(tmp_path)
    assert [path.name for path in layout.images_without_mask] == ["a.png"]
    assert [path.name for path in layout.masks_without_image] == ["c.png"]


def test_files_that_share_a_name_clash(tmp_path):
    fill(tmp_path, "images/a.png", "images/a.jpg", "masks/a.png", "masks/a.tif")
    layout = find_files(tmp_path)
    assert len(layout.pairs) == 1
    assert {path.relative_to(tmp_path).as_posix() for path in layout.clashes} == {"images/a.png", "masks/a.tif"}


def test_a_flat_folder_is_told_apart_by_endings(tmp_path):
    fill(tmp_path, "a.png", "a_mask.png", "b.png", "c_mask.png")
    layout = find_files(tmp_path)
    assert pairs_of(layout, tmp_path) == {"a": ("a.png", "a_mask.png"), "b": ("b.png", None)}
    assert [path.name for path in layout.masks_without_image] == ["c_mask.png"]


@pytest.mark.parametrize("name", ["two words", "肾小球 1", "line\nbreak", "dots.in.name", "-dash", "100%", "a'b\"c"])
def test_strange_names_survive(tmp_path, name):
    fill(tmp_path, f"images/{name}.png", f"masks/{name}.png")
    assert [pair.name for pair in find_files(tmp_path).pairs] == [name]


def test_links_that_go_round_end(tmp_path):
    fill(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images", target_is_directory=True)
    assert [path.name for path in image_files(tmp_path / "images")] == ["a.png"]


def test_linked_folders_are_followed(tmp_path):
    fill(tmp_path / "elsewhere", "a.png")
    fill(tmp_path / "data", "masks/a.png")
    (tmp_path / "data" / "images").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [pair.name for pair in find_files(tmp_path / "data").pairs] == ["a"]


def test_no_such_folder(tmp_path):
    with pytest.raises(MissingInputError, match=r"data set '.*nowhere' does not exist"):
        find_files(tmp_path / "nowhere")


def test_a_folder_without_images_says_what_was_looked_for(tmp_path):
    fill(tmp_path, "readme.txt")
    with pytest.raises(InvalidInputError, match=r"holds no images \(0 image files in all\); looked for images/ and"):
        find_files(tmp_path)


def test_masks_alone_are_no_data_set(tmp_path):
    fill(tmp_path, "masks/a.png")
    with pytest.raises(InvalidInputError, match=r"holds no images \(1 image files in all\)"):
        find_files(tmp_path)


# --- nnU-Net


def nnunet(root, *, labels, channels=None, files=("c1_0000.png", "c2_0000.png")):
    fill(root, *(f"imagesTr/{name}" for name in files), "labelsTr/c1.png", "labelsTr/c2.png", "imagesTs/c3_0000.png")
    channels = channels or {"0": "R", "1": "G", "2": "B"}
    (root / "dataset.json").write_text(
        json.dumps({"labels": labels, "channel_names": channels, "file_ending": ".png", "numTraining": 2})
    )
    return root


def test_nnunet_names_classes_and_strips_the_channel(tmp_path):
    layout = find_files(nnunet(tmp_path, labels={"background": 0, "tubule": 2, "glomerulus": 1}))
    assert layout.kind == "nnU-Net"
    assert layout.class_names == ("background", "glomerulus", "tubule")
    assert layout.ignore_value is None
    assert pairs_of(layout, tmp_path) == {
        "c1": ("imagesTr/c1_0000.png", "labelsTr/c1.png"),
        "c2": ("imagesTr/c2_0000.png", "labelsTr/c2.png"),
    }


def test_nnunet_ignore_label_is_no_class(tmp_path):
    layout = find_files(nnunet(tmp_path, labels={"background": 0, "glomerulus": 1, "ignore": 2}))
    assert layout.class_names == ("background", "glomerulus")
    assert layout.ignore_value == 2


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "glomerulus": 2},
        {"background": 0, "ignore": 1, "glomerulus": 2},
        {"background": 0, "glomerulus": [1, 2]},
        {"background": 0, "glomerulus": "1"},
        {"background": False, "glomerulus": True},
    ],
)
def test_nnunet_labels_that_cannot_be_classes(tmp_path, labels):
    with pytest.raises(InvalidInputError, match="must be whole numbers from 0 without gaps, ignore the highest"):
        find_files(nnunet(tmp_path, labels=labels))


def test_nnunet_channels_in_files_of_their_own_are_refused(tmp_path):
    files = ("c1_0000.png", "c1_0001.png", "c2_0000.png", "c2_0001.png")
    root = nnunet(tmp_path, labels={"background": 0, "a": 1}, channels={"0": "x", "1": "y"}, files=files)
    with pytest.raises(InvalidInputError, match=r"one channel a file \(2 channels\).*save each case as one RGB file"):
        find_files(root)


def test_a_damaged_dataset_json_is_named(tmp_path):
    root = nnunet(tmp_path, labels={})
    (root / "dataset.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"dataset\.json.*not valid JSON"):
        find_files(root)


def test_a_dataset_json_without_labels_is_named(tmp_path):
    root = nnunet(tmp_path, labels={})
    (root / "dataset.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="has no labels or channel_names"):
        find_files(root)


def test_a_dataset_json_of_something_else_does_not_hide_the_images(tmp_path):
    fill(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "dataset.json").write_text('{"made_by": "somebody"}')
    assert [pair.name for pair in find_files(tmp_path).pairs] == ["a"]


# --- tables


def table(root, text, name="pairs.csv"):
    path = root / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_of_pairs_is_relative_to_its_folder(tmp_path):
    path = table(tmp_path, "image,mask,group\nin/a.png,truth/x.png,S1\nin/b.png,,S2\n")
    layout = find_files(path)
    assert pairs_of(layout, tmp_path) == {"in/a": ("in/a.png", "truth/x.png"), "in/b": ("in/b.png", None)}
    assert [pair.case for pair in layout.pairs] == ["S1", "S2"]


def test_a_csv_may_name_its_tiles_and_another_group_column(tmp_path):
    path = table(tmp_path, "\ufeffimage,mask,name,patient\r\na.png,b.png,first,P7\r\n")
    (pair,) = find_files(path, group_column="patient").pairs
    assert (pair.name, pair.case) == ("first", "P7")


def test_absolute_and_upward_paths_are_the_users_own_but_names_stay_inside(tmp_path):
    path = table(tmp_path, f"image,mask\n{tmp_path}/far/a.png,m.png\n../b.png,m.png\n")
    layout = find_files(path)
    names = [pair.name for pair in layout.pairs]
    assert len(names) == 2
    assert not any(name.startswith("/") or ".." in name for name in names)
    assert {str(pair.image) for pair in layout.pairs} == {f"{tmp_path}/far/a.png", f"{tmp_path}/../b.png"}


def test_a_csv_that_names_one_tile_twice_clashes(tmp_path):
    layout = find_files(table(tmp_path, "image,mask\na.png,m.png\na.jpg,m.png\n"))
    assert len(layout.pairs) == 1
    assert [path.name for path in layout.clashes] == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns none; a data set needs image and mask"),
        ("picture,mask\na,b\n", "has the columns mask, picture; a data set needs image"),
        ("image,mask\n", "a data set needs image and mask"),
        ("image,mask\n,b.png\n", "line 2: the image column names no file"),
        ("image,mask\na.png\n", "line 2: not as many cells as columns"),
        ("image,mask\na.png,b.png,c\n", "line 2: not as many cells as columns"),
        ('image,mask\n"a.png,b.png\n', "not valid CSV"),
        ("image,mask\0\na.png,b.png\n", "is no text"),
    ],
)
def test_tables_that_are_no_list_of_pairs(tmp_path, text, message):
    with pytest.raises(InvalidInputError, match=message):
        find_files(table(tmp_path, text))


def test_a_missing_group_column_lists_those_there_are(tmp_path):
    path = table(tmp_path, "image,mask\na.png,b.png\n")
    with pytest.raises(InvalidInputError, match="no column 'slide', only image, mask"):
        find_files(path, group_column="slide")


@pytest.mark.parametrize("spelling", ["{name}", "{name}.png"])
def test_tiles_csv_beside_the_images_names_groups(tmp_path, spelling):
    fill(tmp_path, "images/a.png", "images/b.c.png", "masks/a.png", "masks/b.c.png")
    rows = "".join(f"{spelling.format(name=name)},{group}\n" for name, group in (("a", "S1"), ("b.c", "S2")))
    table(tmp_path, "file,slide\n" + rows, name="tiles.csv")
    assert [pair.case for pair in find_files(tmp_path, group_column="slide").pairs] == ["S1", "S2"]


def test_tiles_csv_must_have_every_tile_and_the_column(tmp_path):
    fill(tmp_path, "images/a.png", "images/b.png")
    table(tmp_path, "file,slide\na,S1\n", name="tiles.csv")
    with pytest.raises(InvalidInputError, match="no line for 1 tiles, the first is 'b'"):
        find_files(tmp_path, group_column="slide")
    with pytest.raises(InvalidInputError, match=r"the column 'case'; it has file, slide"):
        find_files(tmp_path, group_column="case")


def test_a_group_column_needs_a_table(tmp_path):
    fill(tmp_path, "images/a.png")
    with pytest.raises(MissingInputError, match=r"tiles\.csv' does not exist"):
        find_files(tmp_path, group_column="slide")
