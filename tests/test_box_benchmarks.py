"""The script that trains the model in the box, and the learning curve over few labelled tiles."""

import dataclasses
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from glomseg import load_recipe, open_dataset, read_card
from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError
from glomseg.files import read_json
from glomseg.types import ModelCard

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
TINY = """
[model]
architecture = "pspnet_r18"
options = { base_channels = 8, stem_channels = 8, head_channels = 8, auxiliary_channels = 8 }
[scaling]
mpp = 2.0
[crop]
size_px = 32
[run]
steps = 2
batch_size = 2
workers = 0
seed = 3
"""
SYNTHETIC = (
    "n_slides = 3\ntiles_per_slide = 2\nsize_px = 64\nmpp = 2.0\nforeground_share = 0.5\nseed = 5\nworkers = 1\n"
)
CPU = ("--device", "cpu", "--precision", "32-true")


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def recipes(tmp_path):
    """A folder of recipes for the model in the box that are done in no time."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name, text in {"pretrain": TINY, "finetune": TINY, "synthetic": SYNTHETIC}.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    card = (BENCHMARKS / "box_recipes" / "card.toml").read_text(encoding="utf-8")
    (folder / "card.toml").write_text(card, encoding="utf-8")
    return folder


@pytest.fixture
def run(benchmark, monkeypatch, capsys):
    """Calls a benchmark with these words, and gives what it printed; or the message of its error."""

    def call(name: str, *words: object) -> str:
        monkeypatch.setattr("sys.argv", [name, *map(str, words)])
        try:
            benchmark(name).main()
        except GlomsegError as error:
            return str(error)
        return capsys.readouterr().out

    return call


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("last.safetensors")}


def test_the_recipes_of_the_box_are_valid_and_of_its_network(benchmark):
    module = benchmark("box_model")
    for stage in ("pretrain", "finetune"):
        settings = load_recipe(str(module.RECIPES / f"{stage}.toml"))
        assert settings.model.architecture == "fpn_resnet_small"
        assert settings.scaling.mpp == 2.0
    assert settings.run.val_every >= settings.run.steps  # in the last stage nothing validates
    default = load_recipe("default")
    for section in ("augment", "loss", "optimizer", "schedule", "inference", "colors"):
        assert getattr(settings, section) == getattr(default, section)  # so the box's figures are those of the recipe
    assert settings.crop == default.crop.model_copy(update={"size_px": 160})


def test_the_box_is_trained_once_on_all_tiles_and_carries_its_card(run, tiny_dataset, recipes, tmp_path):
    words = ["box_model", tiny_dataset, "--mpp", 2, "--out", tmp_path / "out", "--recipes", recipes, *CPU]
    done = run(*words)
    model = tmp_path / "out" / "glomeruli.safetensors"
    card = read_card(model)
    assert card.trained_on["n_train_tiles"] == 12
    assert card.trained_on["data"] == "tiny"
    assert card.provenance["weights"] == "pretrained on synthetic tissue"
    assert card.publication.name == "glomeruli"
    assert not card.publication.figures
    command = re.search(r"glomseg (crossval .*) --out (.*)", done.replace("\n", " "))
    assert command is not None
    assert "--folds 6 --val 0" in command[1]
    assert f"model.weights={tmp_path / 'out' / 'pretrained' / 'run' / 'last.safetensors'}" in command[1]
    made_at = times(tmp_path / "out")
    assert len(made_at) == 2

    folds = tmp_path / "out" / "folds" / "evaluation-folds"
    folds.mkdir(parents=True)
    figures = {
        "part": "out-of-fold",
        "n_tiles": 12,
        "n_groups": 6,
        "model": {"folds": {"fold-1": {"provenance": {"seed": 3}}}},
        "figures": {key: {"glomerulus": 0.5} for key in ("iou", "dice", "precision", "recall")},
        "intervals": {key: {"glomerulus": [0.25, 0.75]} for key in ("iou", "dice", "precision", "recall")},
        "objects": {
            "classes": {
                "glomerulus": {
                    "figures": {"recall": 0.5, "precision": 0.5, "panoptic_quality": None},
                    "intervals": {"recall": [0.1, 0.9], "precision": [None, None], "panoptic_quality": [None, None]},
                }
            }
        },
    }
    (folds / "evaluation.json").write_text(json.dumps(figures), encoding="utf-8")
    again = run(*words)
    assert "crossval" not in again
    assert times(tmp_path / "out") == made_at
    about = read_card(model).publication
    assert about.figures["IoU"] == (0.5, 0.25, 0.75)
    assert set(about.figures) == {
        "IoU",
        "Dice",
        "precision",
        "recall",
        "glomeruli found",
    }  # what is undefined is left out
    assert "12 tiles of 6 regions" in about.measured
    assert "seed 3" in about.measured

    (folds / "evaluation.json").write_text(json.dumps({**figures, "part": "val"}), encoding="utf-8")
    assert "only figures out of fold are given" in run(*words)
    (recipes / "finetune.toml").write_text(TINY.replace("steps = 2", "steps = 3"), encoding="utf-8")
    assert "holds a run of other settings" in run(*words)
    (recipes / "synthetic.toml").write_text("[", encoding="utf-8")
    assert "is not valid TOML" in run(*words)


def test_a_model_that_is_too_large_for_the_package_is_refused(
    benchmark, tiny_dataset, tiny_model, tmp_path, monkeypatch
):
    module = benchmark("box_model")
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(InvalidInputError, match="at most 1,000 go into the package"):
        module.publish(tiny_model, tmp_path / "m.safetensors", dataset=open_dataset(tiny_dataset), figures=None)


def test_the_curve_has_every_start_and_is_done_once(run, tiny_dataset, tiny_model, recipes, tmp_path):
    words = ["few_labels", tiny_dataset, "--mpp", 2, "--start", tiny_model, "--recipe", recipes / "finetune.toml"]
    words += ["--tiles", "0,16", "--seeds", "1", "--groups", "SITE_S01,SITE_S02", "--out", tmp_path / "out", *CPU]
    done = run(*words)
    assert "2 steps, 1 seeds, 2 groups held out" in done
    lines = done.splitlines()
    assert re.search(r"^tiles +scratch +start +frozen$", done, re.MULTILINE)
    cell = r"\d\.\d{3} \[[^]]*\], \d\.\d{3} to \d\.\d{3}"
    assert any(re.fullmatch(rf"0 +- +{cell} +-", line) for line in lines)
    assert any(re.fullmatch(rf"16 +{cell} +{cell} +{cell}", line) for line in lines)
    assert re.search(r"^frozen .*[+-]0\.\d{3} \[", done, re.MULTILINE)
    assert "fewer than 16 tiles, the least 10: all of them were taken" in done
    assert "does not say what it was trained on" in done
    assert (tmp_path / "out" / "curve.png").stat().st_size > 5000
    made_at = times(tmp_path / "out")
    assert len(made_at) == 3 * 2
    settings = read_json(
        tmp_path / "out" / "frozen" / "tiles16" / "SITE_S01" / "seed1" / "run" / "settings.json", what=""
    )
    assert settings["model"]["freeze"] == "backbone"
    (tmp_path / "out" / "start" / "tiles16" / "SITE_S01" / "seed1" / "counts.json").unlink()
    again = run(*words)
    assert again.partition("\n2 steps")[2] == done.partition("\n2 steps")[2]
    assert times(tmp_path / "out") == made_at
    assert "holds a run of other settings" in run(*words, "--steps", 3)


def test_without_a_start_one_is_trained_on_synthetic_tissue(run, tiny_dataset, recipes, tmp_path):
    words = ["few_labels", tiny_dataset, "--mpp", 2, "--recipe", recipes / "finetune.toml", "--recipes", recipes]
    done = run(*words, "--tiles", "0", "--groups", "SITE_S01", "--out", tmp_path / "out", *CPU)
    assert [path.parent.name for path in times(tmp_path / "out")] == ["run"]
    assert "note" not in done.partition("groups held out")[2]
    for flag, value, reason in (("--groups", "none", "the groups are SITE_S01"), ("--tiles", "-1", "is 0 or more")):
        assert reason in run(*words, f"{flag}={value}", "--out", tmp_path / "out", *CPU)


def test_a_start_that_saw_what_it_is_tested_on_is_refused(benchmark, tiny_dataset, tmp_path, monkeypatch):
    module = benchmark("few_labels")
    dataset = open_dataset(tiny_dataset)
    training = benchmark("training")
    hashes = training.image_hashes(dataset)
    (tmp_path / "SITE_S01.x").touch()

    def card(*names: str) -> None:
        known = {"train_images": [hashes[name] for name in names]}
        found = ModelCard(architecture="none", classes=dataset.classes, trained_on=known)
        monkeypatch.setattr(training, "read_card", lambda path: found)

    pattern = str(tmp_path / "{group}.x")
    card("SITE_S02_T01")
    starts, notes = module.starts_of(pattern, dataset, ["SITE_S01"])
    assert starts == {"SITE_S01": tmp_path / "SITE_S01.x"}
    assert "was trained on 1 tile of the groups that are labelled again" in notes[0]
    card("SITE_S02_T01", "SITE_S01_T02")
    with pytest.raises(InvalidInputError, match=r"was trained on 'SITE_S01_T02', which is of the held-out 'SITE_S01'"):
        module.starts_of(pattern, dataset, ["SITE_S01"])
    card("SITE_S03_T01")
    with pytest.raises(MissingInputError, match="for the group 'SITE_S02'"):
        module.starts_of(pattern, dataset, ["SITE_S01", "SITE_S02"])


def test_tiles_are_drawn_by_the_seed_and_the_first_shows_something(benchmark, tiny_dataset, tmp_path):
    module = benchmark("few_labels")
    dataset = open_dataset(tiny_dataset)
    study = module.Study(
        dataset=dataset,
        settings=load_recipe("default"),
        starts={},
        with_foreground=frozenset(item.name for item in dataset.samples if item.name.endswith("T01")),
        out=tmp_path,
        hardware=module.Hardware(),
    )
    orders = {seed: study.order("SITE_S03", seed=seed) for seed in range(8)}
    assert len(set(orders.values())) > 1
    for order in orders.values():
        assert order[0].endswith("T01")
        assert len(set(order)) == 10
        assert not any(name.startswith("SITE_S03") for name in order)
    assert study.order("SITE_S03", seed=3) == orders[3]
    with pytest.raises(InvalidInputError, match="no tile outside 'SITE_S03' shows any foreground"):
        dataclasses.replace(study, with_foreground=frozenset()).order("SITE_S03", seed=0)


def test_the_drawn_curve_needs_no_run(benchmark, tmp_path):
    module = benchmark("few_labels")
    rng = np.random.default_rng(0)

    def counts(iou: float, n_seeds: int) -> np.ndarray:
        hit = 1000 * iou * (1 + 0.1 * rng.uniform(-1, 1, (n_seeds, 4)))
        return np.stack([np.full_like(hit, 9000), (1000 - hit) / 2, (1000 - hit) / 2, hit], axis=-1)

    curve = {0: {"start": counts(0.4, 1)}}
    for n_tiles, gain in ((1, 0.1), (4, 0.2), (16, 0.3)):
        curve[n_tiles] = {"scratch": counts(0.1 + gain, 3), "start": counts(0.4 + gain, 3), "frozen": counts(0.4, 3)}
    module.save_curve(tmp_path / "curve.png", curve)
    assert (tmp_path / "curve.png").is_file()
    assert len(module.table(curve)) == 5
