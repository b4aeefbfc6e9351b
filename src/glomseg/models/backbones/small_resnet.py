"""A small residual backbone for processors, whose work begins at stride 4.

At the working scale a glomerulus is some 90 pixels across; strides 1 and 2, where a U-Net spends most of
its time, add nothing that finding and outlining it needs.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.backbones.resnet import BasicBlock
from glomseg.models.blocks import ConvBNReLU, init_conv_bn, pad_to_multiple

STEM_STRIDE = 4


class SmallResNet(nn.Module):
    """Residual blocks at strides 4, 8, 16 and 32 behind a stem that folds 4 x 4 pixels into channels.

    Parameters
    ----------
    channels
        Of the features at each stride.
    n_blocks
        Residual blocks at each stride.
    """

    def __init__(self, *, channels: Sequence[int], n_blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = ConvBNReLU(3 * STEM_STRIDE**2, channels[0], kernel_size=3)
        self.out_channels = tuple(channels)
        self.stages = nn.ModuleList()
        width = channels[0]
        for index, (wanted, count) in enumerate(zip(channels, n_blocks, strict=True)):
            stride = 1 if index == 0 else 2
            blocks = [
                _block(width, wanted, stride=stride),
                *(_block(wanted, wanted, stride=1) for _ in range(count - 1)),
            ]
            self.stages.append(nn.Sequential(*blocks))
            width = wanted
        init_conv_bn(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features (B, channels, h, w) at strides 4, 8, 16 and 32 of images (B, 3, H, W)."""
        images = pad_to_multiple(images, STEM_STRIDE)  # 0 is the mean colour
        x = self.stem(F.pixel_unshuffle(images, STEM_STRIDE))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


def _block(in_channels: int, channels: int, *, stride: int) -> BasicBlock:
    downsample = None
    if stride != 1 or in_channels != channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
        )
    return BasicBlock(in_channels, channels, stride=stride, dilation=1, downsample=downsample)
