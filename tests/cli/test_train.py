"""glomseg train, every flag once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from glomseg.cli.main import main
from glomseg.models.build import build_model

OPTIONS = {"base_channels": 8, "stem_channels": 8, "head_channels": 8, "auxiliary_channels": 8}
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


def glomseg(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_folder_is_enough(tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert glomseg("train", tiny_dataset, *FLAGS) == 0
    output = capsys.readouterr().out
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 1
    assert runs[0].name.startswith("tiny-default-")
    assert str(runs[0].relative_to(tmp_path)) in output
    assert "validation IoU" in output
    assert "by group" in output


def test_every_flag(tiny_dataset, tmp_path, capsys):
    network = build_model("pspnet_r18", n_classes=5, **OPTIONS)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "it's five.pth")
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[run]\nseed = 5\n")
    assert glomseg("split", tiny_dataset, "--out", tmp_path / "splits", "--val", 0.5) == 0
    words = ["--recipe", recipe, "--split", tmp_path / "splits", "--weights", tmp_path / "it's five.pth"]
    words += ["--device", "cpu", "--devices", 1, "--nodes", 1, "--precision", "32-true"]
    words += ["--classes", "background,glomerulus", "--mask-values", "0,1", "--mpp", 2]
    words += ["--group-pattern", "^(SITE_S[0-9]+)_"]
    assert glomseg("train", tiny_dataset, *FLAGS, *words, "--out", tmp_path / "run") == 0
    output = capsys.readouterr().out
    assert "shape 5x8x1x1 in the file, 2x8x1x1 in the network" in output
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["recipe"] == "mine"
    assert settings["run"]["seed"] == 5
    assert settings["scaling"]["factor"] == 1.0
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["machine"]["precision"] == "32-true"

    assert glomseg("train", "--resume", tmp_path / "run") == 0
    assert "resuming after step 2 of 2" in capsys.readouterr().out
    assert glomseg("train", "--like", tmp_path / "run", "--out", tmp_path / "again") == 0
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "again" / name).is_file()


def test_groups_from_a_column(tiny_dataset, tmp_path):
    names = sorted(path.name for path in (tiny_dataset / "images").iterdir())
    lines = ["file,case", *(f"{name},case{number % 3}" for number, name in enumerate(names))]
    (tiny_dataset / "tiles.csv").write_text("\n".join(lines))
    assert glomseg("train", tiny_dataset, *FLAGS, "--group-column", "case", "--out", tmp_path / "run") == 0
    record = json.loads((tmp_path / "run" / "dataset.json").read_text())
    assert {sample["group"] for sample in record["dataset"]["samples"]} == {"case0", "case1", "case2"}


@pytest.mark.parametrize("written", ["split.json", "train.txt"])
def test_a_split_in_the_data_folder_is_used(tiny_dataset, tmp_path, capsys, written):
    assert glomseg("split", tiny_dataset, "--val", 0.5) == 0
    if written == "train.txt":
        (tiny_dataset / "splits" / "split.json").unlink()
    assert glomseg("train", tiny_dataset, *FLAGS, "--out", tmp_path / "run") == 0
    used, given = (json.loads(path.read_text()) for path in [tmp_path / "run" / "split.json"] * 2)
    assert len(used["val"]) == 6 == len(given["val"])
    assert f"split: {tiny_dataset / 'splits'}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["data", "--resume", "run"], ["--resume", "run", "--like", "run"]])
def test_one_of_data_resume_and_like(words, capsys):
    assert glomseg("train", *words) == 1
    assert "give one of" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["--resume", "--like"])
@pytest.mark.parametrize(
    "words", [["--set", "run.steps=9"], ["--recipe", "homework"], ["--weights", "w"], ["--mpp", 1]]
)
def test_options_that_a_known_run_would_not_heed_are_refused(mode, words, capsys):
    assert glomseg("train", mode, "run", *words) == 1
    error = capsys.readouterr().err
    assert f"{mode} takes settings" in error
    assert words[0] in error


@pytest.mark.slow
def test_two_processes_agree_on_a_folder_that_nobody_named(tiny_dataset, tmp_path, monkeypatch):
    command = [sys.executable, "-m", "glomseg", "train", str(tiny_dataset), *FLAGS, "--device", "cpu", "--devices", "2"]
    monkeypatch.chdir(tmp_path)
    subprocess.run([*command, "--set", "run.batch_size=2"], check=True, timeout=240)
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "last.safetensors").is_file()
    again = subprocess.run([*command, "--out", str(run)], capture_output=True, text=True, check=False, timeout=240)
    assert again.returncode == 1
    assert "already holds a run" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe", "nonesuch"], "the package has default"),
        (["--set", "run.stepz=1"], "did you mean 'run.steps'"),
        (["--device", "abacus"], "is no device"),
        (["--precision", "7-bit"], "is none of auto"),
        (["--weights", "nothing.pth"], "nothing.pth"),
        (["--split", "nothing.json"], "nothing.json"),
        (["--classes", "glomerulus"], "fewer than two"),
        (["--mask-values", "0,x"], "whole numbers"),
        (["--mpp", "0"], "plausible"),
    ],
)
def test_wrong_values_are_one_clear_paragraph(tiny_dataset, tmp_path, capsys, words, message):
    assert glomseg("train", tiny_dataset, *FLAGS, "--out", tmp_path / "run", *words) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert glomseg("train", tmp_path / "none") == 1
    assert "does not exist" in capsys.readouterr().err
    assert not Path("runs").exists() or not list(Path("runs").glob("none*"))


def test_a_config_stands_for_recipe_and_split(tmp_path, glomseg):
    code, _, complained = glomseg("train", "--config", tmp_path / "config.py", "--mask-values", "0,1")
    assert code == 1
    assert "only --mpp and --classes go with it" in complained
    for words in (["--recipe", "default"], ["--split", tmp_path]):
        code, _, complained = glomseg("train", "--config", tmp_path / "config.py", *words)
        assert code == 1
        assert "--config stands for recipe and split" in complained
    code, _, complained = glomseg("train", "--config", tmp_path / "config.py")
    assert code == 1
    assert "config.py' does not exist" in complained
