"""glomseg calibrate, every flag once."""

import json
import shutil

import numpy as np
import pytest

from glomseg.inference.predictor import Predictor
from glomseg.models.model_files import load_model
from glomseg.types import GLOMERULUS, Prediction

CPU = ("--device", "cpu", "--precision", "32-true")


@pytest.fixture(autouse=True)
def timid(monkeypatch):
    """Lets the predictor say background with 70 % everywhere, where 94 % would be right."""

    def predict(self, image, *, mpp=None, look=None, keep_probabilities=False):
        foreground = np.full(image.shape[:2], 0.3, np.float32)
        probabilities = np.stack([1 - foreground, foreground])
        return Prediction(
            mask=np.zeros(image.shape[:2], np.uint8), probabilities=probabilities, classes=GLOMERULUS, mpp=mpp
        )

    monkeypatch.setattr(Predictor, "predict", predict)


@pytest.fixture
def run(tmp_path, tiny_model, tiny_dataset, glomseg):
    folder = tmp_path / "run"
    glomseg("split", tiny_dataset, "--val", 0.5, "--test", 0.17, "--out", folder)
    shutil.copy(tiny_model, folder / "best.safetensors")
    (folder / "manifest.json").write_text("{}")
    return folder


def test_a_run_gets_a_calibrated_model(run, tiny_dataset, glomseg):
    code, said, complained = glomseg("calibrate", run, tiny_dataset, *CPU)
    assert code == 0, complained
    assert "val: 6 tiles of 3 groups, 24,576 pixels" in said
    temperature = load_model(run / "best-calibrated.safetensors")[1].inference.temperature
    assert f"temperature {temperature:.3f} [" in said
    assert 0.2 < temperature < 0.5
    for word in ("before", "after", "ECE", "surer than right", "Brier", "log loss"):
        assert word in said
    assert f"Written to {run / 'best-calibrated.safetensors'}" in said


def test_every_flag(run, tiny_model, tiny_dataset, tmp_path, glomseg):
    out = tmp_path / "warm.safetensors"
    words = ["--part", "val", "--split", run / "split.json", "-o", out, *CPU, "--tta-flips", "horizontal"]
    words += ["--classes", "background,glomerulus", "--mask-values", "0,1", "--mpp", 0.5]
    code, said, complained = glomseg("calibrate", tiny_model, tiny_dataset, *words, "--group-pattern", "^(SITE)_")
    assert code == 0
    assert "val: 6 tiles of 1 group" in said
    assert "note: 1 group bears the temperature" in complained
    assert load_model(out)[1].provenance["calibration"]["tta"] == {"scales": [1.0], "flips": ["none", "horizontal"]}


def test_the_test_part_is_refused(run, tiny_dataset, glomseg):
    code, said, complained = glomseg("calibrate", run, tiny_dataset, "--part", "test")
    assert (code, said) == (1, "")
    assert "--part test is not for calibration" in complained
    assert not (run / "best-calibrated.safetensors").exists()


def test_a_broken_tile_is_left_out_and_the_code_is_1(run, tiny_dataset, glomseg):
    name = json.loads((run / "split.json").read_text())["val"][1]
    (tiny_dataset / "masks" / f"{name}.png").write_bytes(b"")
    code, said, complained = glomseg("calibrate", run, tiny_dataset, *CPU)
    assert code == 1
    assert f"note: left out '{name}': mask" in complained
    assert "val: 5 tiles of 3 groups" in said
