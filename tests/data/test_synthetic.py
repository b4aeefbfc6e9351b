"""The synthetic data set: determinism, exact truth, physical scale, difficulty, and how it is written."""

import csv
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import glomseg.data.synthetic.dataset as dataset_module
from glomseg.data.synthetic import SlideLook, draw_slide_look, draw_tile, write_synthetic_dataset
from glomseg.data.synthetic.layout import draw_layout
from glomseg.data.synthetic.look import develop
from glomseg.data.synthetic.shapes import (
    blob_outline,
    inward_normals,
    noise_field,
    pack_cells,
    signed_area,
    smooth_outline,
)
from glomseg.errors import InvalidInputError, OutputError
from glomseg.images import read_image, read_mask_values

SMALL = {"n_slides": 2, "tiles_per_slide": 4, "size_px": 64, "mpp": 4.0, "seed": 5}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def glomerulus_tiles() -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    return [draw_tile(seed=(77, index), size_px=256, mpp=2.0, n_glomeruli=1) for index in range(8)]


# --- shapes ---------------------------------------------------------------------------------------


def test_a_circle_has_its_area_and_normals_to_its_centre() -> None:
    circle = blob_outline(np.random.default_rng(0), (3.0, -4.0), 10.0, roughness=0.0, elongation=1.0, n_points=720)
    assert abs(signed_area(circle)) == pytest.approx(np.pi * 100, rel=1e-3)
    np.testing.assert_allclose(circle + 10 * inward_normals(circle), np.tile([3.0, -4.0], (720, 1)), atol=1e-2)
    np.testing.assert_allclose(inward_normals(circle[::-1]), inward_normals(circle)[::-1], atol=1e-9)


def test_smoothing_keeps_a_large_circle_and_its_centre() -> None:
    circle = blob_outline(np.random.default_rng(0), (50.0, 50.0), 30.0, roughness=0.0, elongation=1.0)
    smooth = smooth_outline(circle, step_um=1.0, sigma_um=2.0)
    assert len(smooth) == pytest.approx(2 * np.pi * 30, abs=2)
    np.testing.assert_allclose(np.hypot(*(smooth - 50).T), 30, rtol=0.01)


@pytest.mark.parametrize("wavelength_um", [2.0, 10.0, 100.0])
def test_noise_is_the_same_field_at_every_pixel_size(wavelength_um: float) -> None:
    coarse, fine = (
        noise_field(np.random.default_rng(3), wavelength_um, extent_um=256.0, shape=(side, side)) for side in (256, 512)
    )
    averaged = cv2.resize(fine, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(averaged.ravel(), coarse.ravel())[0, 1] > 0.97
    if wavelength_um <= 10:
        assert fine.std() == pytest.approx(1.0, abs=0.25)
        assert abs(fine.mean()) < 0.1


def test_packed_cells_are_disjoint_and_stay_where_they_may() -> None:
    allowed = np.ones((200, 200), dtype=bool)
    allowed[:, :60] = False
    cells = pack_cells(
        np.random.default_rng(1), extent_um=400, grid_um=2.0, spacing_um=40.0, gap_um=3.0, allowed=allowed,
        stretch=1.5, bend_um=8.0, merge_share=0.2, smooth_um=3.0,
    )  # fmt: skip
    count = np.zeros((400, 400), dtype=np.uint8)
    for cell in cells:
        filled = np.zeros_like(count)
        cv2.fillPoly(filled, [np.rint(cell).astype(np.int32)], 1)
        count += filled
    assert len(cells) > 40
    assert count.max() == 1
    assert not count[:, :118].any()
    assert count[:, 120:].mean() > 0.5


# --- layout ---------------------------------------------------------------------------------------


def test_some_tiles_have_muscle_beside_all_else_and_some_glomeruli_are_torn():
    layouts = [draw_layout(np.random.default_rng(seed), extent_um=400.0, n_glomeruli=1) for seed in range(40)]
    with_muscle = [layout for layout in layouts if layout.muscle.max() == 1]
    assert 4 <= len(with_muscle) <= 16
    for layout in with_muscle:
        inside = np.zeros(layout.muscle.shape, np.uint8)
        grid_um = layout.extent_um / layout.muscle.shape[0]
        for outline in [one.outline for one in (*layout.glomeruli, *layout.vessels)]:
            cv2.fillPoly(inside, [np.rint(outline / grid_um).astype(np.int32)], 1)
        assert layout.muscle[inside == 1].max(initial=0) == 0
    assert 2 <= sum(layout.glomeruli[0].torn for layout in layouts) <= 14
    assert not any(layout.glomeruli[0].torn and layout.glomeruli[0].sclerosed for layout in layouts)


# --- one tile -------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_bytes_and_another_does_not() -> None:
    first, again, other = (draw_tile(seed=seed, size_px=128, mpp=2.0, n_glomeruli=1) for seed in (9, 9, 10))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_threads_of_opencv_do_not_change_the_picture() -> None:
    before = cv2.getNumThreads()
    try:
        pictures = []
        for n_threads in (1, 4):
            cv2.setNumThreads(n_threads)
            pictures.append(draw_tile(seed=4, size_px=192, mpp=1.0, n_glomeruli=1)[0])
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize(("size_px", "mpp"), [(512, 1.0), (96, 4.0), (130, 0.5), (33, 1.0)])
def test_image_and_mask_have_type_and_size(size_px: int, mpp: float) -> None:
    image, mask = draw_tile(seed=(1, 2, 3), size_px=size_px, mpp=mpp, n_glomeruli=1)
    assert image.shape == (size_px, size_px, 3)
    assert image.dtype == np.uint8
    assert mask.shape == (size_px, size_px)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1}
    assert mask.any()


