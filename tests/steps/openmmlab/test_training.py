"""A training config of MMSegmentation runs, and its traps are told."""

import copy

import pytest

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.models.model_files import load_model
from glomseg.runs import open_run, read_metrics, read_settings
from glomseg.steps.openmmlab.training import read_training_config
from glomseg.steps.train import train_model
from glomseg.types import IMAGENET_MEAN, IMAGENET_STD

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
    flip = {"type": "RandomFlip", "prob": 0.5}
    train_steps = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, RESIZE, crop, flip]
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
        "param_scheduler": [{"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 0, "end": 4, "by_epoch": False}],
        "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 4, "val_interval": 2},
        "default_hooks": {"checkpoint": {"by_epoch": False, "interval": 2}, "logger": {"interval": 1}},
        "randomness": {"seed": 3},
    }


@pytest.fixture
def read(tiny_dataset, tmp_path):
    """Reads the config, changed: a key leads into it."""

    def read(overrides=(), **changes):
        changed = copy.deepcopy(values(tiny_dataset))
        for key, value in changes.items():
            *path, last = key.split("__")
            inside = changed
            for part in path:
                inside = inside[part]
            inside[last] = value
        text = "".join(f"{name} = {value!r}\n" for name, value in changed.items())
        (tmp_path / "own.py").write_text(text)
        return read_training_config(tmp_path / "own.py", overrides=overrides)

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
    assert (settings.colors.mean, settings.colors.std) == (IMAGENET_MEAN, IMAGENET_STD)
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
        (
            {"param_scheduler": [{"type": "PolyLR", "power": 1.0, "end": 101, "by_epoch": False}]},
            "from 0.01 to 0.0097 only",
        ),
        (
            {"param_scheduler": [{"type": "PolyLR", "eta_min": 1e-4, "end": 2, "by_epoch": False}]},
            "the last 2 steps are at the lowest learning rate, 0.0001",
        ),
        ({"param_scheduler": [{"type": "PolyLR"}]}, "PolyLR has no by_epoch=False"),
        ({"model__decode_head__loss_decode": {"type": "CrossEntropyLoss", "class_weight": [1, 2]}}, "IndexError"),
        ({"model__pretrained": "open-mmlab://resnet18_v1c"}, "give them with --weights,"),
        ({"model__pretrained": "open-mmlab://resnet50_v1c"}, "--weights resnet50_v1c_imagenet"),
        ({"model__data_preprocessor__bgr_to_rgb": False}, "sees blue first"),
        ({"model__data_preprocessor__pad_val": 9}, "whatever pad_val"),
        ({"model__data_preprocessor__batch_augments": [1]}, "windows are not mixed"),
        ({"model__backbone__frozen_stages": 1}, "the whole backbone learns"),
        ({"model__backbone__norm_cfg": {"type": "BN", "requires_grad": False}}, "here they learn"),
        ({"optim_wrapper__type": "AmpOptimWrapper"}, "chosen by --precision"),
        ({"optim_wrapper__accumulative_counts": 4}, "not accumulated over 4 iterations"),
        ({"custom_hooks": [{"type": "EMAHook", "momentum": 0.01}]}, "--set run.average_decay=0.99"),
        ({"auto_scale_lr": {"enable": True}}, "auto_scale_lr is not carried over"),
        ({"val_evaluator": {"type": "IoUMetric", "nan_to_num": 0}}, "stays undefined and out of the mean"),
        ({"val_evaluator": [{"type": "IoUMetric", "iou_metrics": ["mFscore"]}]}, "never found"),
        ({"default_hooks__checkpoint": {"interval": 2}}, "MMEngine saves at the end only"),
        ({"default_hooks__checkpoint": {"by_epoch": False, "save_best": "aAcc"}}, "that of the highest mean IoU"),
        ({"resume": True}, "--resume RUN"),
        ({"load_from": "https://x.org/a.pth"}, "download it and give the file"),
        ({"train_dataloader__dataset__metainfo": {"classes": ("a", "b")}}, "no colours for the classes"),
    ],
)
def test_traps_are_told(read, changes, message):
    assert any(message in note for note in read(**changes).notes)


