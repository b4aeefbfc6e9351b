"""U-Net with an FCN, a PSPNet or a DeepLabV3 head: OpenMMLab's ``fcn_``, ``pspnet_`` and ``deeplabv3_unet_s5-d16``.

The heads classify the finest feature, which has the image's size; an auxiliary FCN head works on the one before.
"""

from torch import nn

from glomseg.models.backbones.unet import UNet
from glomseg.models.families.options import Dilations, Dropout, Width
from glomseg.models.heads.aspp import ASPPHead
from glomseg.models.heads.fcn import FCNHead
from glomseg.models.heads.psp import PSPHead
from glomseg.models.segmentor import Segmentor


def fcn_unet(
    *,
    n_classes: int,
    base_channels: Width = 64,
    head_channels: Width = 64,
    auxiliary_channels: Width = 64,
    dropout: Dropout = 0.1,
) -> Segmentor:
    """Return a U-Net with one more convolution before the classifier.

    Parameters
    ----------
    n_classes
        Channels of the logits.
    base_channels
        Width of the U-Net's first stage; each further stage doubles it.
    head_channels, auxiliary_channels
        Widths of the head and of the auxiliary head.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    head = FCNHead(
        base_channels,
        channels=head_channels,
        n_classes=n_classes,
        in_index=-1,
        num_convs=1,
        concat_input=False,
        dropout=dropout,
    )
    return _on_unet(head, base_channels, n_classes=n_classes, auxiliary_channels=auxiliary_channels, dropout=dropout)


def pspnet_unet(
    *,
    n_classes: int,
    base_channels: Width = 64,
    head_channels: Width = 16,
    auxiliary_channels: Width = 64,
    dropout: Dropout = 0.1,
) -> Segmentor:
    """Return a U-Net with a pyramid pooling head; its parameters are those of `fcn_unet`."""
    head = PSPHead(base_channels, channels=head_channels, n_classes=n_classes, in_index=-1, dropout=dropout)
    return _on_unet(head, base_channels, n_classes=n_classes, auxiliary_channels=auxiliary_channels, dropout=dropout)


def deeplabv3_unet(
    *,
    n_classes: int,
    base_channels: Width = 64,
    head_channels: Width = 16,
    auxiliary_channels: Width = 64,
    dilations: Dilations = (1, 12, 24, 36),
    dropout: Dropout = 0.1,
) -> Segmentor:
    """Return a U-Net with an atrous spatial pyramid head.

    Parameters
    ----------
    dilations
        Of the head's branches, in pixels of the image; a branch of dilation 1 is a 1x1 convolution.

    The others are those of `fcn_unet`.
    """
    head = ASPPHead(
        base_channels,
        channels=head_channels,
        n_classes=n_classes,
        in_index=-1,
        dilations=dilations,
        dropout=dropout,
    )
    return _on_unet(head, base_channels, n_classes=n_classes, auxiliary_channels=auxiliary_channels, dropout=dropout)


def _on_unet(
    head: nn.Module, base_channels: int, *, n_classes: int, auxiliary_channels: int, dropout: float
) -> Segmentor:
    auxiliary = FCNHead(
        2 * base_channels,
        channels=auxiliary_channels,
        n_classes=n_classes,
        in_index=-2,
        num_convs=1,
        concat_input=False,
        dropout=dropout,
    )
    return Segmentor(UNet(base_channels=base_channels), head, auxiliary)
