"""UPerNet's head: pyramid pooling on top of a feature pyramid."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, conv_seg, init_conv_bn, pyramid_pooling


class UPerHead(nn.Module):
    """Features of all strides, summed from coarse to fine, joined at the finest resolution and classified.

    Parameters
    ----------
    in_channels
        Channels of each feature, finest first.
    channels
        The common width.
    n_classes
        Channels of the logits.
    pool_scales
        Sides of the grids, in cells, over which the coarsest feature is averaged.
    align_corners
        How features are enlarged: whether the centres of their corner pixels lie on those of the larger ones.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Xiao et al., Unified Perceptual Parsing for Scene Understanding, ECCV 2018.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int,
        n_classes: int,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        align_corners: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        *finer, coarsest = in_channels
        self.align_corners = align_corners
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.psp_modules = pyramid_pooling(coarsest, channels, scales=pool_scales)
        self.bottleneck = ConvBNReLU(coarsest + len(pool_scales) * channels, channels, kernel_size=3)
        self.lateral_convs = nn.ModuleList(ConvBNReLU(width, channels, kernel_size=1) for width in finer)
        self.fpn_convs = nn.ModuleList(ConvBNReLU(channels, channels, kernel_size=3) for _ in finer)
        self.fpn_bottleneck = ConvBNReLU(len(in_channels) * channels, channels, kernel_size=3)
        for part in (self.psp_modules, self.bottleneck, self.lateral_convs, self.fpn_convs, self.fpn_bottleneck):
            init_conv_bn(part)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the first feature."""
        *finer, coarsest = features
        pooled = [self._resize(pool(coarsest), like=coarsest) for pool in self.psp_modules]
        top = self.bottleneck(torch.cat([coarsest, *pooled], dim=1))
        pyramid = [top]
        for lateral, conv, feature in reversed(list(zip(self.lateral_convs, self.fpn_convs, finer, strict=True))):
            own = lateral(feature)
            top = own + self._resize(top, like=own)
            pyramid.insert(0, conv(top))
        joined = torch.cat([self._resize(level, like=pyramid[0]) for level in pyramid], dim=1)
        logits: Tensor = self.conv_seg(self.dropout(self.fpn_bottleneck(joined)))
        return logits

    def _resize(self, x: Tensor, *, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=self.align_corners)