def test_no_glomerulus_gives_an_empty_mask() -> None:
    assert not draw_tile(seed=3, size_px=64, mpp=4.0, n_glomeruli=0)[1].any()


@pytest.mark.parametrize("seed", range(6))
def test_as_many_parts_as_glomeruli(seed: int) -> None:
    _, mask = draw_tile(seed=(8, seed), size_px=128, mpp=4.0, n_glomeruli=1)
    assert cv2.connectedComponents(mask)[0] - 1 == 1
    layout = draw_layout(np.random.default_rng(seed), extent_um=700.0, n_glomeruli=4)
    assert len(layout.glomeruli) == 4
    filled = np.zeros((700, 700), dtype=np.uint8)
    for glomerulus in layout.glomeruli:  # none is hidden, none overlaps another by more than its capsule
        one = np.zeros_like(filled)
        cv2.fillPoly(one, [np.rint(glomerulus.outline).astype(np.int32)], 1)
        assert one.sum() > 1800
        assert (one & filled).sum() < 0.1 * one.sum()
        filled |= one


@pytest.mark.parametrize(("size_px", "mpp"), [(512, 0.75), (256, 1.5), (96, 4.0)])
def test_glomeruli_have_their_physical_size_at_every_scale(size_px: int, mpp: float) -> None:
    diameters_um = []
    for seed in range(5):
        _, mask = draw_tile(seed=(21, seed), size_px=size_px, mpp=mpp, n_glomeruli=1)
        cut = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
        if not cut:
            diameters_um.append(2 * np.sqrt(mask.sum() / np.pi) * mpp)
    assert diameters_um
    assert min(diameters_um) > 120
    assert max(diameters_um) < 280


@pytest.mark.parametrize("seed", [5, 6, 13])
def test_the_same_field_of_view_is_the_same_tissue_at_twice_the_resolution(seed: int) -> None:
    look = SlideLook(noise=0.0, jpeg_quality=95)
    coarse = draw_tile(seed=seed, size_px=192, mpp=1.0, n_glomeruli=1, slide=look)
    fine = draw_tile(seed=seed, size_px=384, mpp=0.5, n_glomeruli=1, slide=look)
    mask = cv2.resize(fine[1], (192, 192), interpolation=cv2.INTER_AREA)
    assert (mask != coarse[1]).mean() < 0.02
    blurred = [cv2.GaussianBlur(cv2.resize(image, (192, 192), interpolation=cv2.INTER_AREA), (0, 0), 2.0)
               for image in (coarse[0], fine[0])]  # fmt: skip
    assert np.abs(blurred[0].astype(float) - blurred[1]).mean() < 5


