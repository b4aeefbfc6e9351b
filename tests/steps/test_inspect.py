import html
import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from glomseg.data.dataset import open_dataset
from glomseg.errors import InvalidInputError, OutputError
from glomseg.images import read_image, write_png
from glomseg.steps.inspect import inspect_dataset
from glomseg.types import Split


def texture(seed, *, side=64):
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(side, side, 3)), (0, 0), 2)
    return np.clip(150 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def add(root, name, mask, *, seed):
    write_png(root / "images" / f"{name}.png", texture(seed))
    if mask is not None:
        write_png(root / "masks" / f"{name}.png", mask)


def square(size, *, at=20):
    mask = np.zeros((64, 64), np.uint8)
    mask[at : at + size, at : at + size] = 1
    return mask


@pytest.fixture
def data(tmp_path):
    """Three tiles of slide 1, of which one has two objects, and one empty tile of slide 2."""
    root = tmp_path / "data"
    two = square(10, at=5) | square(30, at=20)
    two[0:4, 60:64] = 1  # cut by the border
    two[63] = 255
    for seed, (name, mask) in enumerate(
        {"S_1_a": square(20), "S_1_b": two, "S_1_c": square(0), "S_2_a": square(0)}.items()
    ):
        add(root, name, mask, seed=seed)
    return root


def inspect(root, out, *, mpp=None, **options):
    return inspect_dataset(open_dataset(root, need_masks=False, mpp=mpp), out=out, **options)


def test_the_page_holds_findings_distributions_and_tiles(data, tmp_path):
    add(data, "S_2_b", square(20), seed=0)  # the picture of S_1_a
    (data / "images" / "S_3_<b>.png").write_bytes(b"no image")
    result = inspect(data, tmp_path / "out", mpp=0.5, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert result.findings
    assert all(finding.code in page and finding.fix in html.unescape(page) for finding in result.findings)
    assert "S_3_&lt;b&gt;" in page
    assert "S_3_<b>" not in page
    for words in ("diameter (µm)", "Brightness by group", "Mean colour of the tiles", "The same pixels (2 tiles)"):
        assert words in page
    (text,) = re.findall(r'id="page-data">(.*?)</script>', page)
    tiles = {tile["name"]: tile for tile in json.loads(text)["tiles"]}
    assert len(tiles) == 6
    assert tiles["S_1_b"]["values"]["objects"] == 3
    assert tiles["S_2_b"]["kinds"] == ["duplicate-tiles", "foreground"]
    assert tiles["S_3_<b>"]["kinds"] == ["image-without-mask", "not-an-image"]
    assert [name for name, tile in tiles.items() if not tile["image"]] == ["S_3_<b>"]
    assert [name for name, tile in tiles.items() if not tile["masks"]] == ["S_3_<b>"]


def test_a_page_in_the_data_set_is_refused(data, tmp_path):
    with pytest.raises(OutputError, match=r"page.html' lies in the data set"):
        inspect(data, tmp_path / "out", html=data / "page.html")
    assert not (tmp_path / "out").exists()


def test_brightness_is_that_of_the_eye(tmp_path):
    root = tmp_path / "data"
    for name, color in (("S_1_a", (255, 0, 0)), ("S_1_b", (10, 20, 30))):
        write_png(root / "images" / f"{name}.png", np.full((8, 8, 3), color, np.uint8))
        write_png(root / "masks" / f"{name}.png", np.zeros((8, 8), np.uint8))
    result = inspect(root, tmp_path / "out")
    red, dark = result.tiles
    assert red.mean_rgb == (255, 0, 0)
    assert red.brightness == pytest.approx(0.299 * 255)
    assert dark.brightness == pytest.approx(2.99 + 11.74 + 3.42)
    (group,) = result.groups
    assert group.brightness.median == pytest.approx((red.brightness + dark.brightness) / 2)


def test_the_figures(data, tmp_path):
    result = inspect(data, tmp_path / "out", mpp=2.0)
    assert (result.n_images, result.n_masks, result.findings) == (4, 4, ())
    assert result.image_sizes == ((64, 64, 4),)
    assert result.image_modes == {"RGB": 4}
    foreground = {"S_1_a": 400, "S_1_b": 100 + 900 + 16, "S_1_c": 0, "S_2_a": 0}
    assert result.mask_value_pixels == {0: 4 * 4096 - 1416 - 64, 1: 1416, 255: 64}
    labelled = {"S_1_a": 4096, "S_1_b": 4096 - 64, "S_1_c": 4096, "S_2_a": 4096}
    for tile in result.tiles:
        assert tile.foreground_share == pytest.approx(foreground[tile.name] / labelled[tile.name])
    assert [tile.n_objects for tile in result.tiles] == [1, 3, 0, 0]
    first, second = result.groups
    assert (first.group, first.n_tiles, first.n_tiles_with_foreground) == ("S_1", 3, 2)
    assert first.foreground_share == pytest.approx(1416 / (3 * 4096 - 64))
    assert (second.group, second.n_tiles, second.n_tiles_with_foreground, second.foreground_share) == ("S_2", 1, 0, 0)
    background, glomerulus = result.classes
    assert (background.n_tiles, glomerulus.n_tiles, glomerulus.n_pixels) == (4, 2, 1416)
    assert glomerulus.share == pytest.approx(1416 / (4 * 4096 - 64))
    assert background.share + glomerulus.share == pytest.approx(1)


def test_object_sizes_are_those_of_whole_objects(data, tmp_path):
    (objects,) = inspect(data, tmp_path / "out", mpp=2.0).objects
    assert (objects.class_name, objects.n_objects, objects.n_touching_border, objects.n_tiles) == (
        "glomerulus", 4, 1, 2,
    )  # fmt: skip
    # Areas 100, 400 and 900 px.
    assert objects.area_px.median == 400
    assert objects.area_px.low == pytest.approx(100 + 0.1 * 300)
    assert objects.area_px.high == pytest.approx(400 + 0.9 * 500)
    assert objects.diameter_px.median == pytest.approx(2 * (400 / np.pi) ** 0.5)
    assert objects.area_um2.median == pytest.approx(400 * 4)
    assert objects.diameter_um.median == pytest.approx(2 * objects.diameter_px.median)


def test_without_mpp_nothing_is_in_micrometres(data, tmp_path):
    (objects,) = inspect(data, tmp_path / "out").objects
    assert objects.area_um2 is None
    assert objects.diameter_um is None


def test_the_files(data, tmp_path):
    out = tmp_path / "out"
    result = inspect(data, out, sheet_size=2)
    assert sorted(path.name for path in out.iterdir()) == [
        "inspection.json", "sheet_any.png", "sheet_foreground.png", "tile.png",
    ]  # fmt: skip
    record = json.loads((out / "inspection.json").read_text())
    assert record["format"] == "glomseg inspection 1"
    assert record["groups"][0]["group"] == "S_1"
    assert record["findings"] == []
    assert record["pictures"] == {name: f"{name}.png" for name in result.pictures}
    for path in result.pictures.values():
        assert read_image(path).shape[1] > 150


def test_the_same_seed_shows_the_same(data, tmp_path):
    def pictures(folder, seed):
        result = inspect(data, tmp_path / folder, sheet_size=1, seed=seed)
        return {name: path.read_bytes() for name, path in result.pictures.items()}

    first = pictures("a", 0)
    assert pictures("b", 0) == first
    assert any(pictures(f"c{seed}", seed) != first for seed in range(1, 6))


def test_the_foreground_sheet_shows_only_tiles_with_foreground(data, tmp_path, monkeypatch):
    captions = []

    def recording(cells, **options):
        captions.append(list(options["captions"]))
        return np.zeros((40, 600, 3), np.uint8)

    monkeypatch.setattr("glomseg.steps.inspect.sheet", recording)
    inspect(data, tmp_path / "out")
    assert captions == [["S_1_a", "S_1_b"], ["S_1_a", "S_1_b", "S_1_c", "S_2_a"]]


def test_a_named_tile_and_the_opacity(data, tmp_path):
    def tile(**options):
        return read_image(inspect(data, tmp_path / "out", **options).pictures["tile"])

    named = tile(tile="S_1_a")
    assert np.array_equal(named, tile(tile="S_1_a"))
    assert not np.array_equal(named, tile(tile="S_1_b"))
    assert not np.array_equal(named, tile(tile="S_1_a", opacity=1.0))


def test_large_tiles_are_shown_smaller(tmp_path):
    root = tmp_path / "data"
    write_png(root / "images" / "S_1_a.png", texture(0, side=1100))
    write_png(root / "masks" / "S_1_a.png", np.resize(square(20), (1100, 1100)))
    picture = read_image(inspect(root, tmp_path / "out").pictures["tile"])
    assert picture.shape[1] < 3 * 1024 + 150


def test_broken_and_missing_files_are_found_and_not_shown(data, tmp_path):
    add(data, "S_2_b", None, seed=7)
    add(data, "S_2_c", square(20)[:32], seed=8)
    add(data, "S_2_d", square(20), seed=9)
    (data / "images" / "S_2_d.png").write_bytes(b"")
    add(data, "S_2_e", square(20) * 9, seed=10)
    result = inspect(data, tmp_path / "out")
    assert {item.code: item.files for item in result.findings} == {
        "image-without-mask": ("images/S_2_b.png",),
        "size-mismatch": ("masks/S_2_c.png",),
        "empty-file": ("images/S_2_d.png",),
        "unknown-labels": ("masks/S_2_e.png",),
    }
    assert result.has_errors
    assert set(result.pictures) == {"tile", "sheet_foreground", "sheet_any"}
    tiles = {tile.name: tile for tile in result.tiles}
    assert tiles["S_2_b"].foreground_share is None
    assert tiles["S_2_d"].width is None
    assert tiles["S_2_e"].n_objects is None
    assert result.groups[1].n_tiles == 5
    with pytest.raises(InvalidInputError, match=r"S_2_d\.png' is empty"):
        inspect(data, tmp_path / "out", tile="S_2_d")


def test_images_without_any_masks(data, tmp_path):
    for path in (data / "masks").iterdir():
        path.unlink()
    result = inspect(data, tmp_path / "out", mpp=1.0)
    assert [item.code for item in result.findings] == ["no-masks"]
    assert set(result.pictures) == {"tile", "sheet_any"}
    assert (result.n_masks, result.objects[0].area_px, result.classes[1].share) == (0, None, None)


def test_nothing_that_can_be_read(data, tmp_path):
    inspect(data, tmp_path / "out")
    for path in (*(data / "images").iterdir(), *(data / "masks").iterdir()):
        path.write_bytes(b"")
    result = inspect(data, tmp_path / "out")
    assert result.pictures == {}
    assert not (tmp_path / "out" / "tile.png").exists()  # not the one of the set as it was
    assert result.groups[0].foreground_share is None


def test_duplicates_and_splits(data, tmp_path):
    add(data, "S_2_b", square(0), seed=0)
    Image.fromarray(texture(1)).save(data / "images" / "S_2_c.jpg", quality=80)
    write_png(data / "masks" / "S_2_c.png", square(0))
    split = Split(train=("S_1_a", "S_2_a"), val=("S_1_b",))
    result = inspect(data, tmp_path / "out", split=split)
    assert result.duplicates == (("S_1_a", "S_2_b"),)
    assert result.near_duplicates == (("S_1_b", "S_2_c"),)
    assert "group-in-two-parts" in {item.code for item in result.findings}


def test_several_classes_of_odd_names(tmp_path):
    root = tmp_path / "data"
    mask = square(20)
    mask[50:60, 50:60] = 2
    add(root, "切片 1_2_[b]a\nc[/b]", mask, seed=0)
    dataset = open_dataset(root, classes=["background", "肾小球", "[red]sclerotic"])
    result = inspect_dataset(dataset, out=tmp_path / "out")
    assert result.findings == ()
    assert [item.n_objects for item in result.objects] == [1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opacity": 1.5}, "--opacity 1.5 is not from 0"),
        ({"opacity": float("nan")}, "--opacity nan"),
        ({"sheet_size": 0}, "--sheet 0 is not from 1 to 20"),
        ({"sheet_size": 21}, "--sheet 21"),
        ({"tile": "S_2_A"}, "'S_2_A' is not a tile of .*; did you mean 'S_2_a'"),
        ({"tile": "???"}, "; the first of 4 is 'S_1_a'"),
    ],
)
def test_wrong_requests(data, tmp_path, options, message):
    with pytest.raises(InvalidInputError, match=message):
        inspect(data, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_into_the_data(data, tmp_path):
    before = sorted(data.rglob("*"))
    for out in (data, data / "out", data / "images" / ".." / "x"):
        with pytest.raises(OutputError, match="lies in the data set"):
            inspect(data, out)
    link = tmp_path / "link"
    link.symlink_to(data)
    with pytest.raises(OutputError, match="lies in the data set"):
        inspect(data, link / "out")
    assert sorted(data.rglob("*")) == before


@pytest.mark.real
def test_tissue(shared_data, tmp_path):
    result = inspect(shared_data / "aidpath_pas", tmp_path / "out", mpp=0.5)
    assert result.findings == ()
    assert len(result.groups) == 6
    assert 150 < result.objects[0].diameter_um.median < 220  # a human glomerulus
