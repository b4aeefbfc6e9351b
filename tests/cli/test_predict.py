"""glomseg predict, every flag once."""

import csv
import json

import numpy as np
import pytest

from glomseg.export.pyramid import write_pyramid
from glomseg.images import write_png

NOISE = np.random.default_rng(0).integers(60, 200, (180, 300, 3), dtype=np.uint8)
CPU = ("--device", "cpu", "--precision", "32-true")


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_it_writes_to_predictions_and_shows_a_table(tiny_dataset, tiny_model, tmp_path, monkeypatch, glomseg):
    monkeypatch.chdir(tmp_path)
    code, said, _ = glomseg("predict", tiny_model, tiny_dataset / "images" / "SITE_S01_*.png", *CPU)
    assert code == 0
    assert files_below(tmp_path / "predictions") == [
        "components.csv",
        "masks/SITE_S01_T01.png",
        "masks/SITE_S01_T02.png",
        "overlays/SITE_S01_T01.png",
        "overlays/SITE_S01_T02.png",
    ]
    assert "SITE_S01_T02.png" in said
    assert "largest (px)" in said
    assert "objects on 2 images. Written to predictions" in said


def test_every_flag(tiny_dataset, tiny_model, tmp_path, glomseg):
    words = ["--mpp", 0.5, "--opacity", 0.3, "--no-overlays", "--min-area", 5000, "-o", tmp_path / "my out", *CPU]
    code, said, _ = glomseg("predict", tiny_model, tiny_dataset / "images", *words)
    assert code == 0
    assert "largest (um2)" in said
    assert "0 objects on 12 images" in said  # no tile has 5,000 pixels
    assert len(files_below(tmp_path / "my out")) == 13
    with open(tmp_path / "my out" / "components.csv") as file:
        assert next(csv.reader(file)) == [
            *("image", "mask", "label", "class", "area_px", "area_um2", "centroid_x_px", "centroid_y_px"),
            *("x_px", "y_px", "width_px", "height_px", "touches_border", "mean_probability"),
        ]


def test_a_bad_file_is_named_at_the_end_and_the_code_is_1(tiny_model, tmp_path, glomseg):
    write_png(tmp_path / "good.png", np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "bad\n[red].png").write_text("I am text")
    code, said, complained = glomseg("predict", tiny_model, tmp_path, "--out", tmp_path / "out", *CPU)
    assert code == 1
    assert "on 1 image." in said
    assert "note: left out '" in complained
    assert r"bad\n[red].png': image" in complained
    assert files_below(tmp_path / "out" / "masks") == ["good.png"]


def test_a_long_table_is_cut(tiny_model, tmp_path, glomseg):
    for number in range(22):
        write_png(tmp_path / "in" / f"{number:02}.png", np.zeros((8, 8, 3), np.uint8))
    code, said, _ = glomseg("predict", tiny_model, tmp_path / "in", "--no-overlays", "-o", tmp_path / "out", *CPU)
    assert code == 0
    assert "... and 2 more images" in said


def test_errors_are_1_and_one_line(tiny_dataset, tiny_model, tmp_path, glomseg):
    for words, reason in [
        ((tiny_model,), "no image was named"),
        ((tiny_model, tmp_path / "*.png"), "fits no file"),
        ((tmp_path / "none", tiny_dataset / "images"), "does not exist"),
        ((tiny_model, tiny_dataset / "images", "--device", "quantum"), "--device 'quantum' is no device"),
        ((tiny_model, tiny_dataset / "images", "--precision", "8"), "--precision '8' is none of"),
        ((tiny_model, tiny_dataset / "images", "--opacity", "2"), "--opacity 2"),
        ((tiny_model, tiny_dataset / "images", "--out", tiny_dataset), "may be your own masks"),
    ]:
        code, said, complained = glomseg("predict", *words)
        assert (code, said) == (1, "")
        assert reason in complained
        assert complained.count("\n") == 1


def test_test_time_augmentation_is_said(tiny_dataset, tiny_model, tmp_path, glomseg):
    image = tiny_dataset / "images" / "SITE_S01_T01.png"
    for words, views in [
        (["--tta"], "4 views (scales 1 of the working size; flips none, horizontal, vertical, both)"),
        (["--tta-scales", "0.5,1"], "2 views (scales 0.5, 1 of the working size; flips none)"),
        (["--tta-flips", "vertical"], "2 views (scales 1 of the working size; flips none, vertical)"),
    ]:
        code, _, complained = glomseg("predict", tiny_model, image, "-o", tmp_path / "out", *words, *CPU)
        assert code == 0
        assert f"test-time augmentation: masks are of the mean probabilities of {views}" in complained


@pytest.fixture
def slide(tmp_path):
    picture = np.full((300, 420, 3), 240, np.uint8)
    picture[60:240, 60:360] = NOISE
    write_pyramid(tmp_path / "in" / "slide.tif", picture, mpp=0.5)
    return tmp_path / "in" / "slide.tif"


def test_a_slide_gets_a_folder_and_a_row(slide, tiny_model, tmp_path, glomseg):
    out = tmp_path / "out"
    code, said, complained = glomseg("predict", tiny_model, slide.parent, "--out", out, *CPU)
    assert code == 0, complained
    assert files_below(out) == [
        *(f"slide/{name}" for name in ("mask.tif", "objects.csv", "objects.geojson", "overlay.png", "slide.json")),
        "slides.csv",
    ]
    assert "objects/mm2" in said
    assert "on 1 slide. Written to" in said
    code, said, _ = glomseg("predict", tiny_model, slide, "--out", out, *CPU)
    assert code == 0
    assert "done before" in said


