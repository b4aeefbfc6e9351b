"""Every rule by small cases that can be computed by hand."""

import numpy as np
import pytest

from glomseg.config import AUTO
from glomseg.data.choices import (
    TARGET_DIAMETER_PX,
    Room,
    choose_batch_size,
    choose_factor,
    choose_mpp,
    choose_steps,
    settle,
)
from glomseg.data.dataset import open_dataset
from glomseg.data.statistics import ObjectSize, TileStatistics, scan_masks
from glomseg.errors import InvalidInputError
from glomseg.images import write_png
from glomseg.recipes import load_recipe

REST = ("scaling.mpp=2", "run.batch_size=8", "run.steps=7", "run.val_every=7")


def tile_of(*diameters_px: float, cut: tuple[float, ...] = (), side_px: int = 1024, width_px: int | None = None):
    """A tile with whole objects of these diameters, and others that its border cuts."""
    pieces = tuple(
        ObjectSize(class_index=1, area_px=round(np.pi * diameter**2 / 4), touches_border=is_cut)
        for diameters, is_cut in ((diameters_px, False), (cut, True))
        for diameter in diameters
    )
    n = sum(piece.area_px for piece in pieces)
    return TileStatistics(
        name="a", group="a", height=side_px, width=width_px or side_px, class_pixels=(1, n), ignored_pixels=0,
        objects=pieces,
    )  # fmt: skip


def room(*, bytes_a_pixel: int = 0, memory_bytes: int = 1, n_processes: int = 1, size_divisor: int = 32) -> Room:
    return Room(
        size_divisor=size_divisor,
        step_bytes=lambda height, width, n_windows: bytes_a_pixel * height * width * n_windows,
        memory_bytes=memory_bytes,
        n_processes=n_processes,
    )


def settled(
    *overrides: str, tiles=None, mpp: float | None = 0.5, n_tiles: int = 16, n_classes: int = 2, of: Room | None = None
):
    settings = load_recipe("default", overrides)
    return settle(settings, tiles or [tile_of(360)], mpp=mpp, n_tiles=n_tiles, n_classes=n_classes, room=of or room())


def test_few_tiles_with_glomeruli_get_what_the_recipe_was_tried_with():
    settings, reasons = settled(tiles=[tile_of(300, 366, 420, cut=(40,)), tile_of()])
    assert settings.scaling.mpp == 2.0
    assert settings.scaling.factor == 0.25
    assert settings.crop.size_px == 160
    run = settings.run
    assert (run.steps, run.batch_size, run.val_every) == (1800, 8, 150)
    assert reasons == (
        "scaling.mpp=2: objects are 183 um wide in the median (3 whole ones), as glomeruli are (100 to 300 um)",
        "crop.size_px=160: 1.7 times the median object of 92 px",
        "run.batch_size=8: 8 windows fit into memory",
        "run.steps=1800: the least for 16 tiles; 900 passes over them",
        "run.val_every=150: 12 times a run, but not below 150 steps",
    )


@pytest.mark.parametrize(
    ("override", "kept"),
    [
        ("scaling.mpp=1.0", lambda settings: settings.scaling.mpp == 1.0),
        ("crop.size_px=64", lambda settings: settings.crop.size_px == 64),
        ("crop.size_px=[64, 96]", lambda settings: settings.crop.size_px == (64, 96)),
        ("run.batch_size=3", lambda settings: settings.run.batch_size == 3),
        ("run.steps=7", lambda settings: settings.run.steps == 7),
        ("run.val_every=7", lambda settings: settings.run.val_every == 7),
    ],
)
def test_what_is_given_is_kept_and_not_explained(override, kept):
    settings, reasons = settled(override)
    assert kept(settings)
    assert len(reasons) == 4
    assert not any(reason.startswith(override.partition("=")[0]) for reason in reasons)


def test_a_recipe_of_numbers_is_left_as_it_is():
    homework = load_recipe("homework", ["scaling.fit_px=none", "scaling.factor=0.5"])
    assert settle(homework, [tile_of(360)], mpp=0.5, n_tiles=9999, n_classes=2, room=room()) == (homework, ())


def test_settled_settings_stay_as_they_are():
    settings, _ = settled("model.weights=none")
    assert settle(settings, [tile_of(20)], mpp=0.5, n_tiles=9999, n_classes=2, room=room()) == (settings, ())
    assert AUTO not in str(settings.model_dump())


def test_settings_that_wait_for_data_say_so():
    settings = load_recipe("default")
    for use in (settings.run.rhythm, lambda: settings.crop.window_px, lambda: settings.scaling.scaling(factor=1.0)):
        with pytest.raises(InvalidInputError, match="is left to the data"):
            use()


