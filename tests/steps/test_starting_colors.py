"""What pretrained weights bring along into a training: their colours and their revision; and windows that fit."""

import dataclasses
import json
import re

import pytest
import torch
from safetensors.torch import save_file

from glomseg.data.dataset import open_dataset
from glomseg.models.build import build_model
from glomseg.models.model_files import load_model, save_model
from glomseg.models.starting_weights import LoadReport, load_starting_weights
from glomseg.recipes import load_recipe
from glomseg.steps.before_training import as_trained, explain_windows
from glomseg.steps.train import train_model
from glomseg.training.hardware import Hardware
from glomseg.types import IMAGENET_MEAN, IMAGENET_STD

HALF = ((127.5,) * 3, (63.75,) * 3)


def report(source="file.pth", **changes):
    return LoadReport(source=source, loaded=(), skipped=(), missing=(), **changes)


def started(loaded, *overrides):
    told = []
    return as_trained(load_recipe("default", overrides), loaded, message=told.append), told


def test_colours_come_from_the_weights():
    settings, told = started(report(colors=HALF))
    assert (settings.colors.mean, settings.colors.std) == HALF
    assert told == [
        "colours: mean [127.5, 127.5, 127.5] and std [63.75, 63.75, 63.75], with which the weights were trained"
    ]


def test_colours_come_from_the_card_of_a_model(tiny_model, tmp_path):
    network, card = load_model(tiny_model)
    save_model(tmp_path / "half.safetensors", network, dataclasses.replace(card, mean=HALF[0], std=HALF[1]))
    assert load_starting_weights(network, str(tmp_path / "half.safetensors")).colors == HALF


def test_colours_that_were_set_are_kept_and_the_difference_is_told():
    settings, told = started(report(colors=HALF), "colors.mean=[1, 2, 3]")
    assert settings.colors.mean == (1, 2, 3)
    assert "colors.mean and colors.std say otherwise and are kept" in told[0]


def test_the_usual_colours_need_no_word():
    colors = (tuple(value + 1e-6 for value in IMAGENET_MEAN), IMAGENET_STD)
    settings, told = started(report(colors=colors))
    assert (settings.colors.mean, told) == (IMAGENET_MEAN, [])
    assert started(report())[1] == []


def test_what_is_assumed_is_told():
    settings, told = started(report(renamed_from="timm's ViT"))
    assert settings.colors.mean == IMAGENET_MEAN
    assert "nothing says with which mean and std the weights were trained" in told[0]


def test_a_run_keeps_the_revision_that_was_fetched():
    settings, _ = started(report(source="hf:lab/net@0123"), "model.weights=hf:lab/net")
    assert settings.model.weights == "hf:lab/net@0123"
    assert started(report(), "model.weights=x.pth")[0].model.weights == "x.pth"


@pytest.mark.parametrize(
    ("overrides", "divisor", "said"),
    [
        (["crop.size_px=256"], 14, "windows of 256 pixels are no multiple of the 14 .* crop.size_px=252"),
        (["crop.size_px=[252, 100]"], 14, "windows of 100 pixels .* crop.size_px=98"),
        (["crop.size_px=252", "crop.padded_px=[252, 260]"], 14, "windows of 260 pixels"),
        (["crop.size_px=252"], 14, None),
        (["crop.size_px=250"], 1, None),
    ],
)
def test_windows_of_patches_that_do_not_cover_them(overrides, divisor, said):
    told = []
    explain_windows(load_recipe("default", overrides), size_divisor=divisor, message=told.append)
    if said is None:
        assert told == []
    else:
        (line,) = told
        assert re.search(said, line)


def test_a_training_starts_from_a_folder_and_its_model_has_the_colours(tiny_dataset, tmp_path):
    options = {"base_channels": 8, "stem_channels": 8, "variant": "v1"}
    theirs = build_model("pspnet_r18", n_classes=2, **options).backbone.state_dict()
    weights = tmp_path / "theirs"
    weights.mkdir()
    save_file({**theirs, "fc.weight": torch.zeros(3, 64)}, weights / "model.safetensors")
    cfg = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    (weights / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": cfg}))
    overrides = [
        "model.architecture=pspnet_r18",
        "model.options={base_channels=8, stem_channels=8, head_channels=8, auxiliary_channels=8, variant='v1'}",
        f"model.weights={weights}",
        *("crop.size_px=32", "run.batch_size=2", "run.workers=0", "run.steps=1", "scaling.factor=1.0"),
    ]
    told = []
    train_model(
        open_dataset(tiny_dataset),
        load_recipe("default", overrides),
        out=tmp_path / "run",
        hardware=Hardware(device="cpu", precision="32-true"),
        message=told.append,
    )
    _, card = load_model(tmp_path / "run" / "last.safetensors")
    assert (card.mean, card.std) == HALF
    assert json.loads((tmp_path / "run" / "weights.json").read_text())["colors"] == [list(part) for part in HALF]
    assert any("weights from" in line for line in told)
    assert any("with which the weights were trained" in line for line in told)
