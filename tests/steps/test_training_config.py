"""A training config of MMSegmentation runs, and its traps are told."""

import copy

import pytest

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.runs import open_run, read_settings
from glomseg.steps.train import train_model
from glomseg.steps.training_config import read_training_config

NORM = {"type": "BN", "requires_grad": True}
RESIZE = {"type": "RandomResize", "scale": (64, 64), "ratio_range": (0.5, 2.0), "keep_ratio": True}


def values(folder):
    """A config of a narrow FCN on the tiny data set."""
    names = sorted(path.stem for path in (folder / "images").iterdir())
    (folder / "train.txt").write_text("\n".join(names[:8]) + "\n")
    (folder / "val.txt").write_text("\n".join(names[8:]) + "\n")
    backbone = {"type": "ResNetV1c", "depth": 18, "base_channels": 4, "stem_channels": 4, "norm_cfg": NORM}
    head = {"type": "FCNHead", "in_channels": 32, "channels": 4, "num_convs": 1, "concat_input": False}
    head |= {"num_classes": 2, "norm_cfg": NORM, "loss_decode": {"type": "CrossEntropyLoss", "loss_weight": 1.0}}
    colors = {"type": "SegDataPreProcessor", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
    dataset = {
        "type": "KidneyDataset",
        "data_root": str(folder),
        "data_prefix": {"img_path": "images", "seg_map_path": "masks"},
        "metainfo": {"classes": ("background", "glomerulus"), "palette": [[0, 0, 0], [1, 2, 3]]},
    }
    crop = {"type": "RandomCrop", "crop_size": (32, 32), "cat_max_ratio": 0.75}
    train_steps = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, RESIZE, crop, {"type": "RandomFlip"}]
    test_steps = [{"type": "LoadImageFromFile"}, {"type": "Resize", "scale": (64, 64), "keep_ratio": True}]
    train = {**dataset, "ann_file": "train.txt", "pipeline": train_steps}
    val = {**dataset, "ann_file": "val.txt", "pipeline": test_steps}
    optimizer = {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005}
    return {
        "model": {
            "type": "EncoderDecoder",
            "data_preprocessor": {**colors, "bgr_to_rgb": True},
            "backbone": backbone,
            "decode_head": head,
        },
        "train_dataloader": {"batch_size": 2, "dataset": train},
        "val_dataloader": {"batch_size": 1, "dataset": val},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": optimizer, "clip_grad": None},
        "param_scheduler": [{"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 0, "end": 4}],
        "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 4, "val_interval": 2},
        "default_hooks": {"checkpoint": {"interval": 2}, "logger": {"interval": 1}},
        "randomness": {"seed": 3},
    }


@pytest.fixture
def read(tiny_dataset, tmp_path):
    """Reads the config, changed: a key leads into it."""

    def read(**changes):
        changed = copy.deepcopy(values(tiny_dataset))
        for key, value in changes.items():
            *path, last = key.split("__")
            inside = changed
            for part in path:
                inside = inside[part]
            inside[last] = value
        text = "".join(f"{name} = {value!r}\n" for name, value in changed.items())
        (tmp_path / "own.py").write_text(text)
        return read_training_config(tmp_path / "own.py")

    return read


def test_every_section_is_carried_over(read):
    made = read()
    settings = made.settings
    assert settings.model.architecture == "composed"
    assert settings.scaling.fit_px == (64, 64)
    assert settings.scaling.interpolation == "bilinear"
    assert (settings.crop.method, settings.crop.size_px) == ("resize_then_crop", 32)
    assert (settings.crop.scale_range, settings.crop.cat_max_ratio) == ((0.5, 2.0), 0.75)
    assert settings.crop.flip == "horizontal"
    assert (settings.optimizer.name, settings.optimizer.lr, settings.optimizer.momentum) == ("sgd", 0.01, 0.9)
    assert settings.optimizer.weight_decay == 0.0005
    assert (settings.schedule.power, settings.schedule.min_lr, settings.schedule.end_step) == (0.9, 1e-4, None)
    assert (settings.loss.cross_entropy, settings.loss.auxiliary, settings.loss.dice) == (1, 0, 0)
    run = settings.run
    assert (run.steps, run.batch_size, run.val_every, run.save_every, run.log_every, run.seed) == (4, 2, 2, 2, 1, 3)
    assert (len(made.split.train), len(made.split.val), made.split.test) == (8, 4, ())
    assert made.dataset.classes.names == ("background", "glomerulus")
    assert made.dataset.samples[0].group == "SITE_S01"
    assert len(made.notes) == 1  # of cat_max_ratio


def test_the_run_it_describes_runs(read, tmp_path):
    made = read()
    result = train_model(made.dataset, made.settings, out=tmp_path / "run", split=made.split)
    assert result.step == 4
    assert read_settings(open_run(tmp_path / "run")) == made.settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"param_scheduler": [{"type": "PolyLR", "power": 1.0, "end": 101}]}, "from 0.01 to 0.0097 only"),
        ({"model__decode_head__loss_decode": {"type": "CrossEntropyLoss", "class_weight": [1, 2]}}, "class weights"),
        ({"model__pretrained": "open-mmlab://resnet18_v1c"}, "give them with --weights"),
        ({"model__data_preprocessor__mean": [0, 0, 0]}, "not by those of the config"),
        ({"model__test_cfg": {"mode": "slide", "crop_size": 32, "stride": 16}}, "validated on whole images"),
        ({"model__decode_head__align_corners": True}, "align_corners=False in training"),
        ({"optim_wrapper__paramwise_cfg": {"norm_decay_mult": 0}}, "paramwise_cfg is not carried over"),
        ({"optim_wrapper__type": "AmpOptimWrapper"}, "chosen by --precision"),
        ({"custom_hooks": [{"type": "EMAHook"}]}, "custom_hooks are not carried over"),
        ({"resume": True}, "--resume RUN"),
    ],
)
def test_traps_are_told(read, changes, message):
    assert any(message in note for note in read(**changes).notes)


def test_a_test_set_that_is_the_validation_set_is_told(read, tiny_dataset):
    loader = values(tiny_dataset)["val_dataloader"]
    made = read(test_dataloader=loader)
    assert any("the test set is the validation set" in note for note in made.notes)
    assert made.split.test == ()


def test_reduce_zero_label_changes_what_mask_values_mean(read):
    made = read(train_dataloader__dataset__reduce_zero_label=True, val_dataloader__dataset__reduce_zero_label=True)
    assert (made.dataset.mask_values, made.dataset.ignore_value) == ((1, 2), 0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train_cfg": {"max_epochs": 3}}, InvalidInputError, "no max_iters"),
        ({"optim_wrapper__optimizer__type": "Lion"}, InvalidInputError, "'Lion' is not known"),
        ({"param_scheduler": [{"type": "CosineAnnealingLR"}]}, InvalidInputError, "'CosineAnnealingLR' is not known"),
        ({"model__decode_head__loss_decode": {"type": "FocalLoss"}}, InvalidInputError, "'FocalLoss' is not known"),
        ({"train_dataloader__dataset__pipeline": []}, InvalidInputError, "no RandomCrop"),
        ({"train_dataloader__dataset__data_root": "nowhere"}, MissingInputError, "nowhere"),
        ({"val_dataloader__dataset__ann_file": "train.txt"}, InvalidInputError, "8 tiles are trained on and measured"),
        ({"val_dataloader": None}, InvalidInputError, "no validation set"),
    ],
)
def test_what_cannot_be_run_is_explained(read, changes, error, message):
    with pytest.raises(error, match=message):
        read(**changes)
