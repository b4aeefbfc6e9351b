"""Three classes in the masks, and no flag that says so: every command takes them from there."""

import json

import numpy as np
import pytest

from glomseg.images import read_mask_values, write_png

SETTINGS = ["crop.size_px=32", "run.batch_size=2", "run.workers=0", "run.steps=2", "run.val_every=2"]
SETTINGS += ["model.architecture=pspnet_r18"]
SETTINGS += ["model.options={base_channels=8, stem_channels=8, head_channels=8, auxiliary_channels=8}"]


@pytest.fixture
def three_classes(tiny_dataset):
    """The tiny data set, with the left half of each disc a class of its own."""
    for path in (tiny_dataset / "masks").iterdir():
        mask = read_mask_values(path).copy()
        mask[:, :32] *= 2
        write_png(path, mask)
    return tiny_dataset


def test_inspect_split_train_and_evaluate(three_classes, tmp_path, glomseg):
    code, said, complained = glomseg("inspect", three_classes, "--out", tmp_path / "inspection")
    assert code == 0
    assert "class 2" in said
    assert "--classes 'background,class 1,class 2' would name them" in complained
    assert glomseg("split", three_classes)[0] == 0
    run = tmp_path / "run"
    code, said, _ = glomseg(
        "train", three_classes, *(word for item in SETTINGS for word in ("--set", item)), "--out", run
    )
    assert code == 0
    assert "class 2" in said
    assert glomseg("evaluate", run, three_classes, "--part", "val", "--device", "cpu")[0] == 0
    written = json.loads((run / "evaluation-val" / "evaluation.json").read_text())
    assert written["classes"]["names"] == ["background", "class 1", "class 2"]
    assert np.shape(written["confusion_matrix"]) == (3, 3)
