"""Options of the backbones that come in several sizes, by what their names end with."""

from typing import Any

Sizes = dict[str, dict[str, Any]]

MIT: Sizes = {
    "b0": {"embed_dims": 32, "depths": (2, 2, 2, 2)},
    "b1": {"embed_dims": 64, "depths": (2, 2, 2, 2)},
    "b2": {"embed_dims": 64, "depths": (3, 4, 6, 3)},
    "b3": {"embed_dims": 64, "depths": (3, 4, 18, 3)},
    "b4": {"embed_dims": 64, "depths": (3, 8, 27, 3)},
    "b5": {"embed_dims": 64, "depths": (3, 6, 40, 3)},
}

SWIN: Sizes = {
    "t": {"embed_dims": 96, "depths": (2, 2, 6, 2)},
    "s": {"embed_dims": 96, "depths": (2, 2, 18, 2)},
    "b": {"embed_dims": 128, "depths": (2, 2, 18, 2)},
    "l": {"embed_dims": 192, "depths": (2, 2, 18, 2)},
}

CONVNEXT: Sizes = {
    "t": {"channels": (96, 192, 384, 768), "depths": (3, 3, 9, 3)},
    "s": {"channels": (96, 192, 384, 768), "depths": (3, 3, 27, 3)},
    "b": {"channels": (128, 256, 512, 1024), "depths": (3, 3, 27, 3)},
    "l": {"channels": (192, 384, 768, 1536), "depths": (3, 3, 27, 3)},
    "xl": {"channels": (256, 512, 1024, 2048), "depths": (3, 3, 27, 3)},
}

VIT: Sizes = {
    "t": {"embed_dims": 192},
    "s": {"embed_dims": 384},
    "b": {"embed_dims": 768},
    "l": {"embed_dims": 1024, "num_layers": 24},
}

MSCAN: Sizes = {
    "t": {"embed_dims": (32, 64, 160, 256), "depths": (3, 3, 5, 2)},
    "s": {"embed_dims": (64, 128, 320, 512), "depths": (2, 2, 4, 2)},
    "b": {"embed_dims": (64, 128, 320, 512), "depths": (3, 3, 12, 3)},
    "l": {"embed_dims": (64, 128, 320, 512), "depths": (3, 5, 27, 3)},
}

_DINO: dict[str, Any] = {"layer_scale": True, "patch_bias": True}
_DINOV2: dict[str, Any] = {**_DINO, "patch_size": 14, "image_side_px": 518}
_DINOV3: dict[str, Any] = {**_DINO, "n_registers": 4, "rotary": True, "eps": 1e-5}

DINOV2: Sizes = {
    "s": {**_DINOV2, "embed_dims": 384},
    "b": {**_DINOV2, "embed_dims": 768},
    "l": {**_DINOV2, "embed_dims": 1024, "num_layers": 24},
    "g": {**_DINOV2, "embed_dims": 1536, "num_layers": 40, "hidden_dims": 4096, "gated": True},
}
"""Patches of 14 pixels, without registers."""

DINOV3: Sizes = {
    "s": {**_DINOV3, "embed_dims": 384},
    "b": {**_DINOV3, "embed_dims": 768},
    "l": {**_DINOV3, "embed_dims": 1024, "num_layers": 24},
}

PATHOLOGY: Sizes = {
    "uni": {**_DINO, "embed_dims": 1024, "num_layers": 24, "image_side_px": 224},
    "uni2_h": {**DINOV2["g"], "num_layers": 24, "n_registers": 8, "image_side_px": 224},
    "h_optimus": {**DINOV2["g"], "n_registers": 4, "image_side_px": 224},
    "virchow2": {
        **_DINOV2,
        "embed_dims": 1280,
        "num_layers": 32,
        "head_width": 80,
        "hidden_dims": 3416,
        "gated": True,
        "n_registers": 4,
        "image_side_px": 224,
    },
}
"""Networks that were trained on slides, by the name of the first of their form."""
