"""MobileNetV2, a network for processors that comes with ImageNet's weights."""

from collections.abc import Sequence

from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU6, InvertedResidual, init_conv_bn

STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
"""Expansion, channels at width 1, and blocks of each stage."""

_STEM_CHANNELS = 32
_DIVISOR = 8
_LEAST_SHARE = 0.9


def mobilenet_widths(widen_factor: float, out_indices: Sequence[int]) -> tuple[int, ...]:
    """Return the channels of the features of a `MobileNetV2`."""
    return tuple(_width(STAGES[index][1], widen_factor) for index in out_indices)


class MobileNetV2(nn.Module):
    """MobileNetV2 as MMSegmentation builds it, without the last layer before ImageNet's classifier.

    Parameters
    ----------
    widen_factor
        Of all channels, which are then rounded to multiples of 8.
    strides, dilations
        Of the first block of each of the seven stages, in pixels; the stem has stride 2. As in MMSegmentation the
        other blocks of a stage are not dilated.
    out_indices
        Stages whose features are given, counted from 0: (1, 2, 4, 6) are those of strides 4, 8, 16 and 32.

    References
    ----------
    Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.
    """

    def __init__(
        self,
        *,
        widen_factor: float = 1.0,
        strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1),
        dilations: Sequence[int] = (1, 1, 1, 1, 1, 1, 1),
        out_indices: Sequence[int] = (1, 2, 4, 6),
    ) -> None:
        super().__init__()
        if list(out_indices) != sorted({*out_indices} & {*range(len(STAGES))}) or not out_indices:
            raise ValueError(f"out_indices = {tuple(out_indices)} are not stages from 0 to 6 in order")
        self.out_indices = tuple(out_indices)
        width = _width(_STEM_CHANNELS, widen_factor)
        self.conv1 = ConvBNReLU6(3, width, kernel_size=3, stride=2)
        for number, ((expansion, channels, n_blocks), stride, dilation) in enumerate(
            zip(STAGES, strides, dilations, strict=True), start=1
        ):
            wanted = _width(channels, widen_factor)
            first = InvertedResidual(
                width, wanted, stride=stride, dilation=dilation, expansion=expansion, wide_layer=ConvBNReLU6
            )
            more = (
                InvertedResidual(wanted, wanted, stride=1, expansion=expansion, wide_layer=ConvBNReLU6)
                for _ in range(n_blocks - 1)
            )
            self.add_module(f"layer{number}", nn.Sequential(first, *more))  # under the names of every checkpoint
            width = wanted
        self.out_channels = mobilenet_widths(widen_factor, out_indices)
        init_conv_bn(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features (B, channels, h, w), finest first, of (B, 3, H, W) normalised images."""
        x = self.conv1(images)
        features = []
        for index in range(self.out_indices[-1] + 1):
            x = self.get_submodule(f"layer{index + 1}")(x)
            if index in self.out_indices:
                features.append(x)
        return tuple(features)


def _width(channels: int, widen_factor: float) -> int:
    """Return channels times the factor, rounded to a multiple of 8 that is not below nine tenths of it."""
    wanted = channels * widen_factor
    rounded = max(_DIVISOR, int(wanted + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < _LEAST_SHARE * wanted else rounded
