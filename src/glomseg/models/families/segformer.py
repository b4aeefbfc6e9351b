"""SegFormer: OpenMMLab's ``segformer_mit-b*``."""

from glomseg.models.backbones.mit import MixVisionTransformer
from glomseg.models.families.options import BlockCounts, Dropout, DropPathRate, Width
from glomseg.models.heads.segformer import SegFormerHead
from glomseg.models.segmentor import Segmentor


def segformer(
    *,
    n_classes: int,
    embed_dims: Width = 64,
    depths: BlockCounts = (3, 4, 6, 3),
    head_channels: Width = 256,
    drop_path_rate: DropPathRate = 0.1,
    dropout: Dropout = 0.1,
) -> Segmentor:
    """Return a SegFormer: MiT with a head of 1x1 convolutions.

    Parameters
    ----------
    n_classes
        Channels of the logits.
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
    backbone = MixVisionTransformer(embed_dims=embed_dims, depths=depths, drop_path_rate=drop_path_rate)
    head = SegFormerHead(backbone.out_channels, channels=head_channels, n_classes=n_classes, dropout=dropout)
    return Segmentor(backbone, head)
