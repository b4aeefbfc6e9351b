"""The network for processors: a small residual backbone whose work begins at stride 4, and a pyramid head.

At the working scale a glomerulus is some 90 pixels across; strides 1 and 2, where a U-Net spends most of
its time, add nothing that finding and outlining it needs.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, conv_seg, init_conv_bn
from glomseg.models.resnet import BasicBlock
from glomseg.models.segmentor import Segmentor

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
        bottom, right = -images.shape[-2] % STEM_STRIDE, -images.shape[-1] % STEM_STRIDE
        if bottom or right:  # 0 is the mean colour
            images = F.pad(images, (0, right, 0, bottom))
        x = self.stem(F.pixel_unshuffle(images, STEM_STRIDE))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


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


def fpn_resnet_small(
    *,
    n_classes: int,
    channels: tuple[int, int, int, int] = (48, 96, 160, 224),
    n_blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
    head_channels: int = 64,
) -> Segmentor:
    """Return the small network for processors: 3.0 million parameters at the default widths."""
    return Segmentor(
        SmallResNet(channels=channels, n_blocks=n_blocks),
        FPNHead(in_channels=channels, channels=head_channels, n_classes=n_classes),
    )


def _block(in_channels: int, channels: int, *, stride: int) -> BasicBlock:
    downsample = None
    if stride != 1 or in_channels != channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
        )
    return BasicBlock(in_channels, channels, stride=stride, dilation=1, downsample=downsample)
