"""ResNet backbones in the forms that OpenMMLab builds."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import init_conv_bn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut: the block of ResNet-18 and -34."""

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, dilation: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        # Only the first convolution is dilated; OpenMMLab leaves the second alone, and its weights expect that.
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation before the shortcut is added."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)).add_(shortcut))
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with a shortcut: the block of ResNet-50 and -101.

    The stride is on the 3x3 convolution (OpenMMLab's style "pytorch").
    """

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, dilation: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation before the shortcut is added."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)).add_(shortcut))
        return out


Block = BasicBlock | Bottleneck

DEPTHS: dict[int, tuple[type[Block], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}
"""Block and number of blocks of each stage, by depth."""


def stage_widths(depth: int, base_channels: int) -> tuple[int, ...]:
    """Return the channels of the four features of a `ResNet`."""
    expansion = DEPTHS[depth][0].expansion
    return tuple(base_channels * 2**stage * expansion for stage in range(4))


class ResNet(nn.Module):
    """ResNet in the forms that OpenMMLab calls ResNet, ResNetV1c (`deep_stem`) and ResNetV1d (`avg_down` as well).

    Parameters
    ----------
    depth
        18, 34, 50 or 101.
    base_channels
        Width of the first stage; each further stage doubles it.
    stem_channels
        Channels that the stem gives out.
    strides, dilations
        Of the four stages, in pixels. (1, 2, 1, 1) with (1, 1, 2, 4) makes the output stride 8 and
        keeps the field of view of stride 32.
    deep_stem
        Whether three 3x3 convolutions take the place of the first 7x7 one.
    avg_down
        Whether the shortcut of a block with a stride averages pixels instead of leaving some out.
    contract_dilation
        Whether the first block of a dilated stage uses half its dilation, as OpenMMLab's
        segmentation models do against gridding.
    multi_grid
        Dilation of each block of the last stage, in place of the stage's own.
    zero_init_residual
        Whether every block starts as the identity: the weight of its last normalisation is 0.

    References
    ----------
    He et al., Deep Residual Learning for Image Recognition, CVPR 2016; deep stem and averaging shortcut: He
    et al., Bag of Tricks for Image Classification with Convolutional Neural Networks, CVPR 2019; multi-grid:
    Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv:1706.05587.
    """

    def __init__(
        self,
        depth: int,
        *,
        base_channels: int = 64,
        stem_channels: int = 64,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        deep_stem: bool = False,
        avg_down: bool = False,
        contract_dilation: bool = False,
        multi_grid: Sequence[int] | None = None,
        zero_init_residual: bool = True,
    ) -> None:
        super().__init__()
        block, n_blocks = DEPTHS[depth]
        self.deep_stem = deep_stem
        if deep_stem:
            self.stem = _deep_stem(stem_channels)
        else:
            self.conv1 = nn.Conv2d(3, stem_channels, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(stem_channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        in_channels = stem_channels
        stages = []
        for i in range(4):
            channels = base_channels * 2**i
            if i == 3 and multi_grid is not None:
                block_dilations = list(multi_grid)
            else:
                first_dilation = max(dilations[i] // 2, 1) if contract_dilation else dilations[i]
                block_dilations = [first_dilation] + [dilations[i]] * (n_blocks[i] - 1)
            stages.append(
                _stage(block, in_channels, channels, stride=strides[i], dilations=block_dilations, avg_down=avg_down)
            )
            in_channels = channels * block.expansion
        # Attributes, not a ModuleList: the names layer1 to layer4 are in every checkpoint.
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.out_channels = stage_widths(depth, base_channels)
        init_conv_bn(self)
        if zero_init_residual:
            for part in self.modules():
                if isinstance(part, Block):
                    nn.init.zeros_(part.last_norm.weight)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of the four stages, finest first, from (B, 3, H, W) normalised images."""
        x = self.stem(images) if self.deep_stem else F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = self.maxpool(x)
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return tuple(features)


def _deep_stem(channels: int) -> nn.Sequential:
    half = channels // 2
    return nn.Sequential(
        nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, half, 3, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def _stage(
    block: type[Block], in_channels: int, channels: int, *, stride: int, dilations: Sequence[int], avg_down: bool
) -> nn.Sequential:
    out_channels = channels * block.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = _shortcut(in_channels, out_channels, stride=stride, avg_down=avg_down)
    blocks: list[nn.Module] = [
        block(in_channels, channels, stride=stride, dilation=dilations[0], downsample=downsample)
    ]
    blocks += [
        block(out_channels, channels, stride=1, dilation=dilation, downsample=None) for dilation in dilations[1:]
    ]
    return nn.Sequential(*blocks)


def _shortcut(in_channels: int, out_channels: int, *, stride: int, avg_down: bool) -> nn.Sequential:
    norm = nn.BatchNorm2d(out_channels)
    if not avg_down:
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), norm)
    # At stride 1 there is nothing to average, but the convolution is number 1 of the shortcut all the same.
    average = nn.Identity() if stride == 1 else nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(average, nn.Conv2d(in_channels, out_channels, 1, bias=False), norm)