def test_colours_windows_and_corners_reach_the_model_card(read, tmp_path):
    made = read(
        model__data_preprocessor__mean=[1, 2, 3],
        model__data_preprocessor__std=[4, 5, 6],
        model__data_preprocessor__bgr_to_rgb=False,
        model__data_preprocessor__size=(32, 64),
        model__test_cfg={"mode": "slide", "crop_size": (32, 48), "stride": (16, 24)},
        model__decode_head__align_corners=True,
        train_cfg={"max_iters": 1},
    )
    assert made.settings.crop.input_px == (32, 64)
    result = train_model(made.dataset, made.settings, out=tmp_path / "run", split=made.split)
    _, card = load_model(result.run / "best.safetensors")
    assert (card.mean, card.std) == ((3, 2, 1), (6, 5, 4))  # blue comes first in the config
    assert (card.inference.window_px, card.inference.stride_px) == ((32, 48), (16, 24))
    assert card.inference.align_corners


def test_a_network_with_a_single_logit_is_trained(read, tmp_path):
    sigmoid = {"type": "CrossEntropyLoss", "use_sigmoid": True, "class_weight": [3.0], "avg_non_ignore": True}
    made = read(model__decode_head__out_channels=1, model__decode_head__loss_decode=sigmoid, train_cfg={"max_iters": 1})
    assert (made.settings.loss.class_weights, made.settings.loss.divide_by) == ((1.0, 3.0), "labelled")
    result = train_model(made.dataset, made.settings, out=tmp_path / "run", split=made.split)
    network, card = load_model(result.run / "last.safetensors")
    assert network.decode_head.conv_seg.weight.shape[0] == 1
    assert card.inference.threshold == 0.3
    assert set(result.validation["iou"]) == {"background", "glomerulus"}


def test_a_config_that_counts_epochs(read):
    scheduler = {"type": "MultiStepLR", "milestones": [2], "by_epoch": True}
    made = read(
        train_cfg={"max_epochs": 3, "val_interval": 1},
        param_scheduler=[scheduler],
        default_hooks={"checkpoint": {"interval": 2}},
    )
    run, (phase,) = made.settings.run, made.settings.schedule.phases
    assert (run.steps, run.val_every, run.save_every) == (12, 4, 8)  # 8 tiles in batches of 2
    assert (phase.kind, phase.every, phase.end, phase.milestones) == ("steps", 4, 3, (2,))
    assert any("3 of 4 steps (8 tiles in batches of 2) are 12 steps" in note for note in made.notes)


def test_data_sets_may_be_put_together_and_cut_down(read, tiny_dataset):
    train = values(tiny_dataset)["train_dataloader"]["dataset"]
    halves = [{**train, "indices": 3}, {**train, "indices": [-1, -2]}]
    both = {"type": "RepeatDataset", "times": 5, "dataset": {"type": "ConcatDataset", "datasets": halves}}
    made = read(train_dataloader__dataset=both)
    names = [line.strip() for line in (tiny_dataset / "train.txt").read_text().splitlines()]
    assert made.split.train == (*names[:3], names[-1], names[-2])


def test_weights_are_looked_for_where_the_config_says_or_the_user_wants(read):
    assert read(load_from="a.pth").settings.model.weights == "a.pth"


def test_the_end_of_the_rate_is_that_of_the_run_as_it_will_be(read):
    poly = [{"type": "PolyLR", "power": 1.0, "end": 101, "by_epoch": False}]
    notes = read(param_scheduler=poly, overrides=["run.steps=51"]).notes
    assert any("the training at 51: the learning rate goes from 0.01 to 0.005 only" in note for note in notes)
    notes = read(param_scheduler=poly, overrides=["schedule.end_step=4"]).notes
    assert not any("PolyLR" in note for note in notes)


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
        ({"train_cfg": {}}, InvalidInputError, "no max_iters and no max_epochs"),
        ({"train_cfg": 7}, InvalidInputError, "a value of another kind"),
        ({"optim_wrapper__optimizer__type": "Lion"}, InvalidInputError, "'Lion' is not known"),
        ({"param_scheduler": [{"type": "OneCycleLR"}]}, InvalidInputError, "'OneCycleLR' is not known"),
        ({"model__data_preprocessor__bgr_to_rgb": False, "load_from": "a.pth"}, InvalidInputError, "glomseg import"),
        ({"train_dataloader__dataset__indices": [99]}, InvalidInputError, "do not fit"),
        (
            {"val_dataloader__dataset__reduce_zero_label": True},
            InvalidInputError,
            "differs between the training and the test set",
        ),
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


