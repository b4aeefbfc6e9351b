"""A feature pyramid, summed."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, conv_seg, init_conv_bn


class FPNHead(nn.Module):
    """Features of all strides, brought to one width and summed from coarse to fine, then classified.

    The logits are at the finest feature's resolution.

    Parameters
    ----------
    in_channels
        Channels of each feature, finest first.
    channels
        The common width.
    n_classes
        Channels of the logits.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017.
    """

    def __init__(self, *, in_channels: Sequence[int], channels: int, n_classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.fuse = ConvBNReLU(channels, channels, kernel_size=3)
        self.dropout = nn.Dropout2d(dropout)
        init_conv_bn(self)
        self.conv_seg = conv_seg(channels, n_classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the (B, n_classes, h, w) logits at the size of the first feature."""
        joined: Tensor | None = None
        for lateral, feature in zip(reversed(self.lateral), reversed(features), strict=True):
            own = lateral(feature)
            if joined is not None:
                own = own + F.interpolate(joined, size=own.shape[-2:], mode="bilinear", align_corners=False)
            joined = own
        logits: Tensor = self.conv_seg(self.dropout(self.fuse(joined)))
        return logits
