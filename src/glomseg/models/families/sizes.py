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
