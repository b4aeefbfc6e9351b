"""A config in words, its training too."""

import pytest

from glomseg.steps.openmmlab.explaining import explain_config

from .test_training import old_values, values


@pytest.fixture
def explained(tmp_path):
    """Explains a config, given as values."""

    def explained(config):
        (tmp_path / "own.py").write_text("".join(f"{name} = {value!r}\n" for name, value in config.items()))
        found = explain_config(tmp_path / "own.py")
        return found, dict(found.rows)

    return explained


def test_every_part_of_a_training_is_told_without_its_data(explained, tiny_dataset):
    config = values(tiny_dataset)
    for name in ("train.txt", "val.txt"):
        (tiny_dataset / name).unlink()
    config |= {"env_cfg": {}, "fp16": {"loss_scale": 512}, "my_width": 4}
    found, rows = explained(config)
    assert found.refusal == ""
    assert "list=train.txt" in rows["train set: KidneyDataset"]
    assert "a coloured mask is refused" in rows["train pipeline: LoadAnnotations"]
    assert "size_px=(32, 32)" in rows["train pipeline: RandomCrop"]
    assert rows["train pipeline: RandomFlip"] == "windows are mirrored: left to right 0.5 of them"
    assert "ignored ones too" in rows["decode_head: CrossEntropyLoss"]
    assert "lr=0.01" in rows["optim_wrapper: SGD"]
    assert rows["learning rate"] == "poly from 0 to 4: from 0.01 at the first step to 0.0001 at the last"
    assert rows["train_cfg: max_iters"] == "run.steps=4"
    assert rows["train_cfg: val_interval"] == "run.val_every=2"
    assert rows["default_hooks: checkpoint"].startswith("run.save_every=2")
    assert rows["randomness: seed"] == "run.seed=3"
    assert rows["env_cfg"].startswith("nothing: these are for MMEngine")
    assert rows["my_width"].startswith("nothing by themselves")
    assert [name.partition(" ")[0] for name in found.not_carried] == ["fp16"]
    assert len(found.notes) == 1  # of cat_max_ratio


def test_a_config_of_the_older_generation_is_told(explained, tiny_dataset):
    found, rows = explained(old_values(tiny_dataset))
    assert found.refusal == ""
    assert rows["optim_wrapper: by_name"] == "decode_head: lr_mult=10"
    assert "poly from 0 to 3, then linear from 0 to 3" in rows["learning rate"]
    assert "draw for draw" in rows["train pipeline: PhotoMetricDistortion"]


def test_why_a_config_cannot_be_trained_from(explained, tiny_dataset):
    config = values(tiny_dataset)
    config["optim_wrapper"]["optimizer"]["type"] = "Lion"
    found, rows = explained(config)
    assert "'Lion' is not known" in found.refusal
    assert "decode_head: FCNHead" in rows


def test_a_config_without_a_training_is_told_as_a_network(explained, tiny_dataset):
    found, rows = explained({"model": values(tiny_dataset)["model"]})
    assert found.refusal == ""
    assert not any("train" in name for name in rows)
