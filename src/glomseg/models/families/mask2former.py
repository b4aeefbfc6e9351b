"""Mask2Former, which finds masks and names them: OpenMMLab's ``mask2former_r*`` and ``mask2former_swin-*``.

What both families have in common is explained once, at `mask2former_resnet`.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from glomseg.models.backbones.resnet import stage_widths
from glomseg.models.compose import Description, Part
from glomseg.models.families.options import BlockCounts, Depth, DropPathRate, StemWidth, SwinWidth, Width, WindowSize
from glomseg.models.families.parts import swin

QueryWidth = Annotated[int, Field(ge=32, le=1024, multiple_of=32)]
QueryCount = Annotated[int, Field(ge=1, le=1000)]
LayerCount = Annotated[int, Field(ge=1, le=24)]
SizeDivisor = Annotated[int, Field(ge=1, le=256)]


def mask2former_resnet(
    *,
    depth: Depth,
    base_channels: Width = 64,
    stem_channels: StemWidth = 64,
    feat_channels: QueryWidth = 256,
    num_queries: QueryCount = 100,
    encoder_layers: LayerCount = 6,
    decoder_layers: LayerCount = 9,
    size_divisor: SizeDivisor = 32,
) -> Description:
    """Return a Mask2Former on a ResNet with the plain stem.

    Parameters
    ----------
    depth
        Layers of the ResNet.
    base_channels, stem_channels
        Widths of its first stage and stem.
    feat_channels
        Width of queries and of the maps they look at; the feed-forward networks are 4 and 8 times as wide.
    num_queries
        Masks that can be found in an image; at least as many as there are classes.
    encoder_layers, decoder_layers
        Layers of the pixel decoder and of the transformer decoder.
    size_divisor
        Images are padded to multiples of it for prediction.
    """
    return _mask2former(
        {"name": "resnet", "depth": depth, "base_channels": base_channels, "stem_channels": stem_channels},
        stage_widths(depth, base_channels),
        feat_channels=feat_channels,
        num_queries=num_queries,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        size_divisor=size_divisor,
    )


def mask2former_swin(
    *,
    embed_dims: SwinWidth = 96,
    depths: BlockCounts = (2, 2, 6, 2),
    window_size: WindowSize = 7,
    drop_path_rate: DropPathRate = 0.3,
    feat_channels: QueryWidth = 256,
    num_queries: QueryCount = 100,
    encoder_layers: LayerCount = 6,
    decoder_layers: LayerCount = 9,
    size_divisor: SizeDivisor = 32,
) -> Description:
    """Return a Mask2Former on a Swin Transformer.

    Parameters
    ----------
    embed_dims
        Channels of the first stage; every attention head of every stage has 32.
    depths
        Blocks of each stage.
    window_size
        Side of a window in tokens: 7, or 12 in the networks that were trained at 384 pixels.
    drop_path_rate
        Of stochastic depth at the last block.
    feat_channels, num_queries, encoder_layers, decoder_layers, size_divisor
        As for `mask2former_resnet`.
    """
    return _mask2former(
        *swin(embed_dims, depths=depths, window_size=window_size, drop_path_rate=drop_path_rate),
        feat_channels=feat_channels,
        num_queries=num_queries,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        size_divisor=size_divisor,
    )


def _mask2former(
    backbone: Part,
    widths: Sequence[int],
    *,
    feat_channels: int,
    num_queries: int,
    encoder_layers: int,
    decoder_layers: int,
    size_divisor: int,
) -> Description:
    return {
        "backbone": backbone,
        "decode_head": {
            "name": "mask2former",
            "in_channels": widths,
            "feat_channels": feat_channels,
            "out_channels": feat_channels,
            "num_queries": num_queries,
            "encoder_layers": encoder_layers,
            "encoder_feedforward": 4 * feat_channels,
            "decoder_layers": decoder_layers,
            "decoder_feedforward": 8 * feat_channels,
        },
        "size_divisor": size_divisor,
    }
