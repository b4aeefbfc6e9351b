"""U-Net with an FCN, a PSPNet or a DeepLabV3 head: OpenMMLab's ``fcn_``, ``pspnet_`` and ``deeplabv3_unet_s5-d16``.

The heads classify the finest feature, which has the image's size; an auxiliary FCN head works on the one before.
"""

from glomseg.models.compose import Description
from glomseg.models.families.options import Dilations, Dropout, Width
from glomseg.models.families.parts import one_conv_fcn


def fcn_unet(
    *, base_channels: Width = 64, head_channels: Width = 64, auxiliary_channels: Width = 64, dropout: Dropout = 0.1
) -> Description:
    """Return a U-Net with one more convolution before the classifier.

    Parameters
    ----------
    base_channels
        Width of the U-Net's first stage; each further stage doubles it.
    head_channels, auxiliary_channels
        Widths of the head and of the auxiliary head.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    widths = (2 * base_channels, base_channels)  # of the two finest features, which come last
    return {
        # Fresh weights are drawn in this order, and a seed has to go on giving the same ones.
        "decode_head": one_conv_fcn(widths, -1, channels=head_channels, dropout=dropout),
        "auxiliary_head": one_conv_fcn(widths, -2, channels=auxiliary_channels, dropout=dropout),
        "backbone": {"name": "unet", "base_channels": base_channels},
    }


def pspnet_unet(
    *, base_channels: Width = 64, head_channels: Width = 16, auxiliary_channels: Width = 64, dropout: Dropout = 0.1
) -> Description:
    """Return a U-Net with a pyramid pooling head; its parameters are those of `fcn_unet`."""
    plain = fcn_unet(base_channels=base_channels, auxiliary_channels=auxiliary_channels, dropout=dropout)
    head = {"in_channels": base_channels, "in_index": -1, "channels": head_channels, "dropout": dropout}
    return plain | {"decode_head": {"name": "psp", **head}}


def deeplabv3_unet(
    *,
    base_channels: Width = 64,
    head_channels: Width = 16,
    auxiliary_channels: Width = 64,
    dilations: Dilations = (1, 12, 24, 36),
    dropout: Dropout = 0.1,
) -> Description:
    """Return a U-Net with an atrous spatial pyramid head.

    Parameters
    ----------
    dilations
        Of the head's branches, in pixels of the image; a branch of dilation 1 is a 1x1 convolution.

    The others are those of `fcn_unet`.
    """
    plain = pspnet_unet(
        base_channels=base_channels,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dropout=dropout,
    )
    return plain | {"decode_head": {**plain["decode_head"], "name": "aspp", "dilations": dilations}}
