"""Fast-SCNN."""

from torch import nn

from glomseg.models.backbones.fast_scnn import FastSCNN
from glomseg.models.families.options import Dropout, Width
from glomseg.models.heads.fcn import FCNHead
from glomseg.models.segmentor import Segmentor


def fast_scnn(
    *, n_classes: int, head_channels: Width = 128, auxiliary_channels: Width = 32, dropout: Dropout = 0.1
) -> Segmentor:
    """Return a Fast-SCNN with auxiliary heads on both of its branches: OpenMMLab's ``fast_scnn``.

    Parameters
    ----------
    n_classes
        Channels of the logits.
    head_channels, auxiliary_channels
        Widths of the head and of the auxiliary heads.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    backbone = FastSCNN()
    head = FCNHead(
        backbone.out_channels[-1],
        channels=head_channels,
        n_classes=n_classes,
        in_index=-1,
        concat_input=False,
        separable=True,
        dropout=dropout,
    )
    auxiliary = nn.ModuleList(
        FCNHead(
            backbone.out_channels[index],
            channels=auxiliary_channels,
            n_classes=n_classes,
            in_index=index,
            num_convs=1,
            concat_input=False,
            dropout=dropout,
        )
        for index in (-2, -3)
    )
    return Segmentor(backbone, head, auxiliary)