def test_the_mask_follows_what_is_drawn() -> None:
    """With the glomerulus left out, the picture is another one inside the mask and nowhere else."""
    look = SlideLook(blur_um=0.3, sharpening=0.0, noise=0.0, jpeg_quality=100)
    with pytest.MonkeyPatch.context() as patch:
        image, mask = draw_tile(seed=12, size_px=256, mpp=1.0, n_glomeruli=1, slide=look)
        patch.setattr("glomseg.data.synthetic.tile.paint_glomeruli", lambda *_: None)
        without, _ = draw_tile(seed=12, size_px=256, mpp=1.0, n_glomeruli=1, slide=look)
    changed = np.abs(image.astype(int) - without).max(axis=2) > 12
    near = cv2.dilate(mask, np.ones((5, 5), np.uint8)).astype(bool)
    deep = cv2.erode(mask, np.ones((5, 5), np.uint8)).astype(bool)
    assert not changed[~near].any()
    rim = deep & ~cv2.erode(deep.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert changed[deep].mean() > 0.6
    assert changed[rim].mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size_px": 8}, "a tile of 8 pixels"),
        ({"mpp": 50.0}, "50.0 um per pixel"),
        ({"mpp": float("nan")}, "nan um per pixel"),
        ({"n_glomeruli": -1}, "-1 glomeruli"),
        ({"n_glomeruli": 60}, "60 glomeruli do not fit"),
        ({"seed": -1}, "the seed is -1"),
        ({"seed": (1, -2)}, r"the seed is \(1, -2\)"),
    ],
)
def test_a_tile_that_cannot_be_drawn_is_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        draw_tile(**{"seed": 0, "size_px": 128, "mpp": 4.0, **arguments})  # type: ignore[arg-type]


def test_most_tiles_drawn_at_random_have_no_glomerulus() -> None:
    shares = [draw_tile(seed=(4, seed), size_px=32, mpp=8.0)[1].any() for seed in range(40)]
    assert 0.1 < np.mean(shares) < 0.5


# --- slides ---------------------------------------------------------------------------------------


def test_slides_look_different_and_the_same_seed_looks_the_same() -> None:
    looks = [draw_slide_look((1, index)) for index in range(5)]
    assert looks[0] == draw_slide_look((1, 0))
    means = [draw_tile(seed=2, size_px=96, mpp=4.0, n_glomeruli=0, slide=look)[0].mean(axis=(0, 1)) for look in looks]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(means) for b in means[:i]]
    assert min(distances) > 1
    assert max(distances) > 10
    for look in looks:
        assert np.linalg.norm(look.hematoxylin) == pytest.approx(1)
        assert np.linalg.norm(look.pas) == pytest.approx(1)


def test_light_is_absorbed_as_beer_and_lambert_say() -> None:
    look = SlideLook(
        background=(240.0, 243.0, 238.0), thickness_variation=0.0, noise=0.0, shading=0.0, jpeg_quality=100
    )
    amounts = np.zeros((64, 64, 2), dtype=np.float32)
    for hematoxylin, pas in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.7), (0.4, 0.3)):
        amounts[:] = hematoxylin, pas
        picture = develop(amounts, look, np.random.default_rng(0), extent_um=32.0, size_px=32)
        density = hematoxylin * np.array(look.hematoxylin) + pas * np.array(look.pas)
        expected = np.array(look.background) * 10**-density
        np.testing.assert_allclose(picture, np.broadcast_to(expected, picture.shape), atol=2)


def test_a_stronger_stain_is_darker() -> None:
    tiles = [
        draw_tile(seed=5, size_px=64, mpp=4.0, n_glomeruli=1, slide=SlideLook(hematoxylin_amount=a, pas_amount=a))[0]
        for a in (0.7, 1.0, 1.3)
    ]
    means = [tile.mean() for tile in tiles]
    assert means == sorted(means, reverse=True)


# --- difficulty -----------------------------------------------------------------------------------


