"""FCN, PSPNet, DeepLabV3 and DeepLabV3+ on a ResNet, each with an auxiliary FCN head on the third stage.

They are OpenMMLab's ``fcn_r*``, ``pspnet_r*``, ``deeplabv3_r*`` and ``deeplabv3plus_r*``, and differ only in the
head. What they have in common is explained once, at `on_resnet`.
"""

from glomseg.models.backbones.resnet import stage_widths
from glomseg.models.compose import Description
from glomseg.models.families.options import Depth, Dilations, Dropout, OutputStride, StemWidth, Variant, Width
from glomseg.models.families.parts import one_conv_fcn

_STRIDES = {8: (1, 2, 1, 1), 16: (1, 2, 2, 1), 32: (1, 2, 2, 2)}
"""Strides of the four stages by output stride."""

_DILATIONS = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}
"""Dilations that keep the field of view of output stride 32."""


def on_resnet(
    head: str,
    /,
    *,
    depth: Depth,
    variant: Variant = "v1c",
    output_stride: OutputStride = 8,
    base_channels: Width = 64,
    stem_channels: StemWidth = 64,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    contract_dilation: bool = True,
    zero_init_residual: bool = True,
    dropout: Dropout = 0.1,
) -> Description:
    """Return a network with a head that works on the last feature: FCN or PSPNet.

    Parameters
    ----------
    head
        "fcn": two convolutions and their input, joined; "psp": the feature joined with its averages over coarse grids.
    depth
        Layers of the ResNet.
    variant
        Its form: "v1" with the plain 7x7 stem, "v1c" with the deep stem, "v1d" with averaging shortcuts as well.
    output_stride
        Pixels of the image for a pixel of its last feature; below 32 by dilation.
    base_channels, stem_channels
        Widths of its first stage and stem.
    head_channels, auxiliary_channels
        Widths of the head and of the auxiliary head.
    contract_dilation
        Whether the first block of a dilated stage uses half its dilation.
    zero_init_residual
        Whether every residual block starts as the identity.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    widths = stage_widths(depth, base_channels)
    return {
        "backbone": {
            "name": "resnet",
            "depth": depth,
            "base_channels": base_channels,
            "stem_channels": stem_channels,
            "strides": _STRIDES[output_stride],
            "dilations": _DILATIONS[output_stride],
            "deep_stem": variant != "v1",
            "avg_down": variant == "v1d",
            "contract_dilation": contract_dilation,
            "zero_init_residual": zero_init_residual,
        },
        "decode_head": {
            "name": head,
            "in_channels": widths[3],
            "in_index": 3,
            "channels": head_channels,
            "dropout": dropout,
        },
        "auxiliary_head": one_conv_fcn(widths, 2, channels=auxiliary_channels, dropout=dropout),
    }


def deeplabv3(
    *,
    depth: Depth,
    variant: Variant = "v1c",
    output_stride: OutputStride = 8,
    base_channels: Width = 64,
    stem_channels: StemWidth = 64,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    dilations: Dilations = (1, 12, 24, 36),
    contract_dilation: bool = True,
    zero_init_residual: bool = True,
    dropout: Dropout = 0.1,
) -> Description:
    """Return a DeepLabV3, which looks at the feature with several dilations at once.

    Parameters
    ----------
    head_channels, auxiliary_channels
        Widths of the atrous spatial pyramid head and of the auxiliary head.
    dilations
        Of the head's branches, in pixels of the last feature; a branch of dilation 1 is a 1x1 convolution.

    The others are those of `on_resnet`.
    """
    network = on_resnet(
        "aspp",
        depth=depth,
        variant=variant,
        output_stride=output_stride,
        base_channels=base_channels,
        stem_channels=stem_channels,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        contract_dilation=contract_dilation,
        zero_init_residual=zero_init_residual,
        dropout=dropout,
    )
    network["decode_head"]["dilations"] = dilations
    return network


def deeplabv3plus(
    *,
    depth: Depth,
    variant: Variant = "v1c",
    output_stride: OutputStride = 8,
    base_channels: Width = 64,
    stem_channels: StemWidth = 64,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    c1_channels: Width = 48,
    dilations: Dilations = (1, 12, 24, 36),
    contract_dilation: bool = True,
    zero_init_residual: bool = True,
    dropout: Dropout = 0.1,
) -> Description:
    """Return a DeepLabV3+: separable branches of several dilations, refined at stride 4.

    Parameters
    ----------
    c1_channels
        To how many channels the first stage's feature is brought before it refines.

    The others are those of `deeplabv3`.
    """
    network = deeplabv3(
        depth=depth,
        variant=variant,
        output_stride=output_stride,
        base_channels=base_channels,
        stem_channels=stem_channels,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dilations=dilations,
        contract_dilation=contract_dilation,
        zero_init_residual=zero_init_residual,
        dropout=dropout,
    )
    refined = {"c1_in_channels": stage_widths(depth, base_channels)[0], "c1_channels": c1_channels}
    network["decode_head"] |= {"name": "separable_aspp", **refined}
    return network
