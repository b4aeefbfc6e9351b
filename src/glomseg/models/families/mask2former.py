"""Mask2Former on a ResNet."""

from typing import Annotated

from pydantic import Field

from glomseg.models.backbones.resnet import ResNet
from glomseg.models.families.options import Depth, StemWidth, Width
from glomseg.models.heads.mask2former.head import Mask2FormerHead
from glomseg.models.segmentor import Segmentor

QueryWidth = Annotated[int, Field(ge=32, le=1024, multiple_of=32)]
Queries = Annotated[int, Field(ge=1, le=1000)]
Layers = Annotated[int, Field(ge=1, le=24)]
SizeDivisor = Annotated[int, Field(ge=1, le=256)]


def mask2former_resnet(
    *,
    n_classes: int,
    depth: Depth,
    base_channels: Width = 64,
    stem_channels: StemWidth = 64,
    feat_channels: QueryWidth = 256,
    num_queries: Queries = 100,
    encoder_layers: Layers = 6,
    decoder_layers: Layers = 9,
    size_divisor: SizeDivisor = 32,
) -> Segmentor:
    """Return a Mask2Former on a ResNet with the plain stem: OpenMMLab's ``mask2former_r*``.

    Parameters
    ----------
    n_classes
        Channels of the scores.
    depth
        Layers of the ResNet.
    base_channels, stem_channels
        Widths of its first stage and stem.
    feat_channels
        Width of queries and of the maps they look at; the feed-forward networks are 4 and 8 times as wide.
    num_queries
        Masks that can be found in an image; at least as many as there are classes.
    encoder_layers, decoder_layers
        Layers of the pixel decoder and of the transformer decoder.
    size_divisor
        Images are padded to multiples of it for prediction.
    """
    backbone = ResNet(depth, base_channels=base_channels, stem_channels=stem_channels)
    head = Mask2FormerHead(
        backbone.out_channels,
        n_classes=n_classes,
        feat_channels=feat_channels,
        out_channels=feat_channels,
        num_queries=num_queries,
        encoder_layers=encoder_layers,
        encoder_feedforward=4 * feat_channels,
        decoder_layers=decoder_layers,
        decoder_feedforward=8 * feat_channels,
    )
    return Segmentor(backbone, head, size_divisor=size_divisor)
