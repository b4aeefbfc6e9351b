"""Slides with annotations as a data set of tiles."""

import dataclasses
import json

import numpy as np
import pytest

from glomseg.data.loader import WindowDataset
from glomseg.data.record import hash_tiles, read_dataset_record, write_dataset_record
from glomseg.data.slide_dataset import open_slides
from glomseg.data.split import make_split
from glomseg.data.statistics import scan_masks
from glomseg.data.store import TileStore
from glomseg.data.survey import survey_tiles
from glomseg.data.tiles import hash_of_image, read_tile, tile_size
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.export.pyramid import write_pyramid
from glomseg.images import write_png
from glomseg.types import Scaling

SIDE = 1024


def square(x, y, side, class_name="Glomerulus", **properties):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    if class_name is not None:
        properties["classification"] = {"name": class_name, "color": [0, 200, 80]}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", **properties},
    }


def write_annotations(path, *features):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def draw_slide(path, *, mpp=0.5, seed=0):
    """Tissue in the upper left quarter of white glass; a dark square in it is the glomerulus of `draw_set`."""
    rng = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE, 3), 244, np.uint8)
    picture[:512, :512] = rng.normal((190, 120, 180), 12, (512, 512, 3)).clip(0, 255).astype(np.uint8)
    picture[100:300, 200:400] = (120, 40, 130)
    path.parent.mkdir(exist_ok=True)
    write_pyramid(path, picture, mpp=mpp, compression="deflate")


@pytest.fixture
def slides(tmp_path):
    for number in (1, 2):
        draw_slide(tmp_path / "slides" / f"case{number}.tif", seed=number)
        write_annotations(tmp_path / "drawn" / f"case{number}.geojson", square(200, 100, 200))
    return tmp_path


def opened(folder, **options):
    return open_slides(folder / "slides", annotations=folder / "drawn", **{"mpp": 1.0, "tile_px": 128, **options})


def test_tiles_are_where_tissue_is(slides):
    dataset = opened(slides)
    case1 = [sample for sample in dataset.samples if sample.group == "case1"]
    assert {(sample.region.x, sample.region.y) for sample in case1} == {(0, 0), (256, 0), (0, 256), (256, 256)}
    assert [sample.name for sample in case1[:2]] == ["case1_x0_y0", "case1_x256_y0"]
    assert dataset.mpp == 1.0
    assert dataset.grouping == "slide"
    assert {sample.group for sample in dataset.samples} == {"case1", "case2"}


def test_image_and_mask_come_from_the_slide_and_its_annotations(slides):
    dataset = opened(slides)
    image, mask = read_tile(dataset, dataset.samples[0])
    assert image.shape == (128, 128, 3)
    assert tile_size(dataset, dataset.samples[0]) == (128, 128)
    expected = np.zeros((128, 128), np.uint8)
    expected[50:, 100:] = 1  # 100 and 200 pixels of 0.5 um are 50 and 100 of 1 um
    assert np.array_equal(mask, expected)
    assert np.array_equal(image[60, 110], (120, 40, 130))


def test_regions_of_interest_limit_where_background_is_known(slides):
    write_annotations(
        slides / "drawn" / "case1.geojson", square(256, 0, 256, "Region*"), square(200, 100, 200), square(900, 900, 20)
    )
    dataset = opened(slides)
    case1 = {sample.name: sample for sample in dataset.samples if sample.group == "case1"}
    # The tiles that meet the region (its borders too) or an object, though tissue is elsewhere as well.
    assert {"case1_x256_y0", "case1_x0_y0", "case1_x768_y768"} <= set(case1)
    _, mask = read_tile(dataset, case1["case1_x0_y0"])
    assert set(np.unique(mask)) == {1, 255}
    _, mask = read_tile(dataset, case1["case1_x256_y0"])
    assert set(np.unique(mask)) == {0, 1}


def test_what_every_step_needs_works_on_slides(slides, tmp_path):
    dataset = opened(slides)
    statistics = scan_masks(dataset)
    assert sum(item.foreground_pixels for item in statistics) == 2 * 100 * 100
    assert all(item.is_sound for item in survey_tiles(dataset))
    split = make_split(dataset, val=0.5, statistics=statistics)
    assert {name.partition("_")[0] for name in split.train}.isdisjoint(name.partition("_")[0] for name in split.val)
    store = TileStore(dataset, dataset.samples, scaling=Scaling(mpp=2.0), memory_bytes=2**30)
    assert store.in_memory
    assert store[0][0].shape == (64, 64, 3)
    assert store.n_bytes() == len(dataset) * 64 * 64 * 4
    hashes = hash_tiles(dataset)
    assert len(set(hashes.values())) == len(dataset)
    write_dataset_record(tmp_path / "dataset.json", dataset, hashes)
    again, recorded = read_dataset_record(tmp_path / "dataset.json")
    assert recorded == hashes
    assert hash_tiles(again) == hashes
    assert np.array_equal(read_tile(again, again.samples[1])[0], read_tile(dataset, dataset.samples[1])[0])


def test_forked_processes_read_the_same_pixels(slides):
    from glomseg.config import Settings

    dataset, settings = opened(slides), Settings()
    windows = WindowDataset(
        TileStore(dataset, dataset.samples, scaling=Scaling(mpp=2.0), memory_bytes=0),
        foreground=[True] * len(dataset), crop=settings.crop, augment=settings.augment, mean=(0, 0, 0), std=(1, 1, 1),
        seed=0,
    )  # fmt: skip
    import torch

    loader = torch.utils.data.DataLoader(windows, sampler=range(8), num_workers=2, batch_size=None)
    for number, (image, _) in enumerate(loader):
        assert torch.equal(image, windows[number][0])


