"""Parts that several families have."""

from collections.abc import Sequence

from glomseg.errors import InvalidInputError
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


def vit(
    embed_dims: int,
    *,
    image_side_px: int,
    patch_bias: bool,
    drop_path_rate: float,
    num_layers: int = 12,
    patch_size: int = 16,
    head_width: int = VIT_HEAD_WIDTH,
    hidden_dims: int | None = None,
    gated: bool = False,
    layer_scale: bool = False,
    n_registers: int = 0,
    rotary: bool = False,
    eps: float = 1e-6,
) -> Part:
    """Return a Vision Transformer with attention heads of `head_width` channels; the rest are the backbone's options.

    Raises
    ------
    InvalidInputError
        If the heads do not divide the channels of a token.
    """
    if embed_dims % head_width:
        raise InvalidInputError(f"tokens of {embed_dims} channels have no heads of {head_width} (head_width)")
    return {
        "name": "vit",
        "img_size": (image_side_px, image_side_px),
        "patch_size": patch_size,
        "embed_dims": embed_dims,
        "num_layers": num_layers,
        "num_heads": embed_dims // head_width,
        "patch_bias": patch_bias,
        "drop_path_rate": drop_path_rate,
        "hidden_dims": hidden_dims,
        "gated": gated,
        "layer_scale": layer_scale,
        "n_registers": n_registers,
        "rotary": rotary,
        "eps": eps,
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
