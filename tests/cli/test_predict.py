"""glomseg predict, every flag once."""

import csv

import numpy as np

from glomseg.images import write_png

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
