"""SegFormer's head."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, conv_seg, init_conv_bn


class SegFormerHead(nn.Module):
    """Features of all strides brought to one width and to the finest resolution, joined, and classified.

    Parameters
    ----------
    in_channels
        Channels of each feature, finest first.
    channels
        The common width.
    n_classes
        Channels of the logits.
    align_corners
        How features are enlarged: whether the centres of their corner pixels lie on those of the larger ones.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Xie et al., SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers, NeurIPS 2021.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int,
        n_classes: int,
        align_corners: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.convs = nn.ModuleList(ConvBNReLU(width, channels, kernel_size=1) for width in in_channels)
        self.fusion_conv = ConvBNReLU(len(in_channels) * channels, channels, kernel_size=1)
        init_conv_bn(self.convs)
        init_conv_bn(self.fusion_conv)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the first feature."""
        # A 1x1 convolution of the joined features is a sum of one for each; before the enlarging, with
        # which it commutes, the coarse ones cost next to nothing.
        fusion = self.fusion_conv
        height, width = features[0].shape[-2:]
        weights = fusion.conv.weight.chunk(len(features), dim=1)
        total: Tensor | None = None
        for conv, weight, feature in zip(self.convs, weights, features, strict=True):
            part = F.conv2d(conv(feature), weight)
            if total is None:
                total = part if fusion.conv.bias is None else part + fusion.conv.bias.view(1, -1, 1, 1)
            else:
                total = total + F.interpolate(
                    part, size=(height, width), mode="bilinear", align_corners=self.align_corners
                )
        logits: Tensor = self.conv_seg(self.dropout(F.relu(fusion.bn(total))))
        return logits
