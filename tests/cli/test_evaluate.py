"""glomseg evaluate, every flag once."""

import json
import shutil

import numpy as np
import pytest

from glomseg.cli.evaluate import object_summary, probability_summary
from glomseg.metrics.evaluation import TileCounts, evaluate_counts
from glomseg.metrics.object_evaluation import evaluate_objects, measure_objects
from glomseg.metrics.pixels import PixelCounts
from glomseg.types import GLOMERULUS

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
        *("evaluation.json", "tiles.csv", "groups.csv", "objects.csv", "predictions.json", "predictions"),
        *("confusion_matrix.pdf", "confusion_matrix.png", "maps"),
    }


def test_every_flag(run, tiny_model, tiny_dataset, tmp_path, glomseg):
    out = tmp_path / "my out"
    words = ["--part", "val", "--split", run / "split.json", "--worst", 0, "-o", out, *CPU]
    words += ["--classes", "background,glomerulus", "--mask-values", "0,1", "--mpp", 0.5]
    words += ["--group-pattern", "^(SITE)_", "--min-area", 100000, "--tolerance", 2.5]
    name = json.loads((run / "split.json").read_text())["val"][0]
    code, said, _ = glomseg("evaluate", tiny_model, tiny_dataset, *words, "--map", name)
    assert code == 0
    assert "val: 4 tiles of 1 group" in said
    written = json.loads((out / "evaluation.json").read_text())
    assert (written["part"], written["mpp"], list(written["groups"])) == ("val", 0.5, ["SITE"])
    assert (written["objects"]["min_area_px"], written["objects"]["tolerance"]) == (100000, 2.5)
    assert "glomerulus: 0 of 2 found, 2 missed, 0 invented; 0 predictions merge several, 0 split into pieces" in said
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


def test_test_time_augmentation_is_said_and_written_down(tiny_model, tiny_dataset, tmp_path, glomseg):
    words = ["--out", tmp_path / "out", "--worst", 0, *CPU]
    code, _, complained = glomseg("evaluate", tiny_model, tiny_dataset, "--tta-flips", "horizontal", *words)
    assert code == 0
    note = (
        "test-time augmentation: masks are of the mean probabilities of 2 views "
        "(scales 1 of the working size; flips none, horizontal)"
    )
    assert f"note: {note}" in complained
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert written["tta"] == {"scales": [1.0], "flips": ["none", "horizontal"]}
    assert note in written["notes"]
    with_views = written["confusion_matrix"]
    glomseg("evaluate", tiny_model, tiny_dataset, *words)
    plain = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert plain["tta"] is None
    assert plain["confusion_matrix"] != with_views


def summary_of(target, prediction, *, unit="um"):
    objects = measure_objects(target=target, prediction=prediction, n_classes=2, mpp=None if unit == "px" else 0.5)
    return object_summary("glomerulus", evaluate_objects([objects[0]] * 8, list("abcdefgh")), unit=unit)


def test_the_summary_says_first_what_is_found_and_how_far_off():
    target = np.zeros((60, 60), np.uint8)
    target[5:15, 5:15] = target[5:15, 30:40] = target[40:50, 40:50] = 1
    prediction = np.zeros_like(target)
    prediction[5:15, 5:16] = prediction[4:15, 30:40] = prediction[30:33, 5:8] = 1
    said = summary_of(target, prediction)
    assert (
        said[0] == "glomerulus: 16 of 24 found, 8 missed, 8 invented; 0 predictions merge several, 0 split into pieces"
    )
    assert said[1].startswith("  recall 66.67 [")
    assert all(word in said[1] for word in ("precision 66.67 [", "F1 66.67 [", "PQ 60.61 ["))
    assert said[2] == (
        "  number +0 % [+0 %, +0 %]; total area -24 % [-24 %, -24 %]; "
        "area of one glomerulus +10 % (95 % of them +10 % to +10 %)"
    )
    assert said[3] == "  outlines: surface Dice 75.93, 95 % Hausdorff distance 0.5 um"
    assert summary_of(target, prediction, unit="px")[3].endswith("95 % Hausdorff distance 1.0 px")


def test_the_summary_where_there_is_nothing():
    nothing, one = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    one[5:15, 5:15] = 1
    assert summary_of(nothing, nothing) == ["glomerulus: none in the truth, and none predicted"]
    missed = summary_of(one, nothing)
    assert missed[0].startswith("glomerulus: 0 of 8 found, 8 missed, 0 invented")
    assert missed[1].startswith("  recall 0.00 [0.00, ")
    assert "precision -" in missed[1]
    assert missed[2] == "  number -100 % [-100 %, -100 %]; total area -100 % [-100 %, -100 %]"
    assert len(missed) == 3
    invented = summary_of(nothing, one)
    assert invented[0].startswith("glomerulus: 0 of 0 found, 0 missed, 8 invented")
    assert len(invented) == 2


def test_few_groups_are_shown_themselves(tiny_model, tiny_dataset, tmp_path, glomseg):
    words = ["--out", tmp_path / "out", "--worst", 0, *CPU]
    _, many, _ = glomseg("evaluate", tiny_model, tiny_dataset, *words)
    assert "by group" not in many
    _, few, complained = glomseg("evaluate", tiny_model, tiny_dataset, *words, "--group-pattern", "_(T..)")
    assert "by group" in few
    assert "T01" in few
    assert "2 groups bear these figures: so few cannot tell" in complained


def test_probabilities_are_summed_up_in_one_line(tiny_model, tiny_dataset, tmp_path, glomseg):
    _, said, _ = glomseg("evaluate", tiny_model, tiny_dataset, "--out", tmp_path / "out", "--worst", 0, *CPU)
    (line,) = [line for line in said.splitlines() if line.startswith("calibration: ECE ")]
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    figures = written["calibration"]["figures"]
    assert line.startswith(f"calibration: ECE {100 * figures['ece']:.2f} [")
    assert f"foreground {100 * figures['foreground_ece']:.2f} [" in line
    side = "surer" if figures["overconfidence"] > 0 else "less sure"
    assert f"{side} than right by {100 * abs(figures['overconfidence']):.2f}" in line
    correlation = written["doubt"]["expected_error"]["value"]
    assert f"doubt: rank correlation with the error of tiles {correlation:.2f}" in line
    assert probability_summary(evaluate_counts([TileCounts(**NOTHING)], GLOMERULUS)) == []


NOTHING = {"name": "a", "group": "a", "counts": PixelCounts.zero(2)}
