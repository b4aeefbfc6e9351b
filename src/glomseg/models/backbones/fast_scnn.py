"""Fast-SCNN as a backbone: two branches that share their first layers."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import (
    ConvBN,
    ConvBNReLU,
    DepthwiseSeparableConv,
    InvertedResidual,
    init_conv_bn,
    pyramid_pooling,
)

N_BLOCKS = 3  # of each width in the coarse branch
POOL_SCALES = (1, 2, 3, 6)


class FastSCNN(nn.Module):
    """Fast-SCNN: detail at stride 8, its surroundings at stride 32, and both together at stride 8.

    Its three features come in this order; the last is the one to classify, the others are for auxiliary heads.

    Parameters
    ----------
    downsample_dw_channels
        Widths at strides 2 and 4.
    global_in_channels
        Width of the detail.
    global_block_channels, global_block_strides
        Widths and strides of the three groups of blocks of the coarse branch.
    global_out_channels
        Width of the surroundings, a multiple of `fusion_out_channels`.
    fusion_out_channels
        Width of both together.

    References
    ----------
    Poudel et al., Fast-SCNN: Fast Semantic Segmentation Network, BMVC 2019.
    """

    def __init__(
        self,
        *,
        downsample_dw_channels: Sequence[int] = (32, 48),
        global_in_channels: int = 64,
        global_block_channels: Sequence[int] = (64, 96, 128),
        global_block_strides: Sequence[int] = (2, 2, 1),
        global_out_channels: int = 128,
        fusion_out_channels: int = 128,
    ) -> None:
        super().__init__()
        first, second = downsample_dw_channels
        self.learning_to_downsample = nn.Sequential(
            OrderedDict(
                conv=ConvBNReLU(3, first, kernel_size=3, stride=2),
                dsconv1=DepthwiseSeparableConv(first, second, stride=2, relu_between=False),
                dsconv2=DepthwiseSeparableConv(second, global_in_channels, stride=2, relu_between=False),
            )
        )
        self.global_feature_extractor = _Surroundings(
            global_in_channels,
            global_out_channels,
            block_channels=global_block_channels,
            strides=global_block_strides,
        )
        self.feature_fusion = _Fusion(
            fine_channels=global_in_channels, coarse_channels=global_out_channels, channels=fusion_out_channels
        )
        self.out_channels = (global_in_channels, global_out_channels, fusion_out_channels)
        init_conv_bn(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return detail, surroundings and both together from (B, 3, H, W) normalised images."""
        detail = self.learning_to_downsample(images)
        surroundings = self.global_feature_extractor(detail)
        return detail, surroundings, self.feature_fusion(detail, surroundings)


class _Surroundings(nn.Module):
    """Inverted residual blocks and pyramid pooling."""

    def __init__(
        self, in_channels: int, out_channels: int, *, block_channels: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        widths = [in_channels, *block_channels]
        self.bottleneck1, self.bottleneck2, self.bottleneck3 = (
            _inverted_residuals(widths[i], widths[i + 1], stride=strides[i]) for i in range(3)
        )
        width = widths[-1]
        self.ppm = pyramid_pooling(width, width // len(POOL_SCALES), scales=POOL_SCALES)
        self.out = ConvBNReLU(2 * width, out_channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bottleneck3(self.bottleneck2(self.bottleneck1(x)))
        pyramid = [F.interpolate(pool(x), size=x.shape[-2:], mode="bilinear") for pool in self.ppm]
        out: Tensor = self.out(torch.cat([x, *pyramid], dim=1))
        return out


def _inverted_residuals(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    more = (InvertedResidual(out_channels, out_channels, stride=1) for _ in range(N_BLOCKS - 1))
    return nn.Sequential(InvertedResidual(in_channels, out_channels, stride=stride), *more)


class _Fusion(nn.Module):
    """The coarse feature enlarged to the fine one's size, both brought to one width and added."""

    def __init__(self, *, fine_channels: int, coarse_channels: int, channels: int) -> None:
        super().__init__()
        self.dwconv = ConvBNReLU(coarse_channels, channels, kernel_size=3, groups=channels)
        self.conv_lower_res = ConvBN(channels, channels, kernel_size=1)
        self.conv_higher_res = ConvBN(fine_channels, channels, kernel_size=1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        enlarged = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear")
        return F.relu(self.conv_higher_res(fine) + self.conv_lower_res(self.dwconv(enlarged)))
