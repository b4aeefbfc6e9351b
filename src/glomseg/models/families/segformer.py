"""SegFormer: OpenMMLab's ``segformer_mit-b*``."""

from glomseg.models.compose import Description
from glomseg.models.families.options import BlockCounts, Dropout, DropPathRate, Width

_N_HEADS = (1, 2, 5, 8)


def segformer(
    *,
    embed_dims: Width = 64,
    depths: BlockCounts = (3, 4, 6, 3),
    head_channels: Width = 256,
    drop_path_rate: DropPathRate = 0.1,
    dropout: Dropout = 0.1,
) -> Description:
    """Return a SegFormer: MiT with a head of 1x1 convolutions.

    Parameters
    ----------
    embed_dims
        Channels of an attention head; the stages have 1, 2, 5 and 8 heads.
    depths
        Blocks of each stage.
    head_channels
        Width of the head.
    drop_path_rate
        Of stochastic depth at the last block.
    dropout
        Probability that a channel is dropped before the classifier in training.
    """
    return {
        "backbone": {
            "name": "mit",
            "embed_dims": embed_dims,
            "depths": depths,
            "num_heads": _N_HEADS,
            "drop_path_rate": drop_path_rate,
        },
        "decode_head": {
            "name": "segformer",
            "in_channels": tuple(embed_dims * n_heads for n_heads in _N_HEADS),
            "channels": head_channels,
            "dropout": dropout,
        },
    }