def best_threshold_iou(value: NDArray[np.float64], target: NDArray[np.bool_]) -> float:
    """Return the best IoU of value >= t or value <= t over all thresholds t."""
    best = 0.0
    for sign in (1, -1):
        order = np.argsort(-sign * value, kind="stable")
        hits = np.cumsum(target[order])
        best = max(best, float((hits / (np.arange(1, len(order) + 1) + target.sum() - hits)).max()))
    return best


def test_the_threshold_search_finds_a_separable_case() -> None:
    assert best_threshold_iou(np.array([0.1, 0.9, 0.2, 0.8]), np.array([False, True, False, True])) == 1.0
    assert best_threshold_iou(np.array([0.9, 0.1, 0.8]), np.array([False, True, False])) == 1.0


def test_no_colour_threshold_finds_the_glomeruli(
    glomerulus_tiles: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
) -> None:
    rgb = np.concatenate([image.reshape(-1, 3) for image, _ in glomerulus_tiles]).astype(np.float64)
    target = np.concatenate([mask.ravel() for _, mask in glomerulus_tiles]).astype(bool)
    density = -np.log10(np.maximum(rgb, 1) / 255)
    saturation = 1 - rgb.min(axis=1) / np.maximum(rgb.max(axis=1), 1)
    features = np.column_stack([rgb, saturation, density, density.sum(axis=1)])
    centred = features - features.mean(axis=0)
    within = sum(np.cov(features[side].T) for side in (target, ~target))
    direction = np.linalg.pinv(within) @ (features[target].mean(axis=0) - features[~target].mean(axis=0))
    candidates = [*features.T, centred @ direction]
    assert max(best_threshold_iou(value, target) for value in candidates) < 0.35


# --- a data set -----------------------------------------------------------------------------------


def test_the_folder_holds_what_the_readme_says(tmp_path: Path) -> None:
    out = write_synthetic_dataset(tmp_path / "set", workers=1, **SMALL)
    names = [f"SYN_S{slide:02d}_T{tile:02d}.png" for slide in (1, 2) for tile in (1, 2, 3, 4)]
    assert sorted(path.name for path in (out / "images").iterdir()) == names
    assert sorted(path.name for path in (out / "masks").iterdir()) == names
    rows = list(csv.DictReader((out / "tiles.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == names
    assert [row["slide"] for row in rows] == ["SYN_S01"] * 4 + ["SYN_S02"] * 4
    for row in rows:
        mask = read_mask_values(out / "masks" / row["file"])
        assert read_image(out / "images" / row["file"]).shape == (*mask.shape, 3)
        assert set(np.unique(mask)) <= {0, 1}
        assert float(row["foreground_share"]) == pytest.approx(mask.mean(), abs=1e-5)
        assert (int(row["n_glomeruli"]) > 0) == bool(mask.any())
    assert sum(int(row["n_glomeruli"]) > 0 for row in rows) == 2  # 30 % of 8, to the nearest tile
    readme = (out / "README.txt").read_text()
    for fact in ("CC0", "4 um per pixel", "seed              5", "generator version"):
        assert fact in readme


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.5, 12), (1.0, 24), (0.3, 7)])
def test_the_share_of_foreground_tiles_is_met_and_spread_over_slides(share: float, expected: int) -> None:
    settings = dataset_module._Settings(
        generator_version=1, seed=3, n_slides=4, tiles_per_slide=6, size_px=512, mpp=1.0, foreground_share=share
    )
    tiles = dataset_module._plan_tiles(settings)
    by_slide = [sum(tile.n_glomeruli > 0 for tile in tiles if tile.slide == slide) for slide in range(4)]
    assert sum(by_slide) == expected
    assert max(by_slide) - min(by_slide) <= 1


@pytest.mark.slow
def test_glomeruli_fill_a_few_percent_of_the_default_set(tmp_path: Path) -> None:
    out = write_synthetic_dataset(tmp_path, n_slides=4, tiles_per_slide=20, size_px=64, mpp=8.0, seed=1, workers=1)
    rows = csv.DictReader((out / "tiles.csv").read_text().splitlines())
    assert 0.02 < np.mean([float(row["foreground_share"]) for row in rows]) < 0.05