@pytest.mark.parametrize(
    ("diameter_um", "tile_mpp", "expected", "words"),
    [
        (100, 0.5, 2.0, "as glomeruli are"),
        (300, 0.25, 2.0, "as glomeruli are"),
        (180, 4.0, 4.0, "tiles have no more pixels than that"),
        (45, 0.25, 0.5, "not 100 to 300 um as glomeruli are: at 0.5 they have 90 px"),
        (20, 0.1, 0.2, "at 0.2 they have 100 px"),  # 0.222: nearer to 0.2 than to 0.25 in ratio
        (20, 0.5, 0.5, "tiles have no more pixels than that"),
        (315, 0.5, 4.0, "at 4 they have 79 px"),  # 3.5
        (800, 0.5, 8.0, "at 8 they have 100 px"),  # 8.89: 10 is a little further away in ratio
        (900, 0.5, 10.0, "at 10 they have 90 px"),
    ],
)
def test_the_scale_is_that_of_the_objects(diameter_um, tile_mpp, expected, words):
    mpp, reason = choose_mpp([tile_of(diameter_um / tile_mpp, cut=(5,))], tile_mpp=tile_mpp)
    assert mpp == pytest.approx(expected)
    assert words in reason


def test_objects_that_are_all_cut_do_not_tell_the_scale():
    mpp, reason = choose_mpp([tile_of(cut=(40, 50))], tile_mpp=0.5)
    assert mpp == 2.0
    assert reason.startswith("no object lies whole in its tile")


def test_tiles_of_unknown_mpp_and_fitted_ones_have_no_working_mpp():
    settings, reasons = settled(mpp=None)
    assert settings.scaling.mpp is None
    assert settings.scaling.factor == pytest.approx(0.25, rel=1e-3)
    assert reasons[0].startswith("objects have a median diameter of 360 px, so tiles are used at 0.25 of their size")
    given, reasons = settled("scaling.factor=0.5", mpp=None)
    assert (given.scaling.mpp, given.scaling.factor) == (None, 0.5)
    assert reasons[0] == "crop.size_px=320: 1.8 times the median object of 180 px"
    fitted, reasons = settled("scaling.fit_px=[256, 256]")
    assert (fitted.scaling.mpp, fitted.scaling.factor) == (None, None)
    assert reasons[0] == "crop.size_px=160: 1.8 times the median object of 90 px"


@pytest.mark.parametrize(
    ("diameter_px", "size_divisor", "expected"),
    [
        (90, 32, 160),
        (98, 32, 160),  # 174.4
        (99, 32, 192),  # 176.2
        (80, 32, 128),  # 142.4
        (20, 32, 96),
        (90, 1, 160),
        (90, 64, 192),  # 160.2
        (90, 14, 154),
        (20, 14, 98),
        (20, 64, 128),
    ],
)
def test_a_window_shows_a_median_object_with_surroundings(diameter_px, size_divisor, expected):
    tiles = [tile_of(4 * diameter_px, cut=(3,), side_px=4096)]
    settings, (reason,) = settled(*REST, tiles=tiles, of=room(size_divisor=size_divisor))
    assert settings.crop.size_px == expected
    assert str(diameter_px) in reason
    assert ("the least that shows surroundings" in reason) == (diameter_px == 20)


@pytest.mark.parametrize(("height_px", "width_px", "expected"), [(64, 64, 64), (65, 640, 96), (640, 60, 64)])
def test_a_window_is_no_larger_than_a_tile(height_px, width_px, expected):
    tiles = [tile_of(70, side_px=height_px, width_px=width_px)]
    settings, (reason,) = settled(*REST, "scaling.factor=1", tiles=tiles, mpp=None)
    assert settings.crop.size_px == expected
    assert reason.startswith(f"crop.size_px={expected}: ")
    assert "a whole tile" in reason or expected == 96


