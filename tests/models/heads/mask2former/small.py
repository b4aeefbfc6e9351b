"""A small Mask2FormerHead whose figures were taken from the real one too, and features for it."""

import math

import torch
from torch import Tensor

from glomseg.models.heads.mask2former.head import Mask2FormerHead

from ...goldens import fill, hashed_uniform

IN_CHANNELS = (8, 12, 16, 20)
SIZES = ((24, 20), (12, 10), (6, 5), (3, 3))
OPTIONS = {
    "feat_channels": 32,
    "out_channels": 32,
    "num_queries": 5,
    "num_heads": 4,
    "num_points": 2,
    "encoder_layers": 2,
    "encoder_feedforward": 48,
    "decoder_layers": 4,
    "decoder_feedforward": 64,
}


def small_head(*, n_classes: int = 3) -> Mask2FormerHead:
    return Mask2FormerHead(IN_CHANNELS, n_classes=n_classes, **OPTIONS)


def filled_head() -> Mask2FormerHead:
    """The head in float64 under the rule of golden figures."""
    head = small_head().double()
    fill(head)
    return head


def hashed_features() -> list[Tensor]:
    """Features of two images of 96 x 80 pixels, float64."""
    shapes = [(2, channels, *size) for channels, size in zip(IN_CHANNELS, SIZES, strict=True)]
    return [
        torch.from_numpy(hashed_uniform(math.prod(shape), 9000 + index) * 4).view(shape)
        for index, shape in enumerate(shapes)
    ]
