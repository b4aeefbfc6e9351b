"""Atrous spatial pyramid pooling: the heads of DeepLabV3 and DeepLabV3+."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, DepthwiseSeparableConv, conv_seg, init_conv_bn


class ASPPHead(nn.Module):
    """DeepLabV3: convolutions of several dilations side by side and the average of all, joined and classified.

    Parameters
    ----------
    in_channels, channels
        Channels of the feature that is used, and of each branch and of the joined feature.
    n_classes
        Channels of the logits.
    in_index
        Which of the backbone's features is used.
    dilations
        Of the branches, in pixels; a branch of dilation 1 is a 1x1 convolution.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv:1706.05587.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int,
        n_classes: int,
        in_index: int = -1,
        dilations: Sequence[int] = (1, 6, 12, 18),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_index = in_index
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.image_pool = _image_pool(in_channels, channels)
        self.aspp_modules = nn.ModuleList(
            ConvBNReLU(in_channels, channels, kernel_size=1 if dilation == 1 else 3, dilation=dilation)
            for dilation in dilations
        )
        self.bottleneck = ConvBNReLU((len(dilations) + 1) * channels, channels, kernel_size=3)
        for part in (self.image_pool, self.aspp_modules, self.bottleneck):
            init_conv_bn(part)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the feature that is used."""
        branches = _branches(features[self.in_index], self.image_pool, self.aspp_modules)
        logits: Tensor = self.conv_seg(self.dropout(self.bottleneck(branches)))
        return logits


class DepthwiseSeparableASPPHead(nn.Module):
    """DeepLabV3+: the pyramid of `ASPPHead` with separable convolutions, then refined with the finest feature.

    Parameters
    ----------
    in_channels, channels, n_classes, in_index, dilations, dropout
        As in `ASPPHead`.
    c1_in_channels, c1_channels
        Channels of the backbone's finest feature, and to how many they are brought.
    align_corners
        Whether the corner pixels of the pyramid's result lie at the corners of the finest feature when it is
        enlarged to that.

    References
    ----------
    Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int,
        n_classes: int,
        c1_in_channels: int,
        c1_channels: int,
        in_index: int = -1,
        dilations: Sequence[int] = (1, 6, 12, 18),
        align_corners: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_index = in_index
        self.align_corners = align_corners
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.image_pool = _image_pool(in_channels, channels)
        self.aspp_modules = nn.ModuleList(
            ConvBNReLU(in_channels, channels, kernel_size=1)
            if dilation == 1
            else DepthwiseSeparableConv(in_channels, channels, dilation=dilation)
            for dilation in dilations
        )
        self.bottleneck = ConvBNReLU((len(dilations) + 1) * channels, channels, kernel_size=3)
        self.c1_bottleneck = ConvBNReLU(c1_in_channels, c1_channels, kernel_size=1)
        self.sep_bottleneck = nn.Sequential(
            DepthwiseSeparableConv(channels + c1_channels, channels), DepthwiseSeparableConv(channels, channels)
        )
        for part in (self.image_pool, self.aspp_modules, self.bottleneck, self.c1_bottleneck, self.sep_bottleneck):
            init_conv_bn(part)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the finest feature."""
        coarse = self.bottleneck(_branches(features[self.in_index], self.image_pool, self.aspp_modules))
        fine = self.c1_bottleneck(features[0])
        coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=self.align_corners)
        joined = self.sep_bottleneck(torch.cat([coarse, fine], dim=1))
        logits: Tensor = self.conv_seg(self.dropout(joined))
        return logits


def _image_pool(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvBNReLU(in_channels, channels, kernel_size=1))


def _branches(x: Tensor, image_pool: nn.Module, branches: Iterable[nn.Module]) -> Tensor:
    """Return the average of the whole (B, I, h, w) feature and its branches, stacked to (B, n * O, h, w)."""
    average: Tensor = image_pool(x)
    return torch.cat([average.expand(-1, -1, *x.shape[-2:]), *(branch(x) for branch in branches)], dim=1)
