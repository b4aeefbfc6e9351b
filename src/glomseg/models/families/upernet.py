"""UPerNet with an auxiliary FCN head: OpenMMLab's ``upernet_r*``, ``swin-*_upernet`` and ``convnext-*_upernet``."""

from collections.abc import Sequence

from glomseg.models.backbones.resnet import stage_widths
from glomseg.models.compose import Description, Part
from glomseg.models.families.options import (
    BlockCounts,
    Depth,
    Dropout,
    DropPathRate,
    SwinWidth,
    Variant,
    Width,
    Widths,
    WindowSize,
)
from glomseg.models.families.parts import one_conv_fcn, swin


def upernet_resnet(
    *,
    depth: Depth,
    variant: Variant = "v1c",
    base_channels: Width = 64,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    dropout: Dropout = 0.1,
) -> Description:
    """Return UPerNet on ResNetV1c at strides 4 to 32 with the auxiliary FCN head: OpenMMLab's ``upernet_r*``.

    Parameters
    ----------
    depth
        Layers of the ResNet: 18, 34, 50 or 101.
    variant
        Its form: "v1" with the plain 7x7 stem, "v1c" with the deep stem, "v1d" with averaging shortcuts as well.
    base_channels
        Width of the ResNet's first stage.
    head_channels, auxiliary_channels
        Widths of the heads.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    return upernet(
        {
            "name": "resnet",
            "depth": depth,
            "base_channels": base_channels,
            "deep_stem": variant != "v1",
            "avg_down": variant == "v1d",
        },
        stage_widths(depth, base_channels),
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dropout=dropout,
    )


def upernet_swin(
    *,
    embed_dims: SwinWidth = 96,
    depths: BlockCounts = (2, 2, 6, 2),
    window_size: WindowSize = 7,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    drop_path_rate: DropPathRate = 0.3,
    dropout: Dropout = 0.1,
) -> Description:
    """Return UPerNet on a Swin Transformer with the auxiliary FCN head: OpenMMLab's ``swin-*_upernet``.

    Parameters
    ----------
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
    return upernet(
        *swin(embed_dims, depths=depths, window_size=window_size, drop_path_rate=drop_path_rate),
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dropout=dropout,
    )


def upernet_convnext(
    *,
    channels: Widths = (96, 192, 384, 768),
    depths: BlockCounts = (3, 3, 27, 3),
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    drop_path_rate: DropPathRate = 0.4,
    dropout: Dropout = 0.1,
) -> Description:
    """Return UPerNet on ConvNeXt with the auxiliary FCN head: OpenMMLab's ``convnext-*_upernet``.

    Parameters
    ----------
    channels, depths
        Width and blocks of each stage.
    head_channels, auxiliary_channels
        Widths of the heads.
    drop_path_rate
        Of stochastic depth at the last block.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    return upernet(
        {"name": "convnext", "channels": channels, "depths": depths, "drop_path_rate": drop_path_rate},
        channels,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dropout=dropout,
    )


def upernet(
    backbone: Part,
    widths: Sequence[int],
    *,
    head_channels: int,
    auxiliary_channels: int,
    dropout: float,
    auxiliary_index: int = 2,
    neck: Part | None = None,
) -> Description:
    """Return UPerNet on a backbone with four features.

    Parameters
    ----------
    backbone
        Gives the features, finest first.
    widths
        Channels of each feature, as the heads get them.
    head_channels, auxiliary_channels
        Widths of the heads.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    auxiliary_index
        Which of the features the auxiliary head works on.
    neck
        Between backbone and heads.
    """
    return {
        "backbone": backbone,
        "neck": neck,
        "decode_head": {"name": "uper", "in_channels": widths, "channels": head_channels, "dropout": dropout},
        "auxiliary_head": one_conv_fcn(widths, auxiliary_index, channels=auxiliary_channels, dropout=dropout),
    }
