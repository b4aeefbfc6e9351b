"""A small MMSegmentation 1.x config and checkpoints for it, made by the tests."""

import copy
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from glomseg.models.build import build_model

CONFIG: dict[str, Any] = {
    "model": {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": [120.0, 110.0, 100.0],
            "std": [60.0, 50.0, 40.0],
            "bgr_to_rgb": True,
            "pad_val": 0,
            "seg_pad_val": 255,
            "size": (64, 64),
        },
        "pretrained": "open-mmlab://resnet18_v1c",
        "backbone": {
            "type": "ResNetV1c",
            "depth": 18,
            "base_channels": 8,
            "stem_channels": 8,
            "num_stages": 4,
            "out_indices": (0, 1, 2, 3),
            "dilations": (1, 1, 2, 4),
            "strides": (1, 2, 1, 1),
            "norm_cfg": {"type": "SyncBN", "requires_grad": True},
            "norm_eval": False,
            "style": "pytorch",
            "contract_dilation": True,
        },
        "decode_head": {
            "type": "PSPHead",
            "in_channels": 64,
            "in_index": 3,
            "channels": 8,
            "pool_scales": (1, 2, 3, 6),
            "dropout_ratio": 0.1,
            "num_classes": 2,
            "norm_cfg": {"type": "SyncBN", "requires_grad": True},
            "align_corners": False,
            "loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
        },
        "auxiliary_head": {
            "type": "FCNHead",
            "in_channels": 32,
            "in_index": 2,
            "channels": 8,
            "num_convs": 1,
            "concat_input": False,
            "dropout_ratio": 0.1,
            "num_classes": 2,
            "norm_cfg": {"type": "SyncBN", "requires_grad": True},
            "align_corners": False,
            "loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 0.4},
        },
        "train_cfg": {},
        "test_cfg": {"mode": "slide", "crop_size": (48, 64), "stride": (32, 40)},
    },
    "test_dataloader": {
        "dataset": {
            "type": "KidneyDataset",
            "metainfo": {"classes": ("background", "glomerulus"), "palette": [[0, 0, 0], [1, 2, 3]]},
            "pipeline": [
                {"type": "LoadImageFromFile"},
                {"type": "Resize", "scale": (2048, 512), "keep_ratio": True},
                {"type": "LoadAnnotations"},
                {"type": "PackSegInputs"},
            ],
        }
    },
    "default_hooks": {"timer": {"type": "IterTimerHook"}},
}

OPTIONS = {"base_channels": 8, "stem_channels": 8, "head_channels": 8, "auxiliary_channels": 8}


def config(**changes: Any) -> dict[str, Any]:
    """Return the config with values changed; a key leads into it: ``model__decode_head__num_classes``."""
    changed = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        *path, last = key.split("__")
        inside = changed
        for part in path:
            inside = inside[part]
        inside[last] = value
    return changed


def write_config(path: Path, values: dict[str, Any]) -> Path:
    """Write a config as Python text and return its path."""
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in values.items()), encoding="utf-8")
    return path


def entries(seed: int = 0) -> OrderedDict[str, torch.Tensor]:
    """Return random weights of the config's network."""
    torch.manual_seed(seed)
    network = build_model("pspnet_r18", n_classes=2, **OPTIONS)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(part.weight, 0.5, 1)
    return OrderedDict(network.state_dict())
