"""Files as other libraries publish them, with the entries of `layouts/`, and the features that those libraries give.

The names and shapes are those that transformers 5.24, timm 1.0.31 and torchvision 0.29.1 save for narrow networks, and
those of a MobileNetV2 as tonylins published it, at full width. The weights follow the rule of `tests.models.goldens`,
entries counted in the order of their names. `figures.json` holds, for every feature before its last normalisation,
mean, standard deviation and the first four channels in the corner, in float64. Normalisations have the eps of the
networks here; rotary positions were worked out in float64.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..goldens import hashed_uniform

HERE = Path(__file__).parent
FIGURES = json.loads((HERE / "figures.json").read_text())
"""Height and width of the image, and figures of each feature, by case."""

RESNET = {"base_channels": 16, "stem_channels": 16, "output_stride": 32}
DINOV3 = {"layer_scale": True, "n_registers": 4, "rotary": True, "eps": 1e-5}
OPTIONS = {
    "resnet18": ("pspnet_r18", {**RESNET, "variant": "v1"}),
    "resnet50": ("pspnet_r50", {**RESNET, "variant": "v1"}),
    "resnet50d": ("pspnet_r50", {**RESNET, "variant": "v1d"}),
    "convnext": ("upernet_convnext_t", {"channels": (8, 16, 24, 32), "depths": (1, 2, 1, 1)}),
    "segformer": ("segformer_mit_b0", {"embed_dims": 8, "depths": (1, 2, 1, 1)}),
    "swin": ("upernet_swin_t", {"embed_dims": 32, "depths": (2, 2, 2, 1)}),
    "vit": ("segmenter_vit_t", {}),
    "deit": ("segmenter_vit_t", {"n_registers": 1}),
    "deit_distilled": ("segmenter_vit_t", {"n_registers": 1}),
    "uni": ("segmenter_vit_t", {"layer_scale": True}),
    "dinov2": ("segmenter_dinov2_s", {}),
    "dinov2_giant": ("segmenter_dinov2_s", {"n_registers": 4, "gated": True, "hidden_dims": 344}),
    "virchow2": ("segmenter_dinov2_s", {"n_registers": 4, "gated": True, "hidden_dims": 340}),
    "hoptimus": ("segmenter_dinov2_s", {"n_registers": 4, "gated": True, "hidden_dims": 340}),
    "dinov3": ("segmenter_vit_t", DINOV3),
    "mobilenet_v2": ("fpn_mobilenet_v2", {"widen_factor": 0.35}),
    "dinov3_gated": ("segmenter_vit_t", {**DINOV3, "gated": True}),
    "dinov3_hplus": ("segmenter_vit_t", {**DINOV3, "gated": True}),
}
"""Architecture and options that fit a case, by what its name ends with; those of a ViT are completed below."""


def shapes(case: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a published file's entries by name."""
    rows = [line.split("\t") for line in (HERE / "layouts" / f"{case}.txt").read_text().splitlines()]
    return {name: tuple(int(side) for side in shape.split("x") if side) for name, shape in rows}


def published(case: str) -> dict[str, Tensor]:
    """Return the entries of a published file in float64."""
    entries = {}
    for index, (name, shape) in enumerate(sorted(shapes(case).items())):
        n_numbers = int(np.prod(shape))
        value = np.zeros(shape)
        if len(shape) >= 2:
            value = hashed_uniform(n_numbers, index).reshape(shape) * np.sqrt(24 / np.prod(shape[1:]))
        elif len(shape) == 1:
            value = float(name.endswith(("weight", "running_var"))) + hashed_uniform(n_numbers, 10000 + index)
        entries[name] = torch.from_numpy(np.asarray(value))
    return entries


def fitting(case: str) -> tuple[str, dict[str, object]]:
    """Return an architecture and the options with which it takes a published file as it is."""
    architecture, options = OPTIONS[case.partition("_")[2]]
    if case == "tonylins_mobilenet_v2":
        options = {}
    if architecture.startswith("segmenter"):
        side = FIGURES[case]["size"][0]
        options = {"embed_dims": 128, "num_layers": 2, "image_side_px": side, "patch_bias": True, **options}
    return architecture, options
