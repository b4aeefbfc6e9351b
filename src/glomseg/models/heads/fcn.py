"""Convolutions and a classifier."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, DepthwiseSeparableConv, conv_seg, init_conv_bn


class FCNHead(nn.Module):
    """Convolutions of one width and a classifier.

    Parameters
    ----------
    in_channels, channels
        Channels of the feature that is used and of the convolutions.
    n_classes
        Channels of the logits.
    in_index
        Which of the backbone's features is used.
    num_convs
        Number of convolutions; with none, `channels` is `in_channels`.
    kernel_size, dilation
        Of the convolutions, in pixels.
    concat_input
        Whether one more convolution joins the result with the feature itself.
    separable
        Whether every convolution is depthwise separable: OpenMMLab's ``DepthwiseSeparableFCNHead``, the head of
        Fast-SCNN.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015. Poudel et al., Fast-SCNN:
    Fast Semantic Segmentation Network, BMVC 2019.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int,
        n_classes: int,
        in_index: int = -1,
        num_convs: int = 2,
        kernel_size: int = 3,
        dilation: int = 1,
        concat_input: bool = True,
        separable: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        convolution = partial(DepthwiseSeparableConv, relu_between=False) if separable else ConvBNReLU
        widths = [in_channels, *[channels] * num_convs]
        self.in_index = in_index
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.convs = nn.Sequential(
            *(convolution(width, channels, kernel_size=kernel_size, dilation=dilation) for width in widths[:num_convs])
        )
        init_conv_bn(self.convs)
        self.conv_cat: nn.Module | None = None
        if concat_input:
            self.conv_cat = convolution(in_channels + channels, channels, kernel_size=kernel_size)
            init_conv_bn(self.conv_cat)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the feature that is used."""
        x = features[self.in_index]
        out = self.convs(x)
        if self.conv_cat is not None:
            out = self.conv_cat(torch.cat([x, out], dim=1))
        logits: Tensor = self.conv_seg(self.dropout(out))
        return logits
