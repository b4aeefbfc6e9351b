"""SegNeXt: OpenMMLab's ``segnext_mscan-*``."""

from typing import Annotated

from pydantic import Field

from glomseg.models.compose import Description
from glomseg.models.families.options import BlockCounts, Dropout, DropPathRate, Widths


def segnext(
    *,
    embed_dims: Widths = (64, 128, 320, 512),
    depths: BlockCounts = (3, 3, 12, 3),
    head_channels: Annotated[int, Field(ge=32, le=4096, multiple_of=32)] = 256,
    drop_path_rate: DropPathRate = 0.1,
    dropout: Dropout = 0.1,
) -> Description:
    """Return a SegNeXt: MSCAN with a head that factorises the features.

    Parameters
    ----------
    embed_dims, depths
        Width and blocks of each stage of the backbone.
    head_channels
        Width of the head.
    drop_path_rate
        Of stochastic depth at the last block.
    dropout
        Probability that a channel is dropped before the classifier in training.
    """
    return {
        "backbone": {"name": "mscan", "embed_dims": embed_dims, "depths": depths, "drop_path_rate": drop_path_rate},
        "decode_head": {
            "name": "ham",
            "in_channels": embed_dims[1:],
            "channels": head_channels,
            "ham_channels": head_channels,
            "dropout": dropout,
        },
    }
