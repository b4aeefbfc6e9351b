"""glomseg crossval, every flag once."""

import json
import os
import signal
import threading
import time

import pytest

from glomseg.steps import crossval as steps_crossval

SETTINGS = [
    "model.architecture=pspnet_r18",
    "model.options={base_channels=8, stem_channels=8, head_channels=8, auxiliary_channels=8}",
    "crop.size_px=32",
    "run.batch_size=2",
    "run.workers=0",
    "run.steps=2",
    "run.val_every=2",
]
FLAGS = [word for item in SETTINGS for word in ("--set", item)]
CPU = ("--device", "cpu", "--precision", "32-true")


def test_a_folder_is_enough_and_its_models_are_one(tiny_dataset, tmp_path, monkeypatch, glomseg):
    monkeypatch.chdir(tmp_path)
    code, said, complained = glomseg("crossval", tiny_dataset, "--folds", 2, *FLAGS, *CPU)
    assert code == 0
    out = tmp_path / "runs" / "tiny-default-crossval"
    for word in ("held out", "F1", "out of fold: 12 tiles of 6 groups", "fold 2 of 2: holding out SITE_S"):
        assert word in said
    assert f"The models as one: glomseg predict {out.relative_to(tmp_path)} IMAGES" in said
    assert "note: Out of fold: every tile was predicted by the one of 2 models" in complained

    code, said, complained = glomseg("predict", out, tiny_dataset / "images", "-o", "predicted", *CPU)
    assert code == 0
    assert "note: ensemble: the mean of the probabilities of 2 models" in complained
    code, said, complained = glomseg("evaluate", out, tiny_dataset, *CPU, "--worst", 0)
    assert code == 0
    assert "all: 12 tiles of 6 groups" in said
    assert "of the 12 tiles were trained on" in complained
    assert (out / "evaluation-all" / "evaluation.json").is_file()
    assert glomseg("benchmark", out, "--size", 64, "--n", 1, "--warmup", 0, *CPU)[0] == 0
    code, _, complained = glomseg("export", out, "-o", "exported.pth")
    assert code == 1
    assert "ensemble.json" in complained


def test_every_flag(tiny_dataset, tmp_path, glomseg):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[run]\nseed = 5\n")
    assert glomseg("split", tiny_dataset, "--out", tmp_path / "splits", "--test", 0.2)[0] == 0
    words = ["--by", "site", "--site-pattern", "_S0([0-9])_", "--val", 0, "--seed", 3, "--choose", "min-size, tta"]
    words += ["--split", tmp_path / "splits", "--recipe", recipe, "--classes", "background,glomerulus", "--mpp", 2]
    words += ["--group-pattern", "^(SITE_S[0-9]+)_", "-o", tmp_path / "out"]
    code, said, complained = glomseg("crossval", tiny_dataset, *words, *FLAGS, *CPU)
    assert code == 0
    assert "test, by the ensemble: " in said
    assert "note: test: The test data were opened on " in complained
    assert "Chosen on the held-out tiles: " in complained
    assert "test-time augmentation o" in complained
    record = json.loads((tmp_path / "out" / "crossval.json").read_text())
    assert record["made_of"]["division"] == {
        **{"by": "site", "folds": len(record["folds"]), "val": 0.0, "seed": 3},
        "sites_sha256": record["made_of"]["division"]["sites_sha256"],
    }
    assert record["folds"][0]["held_out"] == "site 1"
    assert record["made_of"]["settings"]["run"]["seed"] == 5
    assert record["made_of"]["data"]["mpp"] == 2
    assert record["chosen"]["smallest"]["unit"] == "um"

    code, said, _ = glomseg("crossval", "--resume", tmp_path / "out", "--device", "cpu")
    assert code == 0
    assert "out of fold: " in said


def test_weights_and_a_column_of_sites(tiny_dataset, tiny_model, tmp_path, glomseg):
    names = sorted(path.stem for path in (tiny_dataset / "images").iterdir())
    rows = [f"{name},{'north' if name < 'SITE_S04' else 'south'}" for name in names]
    (tiny_dataset / "tiles.csv").write_text("\n".join(["file,site", *rows]))
    words = ["--by", "site", "--site-column", "site", "--weights", tiny_model, "-o", tmp_path / "out"]
    code, said, _ = glomseg("crossval", tiny_dataset, *words, *FLAGS, *CPU)
    assert code == 0
    assert "fold 1 of 2: holding out site north" in said
    assert (tmp_path / "out" / "fold-1" / "weights.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give one of: a data folder to cross-validate on, or --resume FOLDER"),
        (["DATA", "--resume", "x"], "give one of"),
        (["--resume", "x", "--folds", 2], "--resume takes everything but --device from the folder"),
        (["--resume", "x", "--seed", 2], "--resume takes everything but --device from the folder"),
        (["DATA", "--by", "site", "--folds", 2], "--by site makes a fold of each site and takes no --folds"),
        (["DATA", "--by", "site"], "--by site needs to know a tile's site"),
        (["DATA", "--site-pattern", "(.)"], "give --by site too"),
        (["DATA", "--folds", 7], "7 folds of 6 groups"),
        (["DATA", "--choose", "treshold"], "--choose 'treshold': did you mean 'threshold'?"),
        (["DATA", "--choose", "threshold", "--classes", "background,a,b"], "--choose threshold is for two classes"),
        (["--resume", "nowhere"], "'nowhere' is no cross-validation"),
    ],
)
def test_errors_are_1_and_one_line(tiny_dataset, glomseg, words, message):
    code, _, complained = glomseg("crossval", *(tiny_dataset if word == "DATA" else word for word in words))
    assert code == 1
    assert message in complained
    assert complained.count("glomseg: ") == 1


def test_ctrl_c_is_130_with_the_command_to_go_on(tiny_dataset, tmp_path, monkeypatch, glomseg):
    out = tmp_path / "out"

    def interrupt():
        while not list(out.glob("fold-1/metrics.jsonl")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    words = ("crossval", tiny_dataset, "--folds", 2, "-o", out, *FLAGS, *CPU)
    code, said, _ = glomseg(*words, "--set", "run.steps=400")
    assert code == 130
    assert said.endswith(f"Stopped. Go on with: glomseg crossval --resume {out}\n")

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(steps_crossval, "evaluate_model", stopped)
    monkeypatch.setattr(steps_crossval._Crossval, "_train", lambda *_, **__: True)
    code, said, _ = glomseg("crossval", "--resume", out)
    assert code == 130
    assert said.endswith(f"Stopped. Go on with: glomseg crossval --resume {out}\n")
