"""Training on a frozen backbone."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from glomseg.data.dataset import open_dataset
from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.recipes import load_recipe
from glomseg.runs import RunFolder
from glomseg.steps.train import resume_training, train_model
from glomseg.training.hardware import Hardware

CPU = Hardware(device="cpu", precision="32-true")
TINY = [
    "model.architecture=pspnet_r18",
    "model.options={base_channels=8, stem_channels=8, head_channels=8, auxiliary_channels=8}",
    "crop.size_px=32",
    "run.batch_size=2",
    "run.workers=0",
    "run.steps=6",
    "run.val_every=3",
    "run.save_every=2",
    "run.keep_checkpoints=9",
    "schedule.warmup_steps=0",
    "scaling.factor=1.0",
    "optimizer.lr=0.05",
    "optimizer.weight_decay=0.3",
]


def train(data, out, start, *overrides):
    settings = load_recipe("default", [*TINY, f"model.weights={start}", "model.freeze=backbone", *overrides])
    return train_model(open_dataset(data), settings, out=out, hardware=CPU)


def of_backbone(entries):
    return {name: value for name, value in entries.items() if name.startswith("backbone.")}


@pytest.mark.parametrize("average", ["0.9", "none"])
def test_the_backbone_stays_to_the_bit_and_the_heads_learn(tiny_dataset, tiny_model, tmp_path, average):
    train(tiny_dataset, tmp_path / "run", tiny_model, f"run.average_decay={average}")
    before = load_file(tiny_model)
    for name in ("best", "last"):
        after = load_file(tmp_path / "run" / f"{name}.safetensors")
        for entry, value in of_backbone(before).items():  # also the statistics of batch normalisation
            assert torch.equal(after[entry], value), entry
        assert not torch.equal(after["decode_head.conv_seg.weight"], before["decode_head.conv_seg.weight"])
        statistics = "decode_head.bottleneck.bn.running_mean"
        assert not torch.equal(after[statistics], before[statistics])
    checkpoint = torch.load(RunFolder(tmp_path / "run").checkpoint(6), weights_only=True)
    n_learnt = sum(len(group["params"]) for group in checkpoint["optimizer"]["param_groups"])
    network = build_model("pspnet_r18", n_classes=2, **load_recipe("default", TINY).model.options)
    assert n_learnt == sum(not name.startswith("backbone.") for name, _ in network.named_parameters())


def test_going_on_ends_with_the_same_weights(tiny_dataset, tiny_model, tmp_path):
    train(tiny_dataset, tmp_path / "run", tiny_model)
    whole = load_file(tmp_path / "run" / "last.safetensors")
    for kept in ([2], []):  # from a checkpoint, and from before the first one
        again = RunFolder(tmp_path / f"again{len(kept)}")
        shutil.copytree(tmp_path / "run", again.path)
        for step in set(again.checkpoint_steps()) - set(kept):
            again.checkpoint(step).unlink()
        again.last_model.unlink()
        assert resume_training(again.path, hardware=CPU).finished
        resumed = load_file(again.last_model)
        assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_a_frozen_backbone_works_as_in_evaluation():
    network = build_model("segformer_mit_b0", n_classes=2)
    network.freeze_backbone()
    assert network.train() is network
    assert network.decode_head.training
    assert not any(part.training for part in network.backbone.modules())
    assert not any(value.requires_grad for value in network.backbone.parameters())
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(network.backbone(images), network.backbone(images), strict=True))


def test_random_numbers_are_not_frozen(tiny_dataset, tiny_model, tmp_path):
    with pytest.raises(
        InvalidInputError, match=r"would keep a backbone of random numbers: name weights .* for example"
    ):
        load_recipe("default", ["model.freeze=backbone", "model.weights=none"])
    with pytest.raises(InvalidInputError, match=r"model.freeze = 'head': Input should be 'none' or 'backbone'"):
        load_recipe("default", ["model.freeze=head", "model.weights=box"])
    with pytest.raises(InvalidInputError, match=r"needs weights to start from, and .* this network is another"):
        train(tiny_dataset, tmp_path / "run", "auto")
    some = load_file(tiny_model)
    save_file(
        {name: value for name, value in some.items() if "backbone.layer4" not in name}, tmp_path / "a.safetensors"
    )
    with pytest.raises(InvalidInputError, match=r"does not fill 5 of the 22 weights of the backbone \(backbone.layer4"):
        train(tiny_dataset, tmp_path / "run", tmp_path / "a.safetensors")
    assert not (tmp_path / "run").exists()
