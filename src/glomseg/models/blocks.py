"""The pieces that networks are made of."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBN(nn.Module):
    """Convolution and batch normalisation, with OpenMMLab's entry names ``conv`` and ``bn``.

    Parameters
    ----------
    in_channels, out_channels
        Number of channels.
    kernel_size
        Side of the kernel in pixels, odd; the padding keeps the size at stride 1.
    stride, dilation
        Of the convolution, in pixels.
    groups
        Into how many sets the channels are divided; each set of outputs sees only its own inputs.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.conv(x))
        return out


class ConvBNReLU(ConvBN):
    """Convolution, batch normalisation, ReLU; parameters and entries are those of `ConvBN`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x), inplace=True)


class ConvBNReLU6(ConvBN):
    """Convolution, batch normalisation, ReLU capped at 6; parameters and entries are those of `ConvBN`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(super().forward(x), inplace=True)


class InvertedResidual(nn.Module):
    """Channels widened, convolved one by one, and narrowed again, with a shortcut where the shape allows it.

    Parameters
    ----------
    in_channels, out_channels
        Number of channels.
    stride, dilation
        Of the convolution of single channels, in pixels.
    expansion
        How many times wider it is than the input; at 1 nothing is widened first.
    wide_layer
        The kind of the first two convolutions, with their activation; the last has none.

    References
    ----------
    Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        dilation: int = 1,
        expansion: int = 6,
        wide_layer: type[ConvBN] = ConvBNReLU,
    ) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.has_shortcut = stride == 1 and in_channels == out_channels
        widening = [] if expansion == 1 else [wide_layer(in_channels, wide, kernel_size=1)]
        self.conv = nn.Sequential(
            *widening,
            wide_layer(wide, wide, kernel_size=3, stride=stride, dilation=dilation, groups=wide),
            ConvBN(wide, out_channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.has_shortcut else out


class DepthwiseSeparableConv(nn.Module):
    """A convolution of each channel by itself, then one that mixes the channels of each pixel.

    Parameters
    ----------
    in_channels, out_channels
        Number of channels.
    kernel_size, stride, dilation
        Of the first convolution, in pixels.
    relu_between
        Whether a ReLU follows the first convolution too.

    References
    ----------
    Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        dilation: int = 1,
        relu_between: bool = True,
    ) -> None:
        super().__init__()
        depthwise = ConvBNReLU if relu_between else ConvBN
        self.depthwise_conv = depthwise(
            in_channels,
            in_channels,
            kernel_size=kernel_size,
            stride=stride,
            dilation=dilation,
            groups=in_channels,
        )
        self.pointwise_conv = ConvBNReLU(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return out


def pyramid_pooling(in_channels: int, channels: int, *, scales: Sequence[int]) -> nn.ModuleList:
    """Return one branch a scale: averages over a grid of scale x scale cells, brought to `channels`."""
    return nn.ModuleList(
        nn.Sequential(nn.AdaptiveAvgPool2d(scale), ConvBNReLU(in_channels, channels, kernel_size=1)) for scale in scales
    )


def pad_to_multiple(x: Tensor, side: int) -> Tensor:
    """Return a map (B, C, H, W) with zeros below and on the right until `side` divides height and width."""
    return _pad(x, below=-x.shape[-2] % side, right=-x.shape[-1] % side)


def pad_to_least(x: Tensor, side: int) -> Tensor:
    """Return a map (B, C, H, W) with zeros below and on the right until both sides are `side` or more."""
    return _pad(x, below=max(side - x.shape[-2], 0), right=max(side - x.shape[-1], 0))


def _pad(x: Tensor, *, below: int, right: int) -> Tensor:
    # An exported graph has no branches: the one that the traced size takes would be taken at every size.
    if torch.compiler.is_exporting() or below or right:
        return F.pad(x, (0, right, 0, below))
    return x


def init_conv_bn(module: nn.Module) -> None:
    """Initialise every convolution and batch normalisation inside `module` as OpenMMLab does.

    Convolutions: normal with variance 2 / fan-out [1]_ and bias 0. Batch normalisations: weight 1, bias 0.

    References
    ----------
    .. [1] He et al., Delving Deep into Rectifiers, ICCV 2015, section 2.2.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def conv_seg(in_channels: int, n_classes: int) -> nn.Conv2d:
    """Return a 1x1 convolution to class logits, initialised normal with standard deviation 0.01.

    Small logits make the first loss that of an even guess, whatever the features are.
    """
    conv = nn.Conv2d(in_channels, n_classes, 1)
    nn.init.normal_(conv.weight, std=0.01)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
