"""UPerNet with an auxiliary FCN head: OpenMMLab's ``upernet_r*``, ``swin-*_upernet`` and ``convnext-*_upernet``."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import nn

from glomseg.models.backbones.convnext import ConvNeXt
from glomseg.models.backbones.resnet import ResNet
from glomseg.models.backbones.swin import SwinTransformer
from glomseg.models.families.options import BlockCounts, Depth, Dropout, DropPathRate, Width, Widths
from glomseg.models.heads.fcn import FCNHead
from glomseg.models.heads.uper import UPerHead
from glomseg.models.segmentor import Segmentor


def upernet_resnet(
    *,
    n_classes: int,
    depth: Depth,
    base_channels: Width = 64,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    dropout: Dropout = 0.1,
) -> Segmentor:
    """Return UPerNet on ResNetV1c at strides 4 to 32 with the auxiliary FCN head: OpenMMLab's ``upernet_r*``.

    Parameters
    ----------
    n_classes
        Channels of the logits.
    depth
        Layers of the ResNet: 18, 34, 50 or 101.
    base_channels
        Width of the ResNet's first stage.
    head_channels, auxiliary_channels
        Widths of the heads.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    backbone = ResNet(depth, base_channels=base_channels, deep_stem=True)
    return upernet(
        backbone,
        backbone.out_channels,
        n_classes=n_classes,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dropout=dropout,
    )


def upernet_swin(
    *,
    n_classes: int,
    embed_dims: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = 96,
    depths: BlockCounts = (2, 2, 6, 2),
    window_size: Annotated[int, Field(ge=2, le=64)] = 7,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    drop_path_rate: DropPathRate = 0.3,
    dropout: Dropout = 0.1,
) -> Segmentor:
    """Return UPerNet on a Swin Transformer with the auxiliary FCN head: OpenMMLab's ``swin-*_upernet``.

    Parameters
    ----------
    n_classes
        Channels of the logits.
    embed_dims
        Channels of the first stage; every attention head of every stage has 32.
    depths
        Blocks of each stage.
    window_size
        Side of a window in tokens: 7, or 12 in the networks that were trained at 384 pixels.
    head_channels, auxiliary_channels
        Widths of the heads.
    drop_path_rate
        Of stochastic depth at the last block.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    backbone = SwinTransformer(
        embed_dims=embed_dims,
        depths=depths,
        num_heads=tuple(embed_dims // 32 * 2**stage for stage in range(4)),
        window_size=window_size,
        drop_path_rate=drop_path_rate,
    )
    return upernet(
        backbone,
        backbone.out_channels,
        n_classes=n_classes,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dropout=dropout,
    )


def upernet_convnext(
    *,
    n_classes: int,
    channels: Widths = (96, 192, 384, 768),
    depths: BlockCounts = (3, 3, 27, 3),
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    drop_path_rate: DropPathRate = 0.4,
    dropout: Dropout = 0.1,
) -> Segmentor:
    """Return UPerNet on ConvNeXt with the auxiliary FCN head: OpenMMLab's ``convnext-*_upernet``.

    Parameters
    ----------
    n_classes
        Channels of the logits.
    channels, depths
        Width and blocks of each stage.
    head_channels, auxiliary_channels
        Widths of the heads.
    drop_path_rate
        Of stochastic depth at the last block.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    backbone = ConvNeXt(channels=channels, depths=depths, drop_path_rate=drop_path_rate)
    return upernet(
        backbone,
        backbone.out_channels,
        n_classes=n_classes,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dropout=dropout,
    )


def upernet(
    backbone: nn.Module,
    in_channels: Sequence[int],
    *,
    n_classes: int,
    head_channels: int,
    auxiliary_channels: int,
    dropout: float,
    auxiliary_index: int = 2,
    neck: nn.Module | None = None,
) -> Segmentor:
    """Return UPerNet on a backbone with four features.

    Parameters
    ----------
    backbone
        Gives the features, finest first.
    in_channels
        Of each feature, as the heads get them.
    n_classes
        Channels of the logits.
    head_channels, auxiliary_channels
        Widths of the heads.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    auxiliary_index
        Which of the features the auxiliary head works on.
    neck
        Between backbone and heads.
    """
    return Segmentor(
        backbone,
        UPerHead(in_channels, channels=head_channels, n_classes=n_classes, dropout=dropout),
        FCNHead(
            in_channels[auxiliary_index],
            channels=auxiliary_channels,
            n_classes=n_classes,
            in_index=auxiliary_index,
            num_convs=1,
            concat_input=False,
            dropout=dropout,
        ),
        neck=neck,
    )
