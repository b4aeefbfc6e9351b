"""Networks on a MobileNetV2: a small one with a feature pyramid, and OpenMMLab's ``mobilenet-v2-d8``."""

from typing import Annotated

from pydantic import Field

from glomseg.models.backbones.mobilenet_v2 import mobilenet_widths
from glomseg.models.compose import Description
from glomseg.models.families.options import Dilations, Dropout, Width
from glomseg.models.families.parts import one_conv_fcn

WidenFactor = Annotated[float, Field(ge=0.1, le=4)]
"""Of all channels of the backbone."""

_OUT_INDICES = (1, 2, 4, 6)
_D8_STRIDES, _D8_DILATIONS = (1, 2, 2, 1, 1, 1, 1), (1, 1, 1, 2, 2, 4, 4)


def fpn_mobilenet_v2(
    *, widen_factor: WidenFactor = 1.0, head_channels: Width = 64, dropout: Dropout = 0.1
) -> Description:
    """Return a small network for processors, to start from ImageNet's weights: features of strides 4 to 32, summed.

    Parameters
    ----------
    widen_factor
        Of all channels of the backbone.
    head_channels
        To which the features are brought.
    dropout
        Probability that a channel is dropped before the classifier in training.
    """
    return {
        "backbone": {"name": "mobilenet_v2", "widen_factor": widen_factor},
        "decode_head": {
            "name": "fpn",
            "in_channels": mobilenet_widths(widen_factor, _OUT_INDICES),
            "channels": head_channels,
            "dropout": dropout,
        },
    }


def on_mobilenet(
    head: str,
    /,
    *,
    widen_factor: WidenFactor = 1.0,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    dropout: Dropout = 0.1,
) -> Description:
    """Return a network with a head that works on the last feature, at output stride 8: FCN or PSPNet.

    Parameters
    ----------
    head
        As in `glomseg.models.families.on_resnet.on_resnet`.
    widen_factor
        Of all channels of the backbone.
    head_channels, auxiliary_channels
        Widths of the head and of the auxiliary head.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    widths = mobilenet_widths(widen_factor, _OUT_INDICES)
    return {
        "backbone": {
            "name": "mobilenet_v2",
            "widen_factor": widen_factor,
            "strides": _D8_STRIDES,
            "dilations": _D8_DILATIONS,
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


def deeplabv3_mobilenet(
    *,
    widen_factor: WidenFactor = 1.0,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    dilations: Dilations = (1, 12, 24, 36),
    dropout: Dropout = 0.1,
) -> Description:
    """Return a DeepLabV3; `dilations` are those of the head's branches, the others as in `on_mobilenet`."""
    network = on_mobilenet(
        "aspp",
        widen_factor=widen_factor,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dropout=dropout,
    )
    network["decode_head"]["dilations"] = dilations
    return network


def deeplabv3plus_mobilenet(
    *,
    widen_factor: WidenFactor = 1.0,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    c1_channels: Width = 48,
    dilations: Dilations = (1, 12, 24, 36),
    dropout: Dropout = 0.1,
) -> Description:
    """Return a DeepLabV3+; `c1_channels` are those of the fine feature that refines, the others as above."""
    network = deeplabv3_mobilenet(
        widen_factor=widen_factor,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        dilations=dilations,
        dropout=dropout,
    )
    refined = {"c1_in_channels": mobilenet_widths(widen_factor, _OUT_INDICES)[0], "c1_channels": c1_channels}
    network["decode_head"] |= {"name": "separable_aspp", **refined}
    return network