def old_values(folder):
    """The same as a config of MMSegmentation 0.x."""
    new = values(folder)
    colors = {"mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "to_rgb": True}
    resize = {"type": "Resize", "img_scale": (64, 64), "ratio_range": (0.5, 2.0)}
    crop = {"type": "RandomCrop", "crop_size": (32, 32), "cat_max_ratio": 0.75}
    steps = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        resize,
        crop,
        {"type": "RandomFlip", "prob": 0.5},
    ]
    steps += [{"type": "PhotoMetricDistortion"}, {"type": "Normalize", **colors}]
    steps += [{"type": "Pad", "size": (32, 48), "pad_val": 0, "seg_pad_val": 255}, {"type": "DefaultFormatBundle"}]
    inner = [{"type": "Resize", "keep_ratio": True}, {"type": "RandomFlip"}, {"type": "Normalize", **colors}]
    test = [{"type": "LoadImageFromFile"}]
    test += [{"type": "MultiScaleFlipAug", "img_scale": (64, 64), "flip": False, "transforms": inner}]
    places = {"type": "KidneyDataset", "data_root": str(folder), "img_dir": "images", "ann_dir": "masks"}
    train = {**places, "split": "train.txt", "pipeline": steps}
    val = {**places, "split": "val.txt", "pipeline": test}
    model = {key: part for key, part in new["model"].items() if key != "data_preprocessor"}
    return {
        "model": {**model, "train_cfg": {}, "test_cfg": {"mode": "slide", "crop_size": (32, 32), "stride": (21, 21)}},
        "data": {"samples_per_gpu": 2, "workers_per_gpu": 1, "train": train, "val": val, "test": val},
        "optimizer": {"type": "SGD", "lr": 0.01, "paramwise_cfg": {"custom_keys": {"decode_head": {"lr_mult": 10.0}}}},
        "optimizer_config": {"grad_clip": {"max_norm": 1.0}},
        "lr_config": {"policy": "poly", "power": 0.9, "min_lr": 1e-4, "by_epoch": False, "warmup": "linear"}
        | {"warmup_iters": 2, "warmup_ratio": 0.1},
        "runner": {"type": "IterBasedRunner", "max_iters": 2},
        "checkpoint_config": {"by_epoch": False, "interval": 2},
        "evaluation": {"interval": 2, "metric": "mIoU"},
    }


def test_a_config_of_the_older_generation_runs(tiny_dataset, tmp_path):
    path = tmp_path / "old.py"
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in old_values(tiny_dataset).items()))
    made = read_training_config(path)
    settings = made.settings
    assert settings.colors.mean == (1, 2, 3)
    assert (settings.scaling.fit_px, settings.crop.fit_px, settings.crop.scale_range) == ((64, 64), None, (0.5, 2))
    assert (settings.crop.input_px, settings.crop.flip) == ((32, 48), "horizontal")
    assert settings.augment.brightness_delta == 32
    assert settings.inference.window_px == (32, 32)
    assert settings.optimizer.by_name["decode_head"].lr_mult == 10
    assert [phase.kind for phase in settings.schedule.phases] == ["poly", "linear"]
    result = train_model(made.dataset, settings, out=tmp_path / "run", split=made.split)
    rows = [row for row in read_metrics(open_run(result.run)) if row["event"] == "train"]
    last = (0.1 - 1e-4) * 0.5**0.9 + 1e-4  # the head's rate at step 1 of 2, half of the warm-up being over
    assert rows[-1]["lr"] == pytest.approx(last * 0.55)
