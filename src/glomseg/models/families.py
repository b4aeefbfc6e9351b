"""Families of networks: a backbone and heads, composed.

Each builder takes ``n_classes`` and its own options by keyword and returns a network with fresh weights.
"""

from typing import Annotated, Literal

from pydantic import Field

from glomseg.models.backbones.resnet import ResNetV1c
from glomseg.models.backbones.small_resnet import SmallResNet
from glomseg.models.heads.fcn import FCNHead
from glomseg.models.heads.fpn import FPNHead
from glomseg.models.heads.psp import PSPHead
from glomseg.models.segmentor import Segmentor

Width = Annotated[int, Field(ge=1, le=4096)]


def pspnet(
    *,
    n_classes: int,
    depth: Literal[18, 34, 50, 101],
    base_channels: Width = 64,
    stem_channels: Annotated[int, Field(ge=2, le=4096)] = 64,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    contract_dilation: bool = True,
    zero_init_residual: bool = True,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
) -> Segmentor:
    """Return a PSPNet on ResNetV1c at output stride 8 with the auxiliary FCN head: OpenMMLab's ``pspnet_r*-d8``.

    Parameters
    ----------
    n_classes
        Channels of the logits.
    depth
        Layers of the ResNet: 18, 34, 50 or 101.
    base_channels, stem_channels
        Widths of the ResNet's first stage and stem.
    head_channels, auxiliary_channels
        Widths of the pyramid pooling head and of the auxiliary head.
    contract_dilation
        Whether the first block of a dilated stage uses half its dilation.
    zero_init_residual
        Whether every residual block starts as the identity.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    backbone = ResNetV1c(
        depth,
        base_channels=base_channels,
        stem_channels=stem_channels,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=contract_dilation,
        zero_init_residual=zero_init_residual,
    )
    return Segmentor(
        backbone,
        PSPHead(backbone.out_channels[3], channels=head_channels, n_classes=n_classes, in_index=3, dropout=dropout),
        FCNHead(
            backbone.out_channels[2], channels=auxiliary_channels, n_classes=n_classes, in_index=2, dropout=dropout
        ),
    )


def fpn_resnet_small(
    *,
    n_classes: int,
    channels: tuple[int, int, int, int] = (48, 96, 160, 224),
    n_blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
    head_channels: int = 64,
) -> Segmentor:
    """Return the small network for processors: 3.0 million parameters at the default widths."""
    return Segmentor(
        SmallResNet(channels=channels, n_blocks=n_blocks),
        FPNHead(in_channels=channels, channels=head_channels, n_classes=n_classes),
    )
