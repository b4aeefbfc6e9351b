"""Parts that several families have."""

from collections.abc import Sequence

from glomseg.models.compose import Part

SWIN_HEAD_WIDTH = 32
"""Channels of each attention head of a Swin Transformer."""

VIT_HEAD_WIDTH = 64
"""The same of a Vision Transformer."""


def swin(
    embed_dims: int, *, depths: Sequence[int], window_size: int, drop_path_rate: float
) -> tuple[Part, tuple[int, ...]]:
    """Return a Swin Transformer whose attention heads have 32 channels, and the channels of its features."""
    widths = tuple(embed_dims * 2**stage for stage in range(4))
    backbone = {
        "name": "swin",
        "embed_dims": embed_dims,
        "depths": depths,
        "num_heads": tuple(width // SWIN_HEAD_WIDTH for width in widths),
        "window_size": window_size,
        "drop_path_rate": drop_path_rate,
    }
    return backbone, widths


def vit(embed_dims: int, *, image_side_px: int, patch_bias: bool, drop_path_rate: float) -> Part:
    """Return a Vision Transformer of 12 layers whose attention heads have 64 channels."""
    return {
        "name": "vit",
        "img_size": (image_side_px, image_side_px),
        "embed_dims": embed_dims,
        "num_heads": embed_dims // VIT_HEAD_WIDTH,
        "patch_bias": patch_bias,
        "drop_path_rate": drop_path_rate,
    }


def one_conv_fcn(widths: Sequence[int], in_index: int, *, channels: int, dropout: float) -> Part:
    """Return an FCN head of one convolution on one of the features, whose channels are `widths`."""
    return {
        "name": "fcn",
        "in_channels": widths[in_index],
        "in_index": in_index,
        "channels": channels,
        "num_convs": 1,
        "concat_input": False,
        "dropout": dropout,
    }
