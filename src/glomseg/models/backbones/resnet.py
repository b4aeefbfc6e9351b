"""ResNet backbones in their "v1c" form, as OpenMMLab builds them."""

from collections.abc import Sequence

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


class ResNetV1c(nn.Module):
    """ResNet whose first 7x7 convolution is replaced by three 3x3 ones (the "deep stem").

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
    contract_dilation
        Whether the first block of a dilated stage uses half its dilation, as OpenMMLab's
        segmentation models do against gridding.
    zero_init_residual
        Whether every block starts as the identity: the weight of its last normalisation is 0.

    References
    ----------
    He et al., Deep Residual Learning for Image Recognition, CVPR 2016; the deep stem: He et al., Bag of
    Tricks for Image Classification with Convolutional Neural Networks, CVPR 2019.
    """

    def __init__(
        self,
        depth: int,
        *,
        base_channels: int = 64,
        stem_channels: int = 64,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        contract_dilation: bool = True,
        zero_init_residual: bool = True,
    ) -> None:
        super().__init__()
        block, n_blocks = DEPTHS[depth]
        self.stem = _deep_stem(stem_channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        in_channels = stem_channels
        stages = []
        for i in range(4):
            channels = base_channels * 2**i
            first_dilation = dilations[i] // 2 if contract_dilation and dilations[i] > 1 else dilations[i]
            stage_dilations = [first_dilation] + [dilations[i]] * (n_blocks[i] - 1)
            stages.append(_stage(block, in_channels, channels, stride=strides[i], dilations=stage_dilations))
            in_channels = channels * block.expansion
        # Attributes, not a ModuleList: the names layer1 to layer4 are in every checkpoint.
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.out_channels = tuple(base_channels * 2**i * block.expansion for i in range(4))
        init_conv_bn(self)
        if zero_init_residual:
            for part in self.modules():
                if isinstance(part, Block):
                    nn.init.zeros_(part.last_norm.weight)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of the four stages, finest first, from (B, 3, H, W) normalised images."""
        x = self.maxpool(self.stem(images))
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
    block: type[Block], in_channels: int, channels: int, *, stride: int, dilations: Sequence[int]
) -> nn.Sequential:
    out_channels = channels * block.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
        )
    blocks: list[nn.Module] = [
        block(in_channels, channels, stride=stride, dilation=dilations[0], downsample=downsample)
    ]
    blocks += [
        block(out_channels, channels, stride=1, dilation=dilation, downsample=None) for dilation in dilations[1:]
    ]
    return nn.Sequential(*blocks)
