"""SegNeXt: OpenMMLab's ``segnext_mscan-*``."""

from typing import Annotated

from pydantic import Field

from glomseg.models.backbones.mscan import MSCAN
from glomseg.models.families.options import BlockCounts, Dropout, DropPathRate, Widths
from glomseg.models.heads.ham import LightHamHead
from glomseg.models.segmentor import Segmentor


def segnext(
    *,
    n_classes: int,
    embed_dims: Widths = (64, 128, 320, 512),
    depths: BlockCounts = (3, 3, 12, 3),
    head_channels: Annotated[int, Field(ge=32, le=4096, multiple_of=32)] = 256,
    drop_path_rate: DropPathRate = 0.1,
    dropout: Dropout = 0.1,
) -> Segmentor:
    """Return a SegNeXt: MSCAN with a head that factorises the features.

    Parameters
    ----------
    n_classes
        Channels of the logits.
    embed_dims, depths
        Width and blocks of each stage of the backbone.
    head_channels
        Width of the head.
    drop_path_rate
        Of stochastic depth at the last block.
    dropout
        Probability that a channel is dropped before the classifier in training.
    """
    backbone = MSCAN(embed_dims=embed_dims, depths=depths, drop_path_rate=drop_path_rate)
    head = LightHamHead(
        embed_dims[1:], channels=head_channels, ham_channels=head_channels, n_classes=n_classes, dropout=dropout
    )
    return Segmentor(backbone, head)