def test_tiles_and_slides_and_a_bad_one_go_together(slide, tiny_model, tmp_path, glomseg):
    write_png(slide.parent / "tile.png", np.zeros((32, 32, 3), np.uint8))
    (slide.parent / "bad.svs").write_bytes(b"no slide")
    out = tmp_path / "out"
    code, said, complained = glomseg("predict", tiny_model, slide.parent, "--mpp", 0.5, "-o", out, *CPU)
    assert code == 1
    assert "on 1 image." in said
    assert "on 1 slide." in said
    assert "note: left out '" in complained
    assert "bad.svs" in complained
    assert {"components.csv", "masks/tile.png", "slides.csv", "slide/slide.json"} <= set(files_below(out))


def test_every_flag_of_slides(slide, tiny_model, tmp_path, glomseg):
    words = ["--as", "slide", "--mpp", 0.25, "--working-mpp", 1.0, "--no-tissue", "--min-diameter", 1, "--no-separate"]
    words += ["--probabilities", "--batch-size", 2, "--tile-size", 64, "--workers", 1]
    code, _, complained = glomseg("predict", tiny_model, slide, "-o", tmp_path / "out", *words, *CPU)
    assert code == 0, complained
    record = json.loads((tmp_path / "out" / "slide" / "slide.json").read_text())
    assert record["slide"]["mpp"] == 0.25
    assert record["slide"]["mpp_is_from"] == "the user"
    assert "0.25 um per pixel was given" in complained  # the file says 0.5
    assert record["working"]["mpp"] == 1.0
    assert (record["working"]["height_px"], record["working"]["width_px"]) == (75, 105)
    assert record["working"]["n_windows_without_tissue"] == 0
    assert record["settings"] == {
        "mpp": 0.25,
        "working_mpp": 1.0,
        "tissue_only": False,
        "objects": {"min_diameter_um": 1.0, "min_diameter_px": 8.0, "max_hole_ratio": 1.0, "max_neck_ratio": 0.0},
        "probabilities": True,
        "batch_size": 2,
        "tile_px": 64,
        "n_threads": 1,
    }
    assert (tmp_path / "out" / "slide" / "probability.tif").exists()
    code, _, _ = glomseg("predict", tiny_model, slide, "--as", "tile", "-o", tmp_path / "tiles", *CPU)
    assert code == 0
    assert "masks/slide.png" in files_below(tmp_path / "tiles")


def test_errors_on_slides_are_1_and_one_line(slide, tiny_model, tmp_path, glomseg):
    for words, reason in [
        (("--as", "scan"), "--as 'scan' is no kind of input"),
        (("--min-diameter", -1), "--min-diameter -1"),
        (("--batch-size", 0), "--batch-size 0"),
        (("--tile-size", 1), "--tile-size 1"),
        (("--workers", 0), "--workers 0"),
        (("--working-mpp", 0), "--working-mpp 0"),
    ]:
        code, said, complained = glomseg("predict", tiny_model, slide, "-o", tmp_path / "out", *words, *CPU)
        assert (code, said) == (1, "")
        assert reason in complained
        assert complained.count("\n") == 1


def test_flags_of_tiles_do_nothing_on_slides_and_that_is_said(slide, tiny_model, tmp_path, glomseg):
    for words in (["--opacity", 0.2], ["--no-overlays"], ["--min-area", 30]):
        code, _, complained = glomseg("predict", tiny_model, slide, "-o", tmp_path / "out", *words, *CPU)
        assert code == 0
        assert "note: --opacity, --no-overlays and --min-area are for tiles" in complained


def test_nothing_is_written_where_no_slide_can_be_read(slide, tiny_model, tmp_path, glomseg):
    (tmp_path / "bad.svs").write_bytes(b"no slide")
    code, said, complained = glomseg("predict", tiny_model, tmp_path / "bad.svs", "-o", tmp_path / "out", *CPU)
    assert code == 1
    assert said == ""
    assert "bad.svs" in complained


def test_another_engine_on_tiles_and_slides(slide, fpn_model, graph_at_hand, tmp_path, glomseg):
    write_png(tmp_path / "tile.png", NOISE[:70, :90])
    for engine in ("torch", "onnx"):
        words = [slide, tmp_path / "tile.png", "--engine", engine, "--min-diameter", 0, "-o", tmp_path / engine, *CPU]
        code, _, complained = glomseg("predict", fpn_model, *words)
        assert code == 0, complained
    assert graph_at_hand == ["graph"]
    masks = [(tmp_path / engine / "masks" / "tile.png").read_bytes() for engine in ("torch", "onnx")]
    assert masks[0] == masks[1]
    records = [json.loads(next((tmp_path / engine).glob("*/slide.json")).read_text()) for engine in ("torch", "onnx")]
    assert [record["model"]["engine"] for record in records] == ["torch", "onnx"]
    assert records[0]["summary"] == records[1]["summary"]


def test_an_engine_that_is_not_known_is_1_and_one_line(tiny_dataset, tiny_model, tmp_path, glomseg):
    code, said, complained = glomseg("predict", tiny_model, tiny_dataset / "images", "--engine", "tpu", "-o", tmp_path)
    assert (code, said) == (1, "")
    assert complained.startswith("glomseg: --engine 'tpu' is not known: there are torch, onnx, openvino")