def test_a_region_is_recognised_by_its_slide_and_place(slides):
    dataset = opened(slides)
    assert hash_of_image(dataset.samples[0]) != hash_of_image(dataset.samples[1])
    moved = dataclasses.replace(dataset.samples[0], name="other", group="other")
    assert hash_of_image(moved) == hash_of_image(dataset.samples[0])


def test_classes_of_annotations_are_mapped(slides):
    write_annotations(slides / "drawn" / "case1.geojson", square(200, 100, 200, "Sclerotic"))
    dataset = opened(slides, annotation_classes={"Sclerotic": "glomerulus"})
    assert read_tile(dataset, dataset.samples[0])[1].max() == 1
    dataset = opened(slides)
    with pytest.raises(InvalidInputError, match=r"case1\.geojson.*Sclerotic"):
        read_tile(dataset, dataset.samples[0])


def test_annotations_without_a_class_are_of_the_only_one(slides):
    write_annotations(slides / "drawn" / "case1.geojson", square(200, 100, 200, None))
    dataset = opened(slides)
    assert read_tile(dataset, dataset.samples[0])[1].max() == 1


def test_a_mask_picture_is_an_annotation(slides):
    (slides / "drawn" / "case1.geojson").unlink()
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[100:300, 200:400] = 1
    write_png(slides / "drawn" / "case1_mask.png", mask)
    dataset = opened(slides)
    assert np.count_nonzero(read_tile(dataset, dataset.samples[0])[1]) == 78 * 28


def test_one_slide_with_one_file(slides):
    dataset = open_slides(slides / "slides" / "case1.tif", annotations=slides / "drawn" / "case1.geojson", tile_px=256)
    assert {sample.group for sample in dataset.samples} == {"case1"}


def test_groups_by_pattern(slides):
    assert {sample.group for sample in opened(slides, group_pattern="^([a-z]+)").samples} == {"case"}


def test_slides_without_annotations_are_named(slides):
    (slides / "drawn" / "case2.geojson").unlink()
    with pytest.raises(MissingInputError, match=r"1 of 2 slides have no annotations.*case2\.tif"):
        opened(slides)
    dataset = opened(slides, need_masks=False)
    assert {sample.group for sample in dataset.samples if sample.mask_path is None} == {"case2"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mpp": 0.0}, "plausible"),
        ({"mpp": 100.0}, "plausible"),
        ({"tile_px": 8}, "--size 8"),
    ],
)
def test_senseless_numbers(slides, change, words):
    with pytest.raises(InvalidInputError, match=words):
        opened(slides, **change)


def test_a_slide_of_unknown_scale(slides):
    draw_slide(slides / "slides" / "case1.tif", mpp=None)
    with pytest.raises(InvalidInputError, match=r"case1\.tif.*--slide-mpp"):
        opened(slides)
    assert opened(slides, slide_mpp=0.5).slide_mpp == 0.5


def test_places_that_are_wrong(slides, tmp_path):
    with pytest.raises(MissingInputError, match="nowhere"):
        open_slides(tmp_path / "nowhere", annotations=slides / "drawn")
    with pytest.raises(MissingInputError, match="holds no slides"):
        open_slides(slides / "drawn", annotations=slides / "drawn")
    with pytest.raises(MissingInputError, match="nowhere"):
        open_slides(slides / "slides", annotations=tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="one file for 2 slides"):
        open_slides(slides / "slides", annotations=slides / "drawn" / "case1.geojson")
    with pytest.raises(InvalidInputError, match="need --annotations"):
        open_slides(slides / "slides", annotations=None)


def test_two_slides_of_one_name(slides):
    (slides / "slides" / "case1.tiff").write_bytes((slides / "slides" / "case1.tif").read_bytes())
    with pytest.raises(InvalidInputError, match="two slides are called 'case1'"):
        opened(slides)


def test_an_empty_slide_has_no_tiles(slides):
    for number in (1, 2):
        write_pyramid(slides / "slides" / f"case{number}.tif", np.full((512, 512, 3), 244, np.uint8), mpp=0.5)
        write_annotations(slides / "drawn" / f"case{number}.geojson")
    with pytest.raises(InvalidInputError, match="no tissue was found"):
        opened(slides)


def test_a_damaged_slide_is_named(slides):
    (slides / "slides" / "case2.tif").write_bytes(b"II*\0" + b"\0" * 40)
    with pytest.raises(InvalidInputError, match=r"case2\.tif"):
        opened(slides)


def test_annotations_of_another_slide_are_refused(slides):
    write_annotations(slides / "drawn" / "case1.geojson", square(5000, 100, 200), square(100, 2000, 20))
    with pytest.raises(InvalidInputError, match=r"all 2 annotations of .*case1\.geojson.* beyond the slide"):
        opened(slides)


def test_annotations_that_are_drawn_anew_are_read_anew(slides):
    dataset = opened(slides)
    before = hash_tiles(dataset)
    assert read_tile(dataset, dataset.samples[0])[1].any()
    write_annotations(slides / "drawn" / "case1.geojson")
    assert not read_tile(dataset, dataset.samples[0])[1].any()
    after = hash_tiles(dataset)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {sample.name for sample in dataset.samples if sample.group == "case1"}