def test_windows_and_then_batches_shrink_where_memory_is_short():
    wide = 2 * 160**2
    assert settled(of=room(bytes_a_pixel=1, memory_bytes=4 * wide))[0].run.batch_size == 8
    settings, reasons = settled(of=room(bytes_a_pixel=1, memory_bytes=4 * wide - 1))
    assert (settings.crop.size_px, settings.run.batch_size) == (160, 4)
    assert "run.batch_size=4: 8 at once need 0.00019 GB, and a step may fill 0.00019 GB" in reasons
    assert settings.run.steps == 3600  # as many windows
    settings, _ = settled(of=room(bytes_a_pixel=1, memory_bytes=wide))
    assert (settings.crop.size_px, settings.run.batch_size) == (160, 2)
    settings, reasons = settled(of=room(bytes_a_pixel=1, memory_bytes=wide - 1))
    assert (settings.crop.size_px, settings.run.batch_size) == (128, 2)
    assert any(reason.startswith("crop.size_px=128: 2 windows of 160 px do not fit into") for reason in reasons)
    settings, _ = settled(of=room(bytes_a_pixel=1, memory_bytes=0))
    assert (settings.crop.size_px, settings.run.batch_size) == (32, 2)
    settings, _ = settled("run.batch_size=8", of=room(bytes_a_pixel=1, memory_bytes=4 * wide - 1))
    assert (settings.crop.size_px, settings.run.batch_size) == (128, 8)
    settings, _ = settled("crop.size_px=[128, 64]", of=room(bytes_a_pixel=1, memory_bytes=2 * wide))
    assert settings.run.batch_size == 8


@pytest.mark.parametrize(("n_processes", "expected"), [(1, 8), (2, 8), (3, 9), (8, 8), (16, 16)])
def test_a_batch_is_shared_evenly(n_processes, expected):
    crop = settled()[0].crop
    assert choose_batch_size(crop, room=room(n_processes=n_processes))[0] == expected
    short = room(n_processes=n_processes, bytes_a_pixel=1, memory_bytes=0)
    assert choose_batch_size(crop, room=short)[0] == min(2, -(-8 // n_processes)) * n_processes


@pytest.mark.parametrize(
    ("n_tiles", "batch_size", "expected", "reason"),
    [
        (1, 8, 1800, "the least for 1 tile; 14,400 passes over them"),
        (900, 8, 1800, "the least for 900 tiles; 16 passes over them"),
        (901, 8, 1900, "901 tiles in 16 windows each; 17 passes over them"),
        (2575, 8, 5200, "2,575 tiles in 16 windows each; 16 passes over them"),
        (20_000, 8, 20_000, "the most; 20,000 tiles in 16 windows each would take 40,000; 8 passes"),
        (16, 2, 7200, "the least for 16 tiles; 900 passes over them"),
        (16, 32, 1800, "the least for 16 tiles; 3,600 passes over them"),
        (2575, 16, 2600, "2,575 tiles in 16 windows each; 16 passes over them"),
    ],
)
def test_every_tile_is_seen_often_enough(n_tiles, batch_size, expected, reason):
    assert choose_steps(n_tiles, batch_size=batch_size) == (expected, reason)


def test_the_model_in_the_box_has_less_to_learn():
    assert settled("model.weights=box")[0].run.steps == 300
    settings, reasons = settled("model.weights=box", n_tiles=2575)
    assert settings.run.steps == 5200
    assert "run.steps=5200: 2,575 tiles in 16 windows each; 16 passes over them" in reasons
    assert settled("model.weights=box", n_tiles=151)[0].run.steps == 400
    assert settled("model.weights=box", n_classes=3)[0].run.steps == 1800  # the classifier learns from nothing


def test_the_reason_for_the_steps_of_small_batches_is_the_right_one():
    settings, reasons = settled("model.weights=box", "run.batch_size=2", n_tiles=100)
    assert settings.run.steps == 1200  # 2,400 windows, where 16 a tile would be 1,600
    assert "run.steps=1200: the least for 100 tiles; 24 passes over them" in reasons


def test_long_runs_are_validated_no_more_often_than_short_ones():
    for steps, expected in ((6, 150), (1800, 150), (1801, 151), (5200, 434)):
        assert settled(f"run.steps={steps}")[0].run.val_every == expected


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
    factor, reason = choose_factor(scan_masks(dataset), seed=0)
    assert factor == pytest.approx(TARGET_DIAMETER_PX / 360, rel=0.01)
    assert "360 px" in reason
    assert "--mpp" in reason


def test_tiles_are_never_enlarged(tmp_path):
    dataset = dataset_of_discs(tmp_path, 30)
    assert choose_factor(scan_masks(dataset), seed=0)[0] == 1.0


@pytest.mark.real
def test_tissue_gets_what_the_recipe_was_tried_with_whichever_slides_are_held_out(shared_data):
    dataset = open_dataset(shared_data / "aidpath_pas", mpp=0.5)
    statistics = scan_masks(dataset)
    for held_out in {item.group for item in statistics}:
        part = [item for item in statistics if item.group != held_out]
        settings, _ = settled(tiles=part, n_tiles=len(part))
        assert (settings.scaling.mpp, settings.crop.size_px, settings.run.steps) == (2.0, 160, 1800)
