"""The options of a backbone, read off its entries: what a file is of, and what a network would have to be for it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from glomseg.errors import InvalidInputError
from glomseg.models.backbones.mobilenet_v2 import STAGES
from glomseg.models.backbones.resnet import DEPTHS, Bottleneck

Entries = Mapping[str, Tensor]
Sizes = dict[str, Any]


def sizes_of(backbone: str, entries: Entries) -> Sizes:
    """Return the options that a backbone's entries show, under the names of `glomseg.models.compose`.

    Parameters
    ----------
    backbone
        Its name there; kinds that no other library publishes show nothing.
    entries
        Under our names, without ``backbone.``.

    Raises
    ------
    InvalidInputError
        If the network is one that no options make.
    """
    read = _READERS.get(backbone)
    try:
        return {} if read is None else read(entries)
    except InvalidInputError:
        raise
    except (KeyError, IndexError, ValueError):  # another kind of network, or a damaged one: nothing can be said
        return {}


def _count(entries: Entries, pattern: str) -> int:
    """Return one more than the highest number that the group of a pattern has in any name."""
    return 1 + max((int(found[1]) for name in entries if (found := re.match(pattern, name))), default=-1)


def _resnet(entries: Entries) -> Sizes:
    first = entries["layer1.0.conv1.weight"]
    is_bottleneck = "layer1.0.conv3.weight" in entries
    base = first.shape[0]
    if entries["layer1.0.conv2.weight"].shape[1] != base:
        raise InvalidInputError("it is a ResNeXt, with grouped convolutions; the ResNet here has none")
    if is_bottleneck and entries["layer1.0.conv3.weight"].shape[0] != Bottleneck.expansion * base:
        raise InvalidInputError("it is a Wide ResNet, whose bottlenecks are wider than those of the ResNet here")
    counts = tuple(_count(entries, rf"layer{stage}\.(\d+)\.") for stage in range(1, 5))
    depth = next(
        (
            depth
            for depth, (block, blocks) in DEPTHS.items()
            if blocks == counts and (block is Bottleneck) == is_bottleneck
        ),
        None,
    )
    if depth is None:
        raise InvalidInputError(
            f"it is a ResNet with {', '.join(map(str, counts))} blocks; there are those with {_listed(DEPTHS)} layers"
        )
    is_deep = "conv1.weight" not in entries
    averages = "layer2.0.downsample.0.weight" not in entries
    return {
        "depth": depth,
        "variant": ("v1d" if averages else "v1c") if is_deep else "v1",
        "base_channels": base,
        "stem_channels": first.shape[1],
    }


def _listed(values: Mapping[int, Any]) -> str:
    return ", ".join(map(str, values))


def _vit(entries: Entries) -> Sizes:
    projection = entries["patch_embed.projection.weight"]
    n_layers = _count(entries, r"layers\.(\d+)\.")
    inner, outer = entries["layers.0.ffn.layers.0.0.weight"], entries["layers.0.ffn.layers.1.weight"]
    width, hidden = outer.shape
    registers = entries.get("register_tokens")
    return {
        "embed_dims": projection.shape[0],
        "num_layers": n_layers,
        "patch_size": projection.shape[-1],
        "patch_bias": "patch_embed.projection.bias" in entries,
        "hidden_dims": None if hidden == 4 * width else hidden,
        "gated": inner.shape[0] == 2 * hidden,
        "layer_scale": "layers.0.gamma1" in entries,
        "n_registers": 0 if registers is None else registers.shape[1],
        "rotary": "pos_embed" not in entries,
    }


def _convnext(entries: Entries) -> Sizes:
    stages = range(4)
    return {
        "channels": tuple(entries[f"stages.{stage}.0.depthwise_conv.weight"].shape[0] for stage in stages),
        "depths": tuple(_count(entries, rf"stages\.{stage}\.(\d+)\.") for stage in stages),
    }


def _swin(entries: Entries) -> Sizes:
    return {
        "embed_dims": entries["patch_embed.projection.weight"].shape[0],
        "depths": tuple(_count(entries, rf"stages\.{stage}\.blocks\.(\d+)\.") for stage in range(4)),
    }


def _mit(entries: Entries) -> Sizes:
    return {
        "embed_dims": entries["layers.0.0.projection.weight"].shape[0],
        "depths": tuple(_count(entries, rf"layers\.{stage}\.1\.(\d+)\.") for stage in range(4)),
    }


def _mobilenet_v2(entries: Entries) -> Sizes:
    return {"widen_factor": entries["layer7.0.conv.2.conv.weight"].shape[0] / STAGES[-1][1]}


_READERS: dict[str, Callable[[Entries], Sizes]] = {
    "convnext": _convnext,
    "mit": _mit,
    "mobilenet_v2": _mobilenet_v2,
    "resnet": _resnet,
    "swin": _swin,
    "vit": _vit,
}
