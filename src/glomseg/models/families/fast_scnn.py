"""Fast-SCNN."""

from glomseg.models.compose import Description
from glomseg.models.families.options import Dropout, Width
from glomseg.models.families.parts import one_conv_fcn

_WIDTHS = (64, 128, 128)


def fast_scnn(*, head_channels: Width = 128, auxiliary_channels: Width = 32, dropout: Dropout = 0.1) -> Description:
    """Return a Fast-SCNN with auxiliary heads on both of its branches: OpenMMLab's ``fast_scnn``.

    Parameters
    ----------
    head_channels, auxiliary_channels
        Widths of the head and of the auxiliary heads.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    return {
        "backbone": {"name": "fast_scnn"},
        "decode_head": {
            "name": "fcn",
            "in_channels": _WIDTHS[-1],
            "in_index": -1,
            "channels": head_channels,
            "concat_input": False,
            "separable": True,
            "dropout": dropout,
        },
        "auxiliary_head": [
            one_conv_fcn(_WIDTHS, in_index, channels=auxiliary_channels, dropout=dropout) for in_index in (-2, -3)
        ],
    }
