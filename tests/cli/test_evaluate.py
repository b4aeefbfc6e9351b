"""glomseg evaluate, every flag once."""

import json
import shutil

import pytest

CPU = ("--device", "cpu", "--precision", "32-true")


@pytest.fixture
def run(tmp_path, tiny_model, tiny_dataset, glomseg):
    """A run folder with the tiny model and a split with a test part."""
    folder = tmp_path / "run"
    glomseg("split", tiny_dataset, "--val", 0.34, "--test", 0.17, "--out", folder)
    shutil.copy(tiny_model, folder / "best.safetensors")
    (folder / "manifest.json").write_text("{}")
    return folder


def test_a_run_is_measured_on_its_test_part(run, tiny_dataset, glomseg):
    code, said, complained = glomseg("evaluate", run, tiny_dataset, *CPU)
    assert code == 0
    assert "test: 2 tiles of 1 group" in said
    for word in ("IoU", "Acc", "Dice", "precision", "recall", "glomerulus", "aAcc", "mIoU", "mAcc"):
        assert word in said
    assert f"Written to {run / 'evaluation-test'}" in said
    assert "note: 1 group bears these figures: there are no intervals" in complained
    assert " to " not in said.partition("Written to")[0]
    written = {path.name for path in (run / "evaluation-test").iterdir()}
    assert written == {
        *("evaluation.json", "tiles.csv", "groups.csv", "confusion_matrix.pdf", "confusion_matrix.png", "maps"),
        *("predictions", "predictions.json"),
    }


def test_every_flag(run, tiny_model, tiny_dataset, tmp_path, glomseg):
    out = tmp_path / "my out"
    words = ["--part", "val", "--split", run / "split.json", "--worst", 0, "-o", out, *CPU]
    words += ["--classes", "background,glomerulus", "--mask-values", "0,1", "--mpp", 0.5]
    words += ["--group-pattern", "^(SITE)_"]
    name = json.loads((run / "split.json").read_text())["val"][0]
    code, said, _ = glomseg("evaluate", tiny_model, tiny_dataset, *words, "--map", name)
    assert code == 0
    assert "val: 4 tiles of 1 group" in said
    written = json.loads((out / "evaluation.json").read_text())
    assert (written["part"], written["mpp"], list(written["groups"])) == ("val", 0.5, ["SITE"])
    assert sorted(path.name for path in (out / "maps").iterdir()) == [
        f"{name}_glomerulus_errors.png",
        f"{name}_overlay.png",
    ]


def test_a_model_outside_a_run_is_measured_on_all_tiles(tiny_model, tiny_dataset, tmp_path, glomseg):
    model = shutil.copy(tiny_model, tmp_path / "m.safetensors")
    code, said, _ = glomseg("evaluate", model, tiny_dataset, "--worst", 0, *CPU)
    assert code == 0
    assert "all: 12 tiles of 6 groups" in said
    assert (tmp_path / "evaluation-all" / "evaluation.json").is_file()


def test_a_broken_tile_is_left_out_and_the_code_is_1(tiny_model, tiny_dataset, tmp_path, glomseg):
    (tiny_dataset / "masks" / "SITE_S03_T01.png").write_bytes(b"")
    code, said, complained = glomseg("evaluate", tiny_model, tiny_dataset, "--out", tmp_path / "out", *CPU)
    assert code == 1
    assert "all: 11 tiles of 6 groups" in said
    assert "note: left out 'SITE_S03_T01': mask" in complained


def test_a_map_that_could_not_be_drawn_is_named_and_the_code_is_1(
    tiny_model, tiny_dataset, tmp_path, glomseg, monkeypatch
):
    from glomseg.metrics.evaluation import evaluate_counts

    def evaluate_and_break(*args, **kwargs):
        (tiny_dataset / "images" / "SITE_S03_T01.png").write_bytes(b"")
        return evaluate_counts(*args, **kwargs)

    monkeypatch.setattr("glomseg.steps.evaluate.evaluate_counts", evaluate_and_break)
    words = ["--out", tmp_path / "out", "--map", "SITE_S03_T01", "--worst", 0, *CPU]
    code, said, complained = glomseg("evaluate", tiny_model, tiny_dataset, *words)
    assert code == 1
    assert "all: 12 tiles of 6 groups" in said
    assert "note: no map of 'SITE_S03_T01': image" in complained


def test_errors_are_1_and_one_line(run, tiny_model, tiny_dataset, tmp_path, glomseg):
    for words, reason in [
        ((tiny_model, tmp_path / "none"), "does not exist"),
        ((tmp_path / "none", tiny_dataset), "does not exist"),
        ((tiny_model, tiny_dataset, "--split", tmp_path / "typo.json"), "typo.json"),
        ((tiny_model, tiny_dataset, "--part", "test"), "needs a split"),
        ((tiny_model, tiny_dataset, "--part", "best"), "--part 'best' is none of"),
        ((run, tiny_dataset, "--map", "x"), "--map 'x' is not a tile"),
        ((run, tiny_dataset, "--classes", "a,b"), "the model knows the classes background, glomerulus"),
    ]:
        code, said, complained = glomseg("evaluate", *words)
        assert (code, said) == (1, "")
        assert reason in complained
        assert complained.count("\n") == 1
