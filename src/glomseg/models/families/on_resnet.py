"""FCN, PSPNet, DeepLabV3 and DeepLabV3+ on a ResNet, each with an auxiliary FCN head on the third stage.

They are OpenMMLab's ``fcn_r*``, ``pspnet_r*``, ``deeplabv3_r*`` and ``deeplabv3plus_r*``, and differ only in the
head. What they have in common is explained once, at `fcn`.
"""

from glomseg.models.backbones.resnet import ResNet
from glomseg.models.families.options import Depth, Dilations, Dropout, OutputStride, StemWidth, Variant, Width
from glomseg.models.heads.aspp import ASPPHead, DepthwiseSeparableASPPHead
from glomseg.models.heads.fcn import FCNHead
from glomseg.models.heads.psp import PSPHead
from glomseg.models.segmentor import Segmentor

STRIDES = {8: (1, 2, 1, 1), 16: (1, 2, 2, 1), 32: (1, 2, 2, 2)}
"""Strides of the four stages by output stride."""

DILATIONS = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}
"""Dilations that keep the field of view of output stride 32."""


def fcn(
    *,
    n_classes: int,
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
) -> Segmentor:
    """Return an FCN: two convolutions and their input, joined and classified.

    Parameters
    ----------
    n_classes
        Channels of the logits.
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
    backbone = _backbone(
        depth,
        variant=variant,
        output_stride=output_stride,
        base_channels=base_channels,
        stem_channels=stem_channels,
        contract_dilation=contract_dilation,
        zero_init_residual=zero_init_residual,
    )
    head = FCNHead(backbone.out_channels[3], channels=head_channels, n_classes=n_classes, in_index=3, dropout=dropout)
    auxiliary = _auxiliary_head(backbone, channels=auxiliary_channels, n_classes=n_classes, dropout=dropout)
    return Segmentor(backbone, head, auxiliary)


def pspnet(
    *,
    n_classes: int,
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
) -> Segmentor:
    """Return a PSPNet, which joins the feature with its averages over coarse grids.

    Parameters
    ----------
    head_channels, auxiliary_channels
        Widths of the pyramid pooling head and of the auxiliary head.

    The others are those of `fcn`.
    """
    backbone = _backbone(
        depth,
        variant=variant,
        output_stride=output_stride,
        base_channels=base_channels,
        stem_channels=stem_channels,
        contract_dilation=contract_dilation,
        zero_init_residual=zero_init_residual,
    )
    head = PSPHead(backbone.out_channels[3], channels=head_channels, n_classes=n_classes, in_index=3, dropout=dropout)
    auxiliary = _auxiliary_head(backbone, channels=auxiliary_channels, n_classes=n_classes, dropout=dropout)
    return Segmentor(backbone, head, auxiliary)


def deeplabv3(
    *,
    n_classes: int,
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
) -> Segmentor:
    """Return a DeepLabV3, which looks at the feature with several dilations at once.

    Parameters
    ----------
    head_channels, auxiliary_channels
        Widths of the atrous spatial pyramid head and of the auxiliary head.
    dilations
        Of the head's branches, in pixels of the last feature; a branch of dilation 1 is a 1x1 convolution.

    The others are those of `fcn`.
    """
    backbone = _backbone(
        depth,
        variant=variant,
        output_stride=output_stride,
        base_channels=base_channels,
        stem_channels=stem_channels,
        contract_dilation=contract_dilation,
        zero_init_residual=zero_init_residual,
    )
    head = ASPPHead(
        backbone.out_channels[3],
        channels=head_channels,
        n_classes=n_classes,
        in_index=3,
        dilations=dilations,
        dropout=dropout,
    )
    auxiliary = _auxiliary_head(backbone, channels=auxiliary_channels, n_classes=n_classes, dropout=dropout)
    return Segmentor(backbone, head, auxiliary)


def deeplabv3plus(
    *,
    n_classes: int,
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
) -> Segmentor:
    """Return a DeepLabV3+: separable branches of several dilations, refined at stride 4.

    Parameters
    ----------
    head_channels, auxiliary_channels
        Widths of the atrous spatial pyramid head and of the auxiliary head.
    c1_channels
        To how many channels the first stage's feature is brought before it refines.
    dilations
        Of the head's branches, in pixels of the last feature; a branch of dilation 1 is a 1x1 convolution.

    The others are those of `fcn`.
    """
    backbone = _backbone(
        depth,
        variant=variant,
        output_stride=output_stride,
        base_channels=base_channels,
        stem_channels=stem_channels,
        contract_dilation=contract_dilation,
        zero_init_residual=zero_init_residual,
    )
    head = DepthwiseSeparableASPPHead(
        backbone.out_channels[3],
        channels=head_channels,
        n_classes=n_classes,
        c1_in_channels=backbone.out_channels[0],
        c1_channels=c1_channels,
        in_index=3,
        dilations=dilations,
        dropout=dropout,
    )
    auxiliary = _auxiliary_head(backbone, channels=auxiliary_channels, n_classes=n_classes, dropout=dropout)
    return Segmentor(backbone, head, auxiliary)


def _backbone(
    depth: Depth,
    *,
    variant: Variant,
    output_stride: OutputStride,
    base_channels: int,
    stem_channels: int,
    contract_dilation: bool,
    zero_init_residual: bool,
) -> ResNet:
    return ResNet(
        depth,
        base_channels=base_channels,
        stem_channels=stem_channels,
        strides=STRIDES[output_stride],
        dilations=DILATIONS[output_stride],
        deep_stem=variant != "v1",
        avg_down=variant == "v1d",
        contract_dilation=contract_dilation,
        zero_init_residual=zero_init_residual,
    )


def _auxiliary_head(backbone: ResNet, *, channels: int, n_classes: int, dropout: float) -> FCNHead:
    return FCNHead(
        backbone.out_channels[2],
        channels=channels,
        n_classes=n_classes,
        in_index=2,
        num_convs=1,
        concat_input=False,
        dropout=dropout,
    )