def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path) -> None:
    one = write_synthetic_dataset(tmp_path / "one", workers=1, **SMALL)
    two = write_synthetic_dataset(tmp_path / "two", workers=2, **SMALL)
    assert digests(one) == digests(two)


def test_another_seed_writes_other_tiles(tmp_path: Path) -> None:
    one = write_synthetic_dataset(tmp_path / "one", workers=1, **SMALL)
    two = write_synthetic_dataset(tmp_path / "two", workers=1, **{**SMALL, "seed": 6})
    first, second = digests(one), digests(two)
    assert all(first[name] != second[name] for name in first if name.startswith("images"))


def test_a_call_that_was_cut_off_is_continued(tmp_path: Path) -> None:
    whole = digests(write_synthetic_dataset(tmp_path / "whole", workers=1, **SMALL))
    out = tmp_path / "cut"

    def stop_after_three(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synthetic_dataset(out, workers=1, progress=stop_after_three, **SMALL)
    finished = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert len(finished) == 3
    assert not (out / "tiles.csv").exists()
    lost = sorted(finished)[-1]
    (out / "masks" / lost.name).unlink()  # killed between the picture and its mask
    (out / "images" / ".glomseg-half.png").write_bytes(b"half")
    seen: list[tuple[int, int]] = []
    write_synthetic_dataset(out, workers=1, progress=lambda done, total: seen.append((done, total)), **SMALL)
    assert seen == [(done, 8) for done in range(3, 9)]
    assert digests(out) == whole
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items() if path != lost)


def test_a_failing_tile_stops_the_processes_and_leaves_no_table(tmp_path: Path) -> None:
    out = tmp_path / "set"
    write_synthetic_dataset(out, workers=1, **SMALL)
    for path in [*(out / "masks").iterdir(), out / "tiles.csv"]:
        path.unlink()
    (out / "masks").rmdir()
    (out / "masks").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="masks"):
        write_synthetic_dataset(out, workers=2, **SMALL)
    assert not (out / "tiles.csv").exists()


def test_a_finished_set_is_left_as_it_is(tmp_path: Path) -> None:
    out = write_synthetic_dataset(tmp_path, workers=1, **SMALL)
    before = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    write_synthetic_dataset(tmp_path, workers=1, **SMALL)
    assert before == {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}


def test_other_settings_in_the_folder_are_refused(tmp_path: Path) -> None:
    out = write_synthetic_dataset(tmp_path, workers=1, **SMALL)
    before = digests(out)
    with pytest.raises(InvalidInputError, match=r"other settings \(seed 5 there, 6 asked\)"):
        write_synthetic_dataset(out, workers=1, **{**SMALL, "seed": 6})
    (out / "synthetic.json").write_text(json.dumps([1]))
    with pytest.raises(InvalidInputError, match="other settings"):
        write_synthetic_dataset(out, workers=1, **SMALL)
    (out / "synthetic.json").write_text("{")
    with pytest.raises(InvalidInputError, match="not valid JSON"):
        write_synthetic_dataset(out, workers=1, **SMALL)
    assert {name: digest for name, digest in digests(out).items() if name != "synthetic.json"} == {
        name: digest for name, digest in before.items() if name != "synthetic.json"
    }


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(OutputError, match=r"not empty.*thesis\.doc.*choose a new folder"):
        write_synthetic_dataset(tmp_path, workers=1, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="in the way"):
        write_synthetic_dataset(tmp_path / "out", workers=1, **SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_slides": 0}, "the number of slides is 0"),
        ({"tiles_per_slide": 0}, "the number of tiles of a slide is 0"),
        ({"seed": -1}, "the seed is -1"),
        ({"workers": 0}, "the number of workers is 0"),
        ({"foreground_share": 30.0}, "is 30; give a share from 0 to 1"),
        ({"foreground_share": float("nan")}, "give a share from 0 to 1"),
        ({"size_px": 10}, "a tile of 10 pixels"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        write_synthetic_dataset(tmp_path / "set", **{"workers": 1, **SMALL, **arguments})  # type: ignore[arg-type]
    assert not (tmp_path / "set").exists()
