"""Configs of MMSegmentation 0.x under the names of 1.x."""

import pytest

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.old_configs import is_old, modernised

STEPS = [
    {"type": "Resize", "img_scale": (320, 240), "ratio_range": (0.5, 2.0)},
    {"type": "RandomFlip", "flip_ratio": 0.5},
]
TRAIN = {
    "type": "CustomDataset",
    "data_root": "d",
    "img_dir": "images",
    "ann_dir": "masks",
    "split": "train.txt",
    "img_suffix": ".png",
    "classes": ["a", "b"],
    "pipeline": STEPS,
}
OLD = {
    "data": {"samples_per_gpu": 4, "workers_per_gpu": 2, "train": TRAIN, "val": {**TRAIN, "split": "val.txt"}},
    "optimizer": {"type": "SGD", "lr": 0.1, "paramwise_cfg": {"norm_decay_mult": 0}},
    "optimizer_config": {"grad_clip": {"max_norm": 1}},
    "lr_config": {"policy": "poly"},
    "runner": {"type": "IterBasedRunner", "max_iters": 70},
    "checkpoint_config": {"by_epoch": False, "interval": 30},
    "evaluation": {"interval": 20, "metric": "mDice", "save_best": "mDice"},
    "log_config": {"interval": 7},
    "resume_from": "old.pth",
    "seed": 5,
}


def test_every_part_is_found_under_its_new_name():
    made = modernised(OLD)
    train = made["train_dataloader"]["dataset"]
    assert made["train_dataloader"]["batch_size"] == 4
    assert made["val_dataloader"]["batch_size"] == 1
    assert train["data_prefix"] == {"img_path": "images", "seg_map_path": "masks"}
    assert (train["ann_file"], train["data_root"], train["img_suffix"]) == ("train.txt", "d", ".png")
    assert train["metainfo"] == {"classes": ["a", "b"]}
    resize = {"type": "RandomResize", "scale": (320, 240), "ratio_range": (0.5, 2.0), "keep_ratio": True}
    assert train["pipeline"] == [resize, {"type": "RandomFlip", "prob": 0.5}]
    wrapper = made["optim_wrapper"]
    assert (wrapper["optimizer"], wrapper["clip_grad"]) == ({"type": "SGD", "lr": 0.1}, {"max_norm": 1})
    assert wrapper["paramwise_cfg"] == {"norm_decay_mult": 0}
    assert made["train_cfg"] == {"max_iters": 70, "val_interval": 20}
    assert made["default_hooks"]["checkpoint"] == {"by_epoch": False, "interval": 30, "save_best": "mDice"}
    assert made["default_hooks"]["logger"] == {"interval": 7}
    assert (made["randomness"], made["resume"], made["load_from"]) == ({"seed": 5}, True, "old.pth")


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ({"img_scale": (8, 6)}, "Resize"),
        ({"img_scale": [(8, 6)], "ratio_range": (1, 2)}, "RandomResize"),
        ({"img_scale": [(8, 6), (4, 3)], "multiscale_mode": "value"}, "RandomChoiceResize"),
        ({"img_scale": [(8, 6), (4, 3)]}, "RandomResize"),
    ],
)
def test_one_resize_of_0x_is_several_of_1x(step, kind):
    train = {**TRAIN, "pipeline": [{"type": "Resize", **step}]}
    (made,) = modernised({"data": {"train": train}})["train_dataloader"]["dataset"]["pipeline"]
    assert (made["type"], made["keep_ratio"]) == (kind, True)


def test_lists_of_folders_are_several_data_sets():
    several = {**TRAIN, "img_dir": ["a", "b"], "ann_dir": ["c", "d"], "split": None}
    made = modernised({"data": {"train": {"type": "RepeatDataset", "times": 2, "dataset": several}}})
    datasets = made["train_dataloader"]["dataset"]["dataset"]["datasets"]
    assert [item["data_prefix"]["seg_map_path"] for item in datasets] == ["c", "d"]
    with pytest.raises(InvalidInputError, match="of different length"):
        modernised({"data": {"train": {**several, "ann_dir": ["c"]}}})
    with pytest.raises(InvalidInputError, match=r"data\.train is 7"):
        modernised({"data": {"train": 7}})


def test_new_configs_stay_as_they_are():
    new = {"train_dataloader": {}, "data": {"train": {}}}
    assert not is_old(new)
    assert modernised(new) is new
    assert is_old(OLD)
