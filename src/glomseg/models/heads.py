"""Heads that turn the features of a backbone into class logits.

A head is called with all features of the backbone, finest first, and takes the ones it needs. Its logits
have the resolution of its own features; enlarging them is left to whoever knows the size that is wanted.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, conv_seg, init_conv_bn


class PSPHead(nn.Module):
    """Pyramid pooling: features joined with their averages over coarse grids, then classified.

    Parameters
    ----------
    in_channels
        Channels of the feature that is used.
    channels
        Channels of each pooled branch and of the joined feature.
    n_classes
        Channels of the logits.
    in_index
        Which of the backbone's features is used.
    pool_scales
        Sides of the grids, in cells.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Zhao et al., Pyramid Scene Parsing Network, CVPR 2017.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int,
        n_classes: int,
        in_index: int = -1,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_index = in_index
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), ConvBNReLU(in_channels, channels, kernel_size=1))
            for scale in pool_scales
        )
        self.bottleneck = ConvBNReLU(in_channels + len(pool_scales) * channels, channels, kernel_size=3)
        init_conv_bn(self.psp_modules)
        init_conv_bn(self.bottleneck)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the feature that is used."""
        x = features[self.in_index]
        size = x.shape[-2:]
        pooled = [F.interpolate(pool(x), size=size, mode="bilinear", align_corners=False) for pool in self.psp_modules]
        x = self.bottleneck(torch.cat([x, *pooled], dim=1))
        logits: Tensor = self.conv_seg(self.dropout(x))
        return logits


class FCNHead(nn.Module):
    """One 3x3 convolution and a classifier; PSPNet's auxiliary head during training.

    Parameters
    ----------
    in_channels, channels
        Channels of the feature that is used and of the convolution.
    n_classes
        Channels of the logits.
    in_index
        Which of the backbone's features is used.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015.
    """

    def __init__(
        self, in_channels: int, *, channels: int, n_classes: int, in_index: int = -1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.in_index = in_index
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.convs = nn.Sequential(ConvBNReLU(in_channels, channels, kernel_size=3))
        init_conv_bn(self.convs)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the feature that is used."""
        logits: Tensor = self.conv_seg(self.dropout(self.convs(features[self.in_index])))
        return logits
