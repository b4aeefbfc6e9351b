"""ConvNeXt, with the names that MMPretrain's has in MMSegmentation's checkpoints."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glomseg.models.blocks import pad_to_least
from glomseg.models.transformer import DropPath, LayerNorm2d, drop_path_rates

_EPS = 1e-6
_STEM_STRIDE = 4
_MIN_SIDE = 32  # of an image, for one pixel at the last stride
_MLP_RATIO = 4


class ConvNeXtBlock(nn.Module):
    """A 7x7 depthwise convolution and two linear layers for each pixel, with a shortcut.

    Parameters
    ----------
    channels
        Of the map.
    drop_path
        Rate of stochastic depth.
    layer_scale
        What the branch is multiplied with at the beginning; learnt for each channel.
    """

    def __init__(self, channels: int, *, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale))
        self.depthwise_conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPS)
        self.pointwise_conv1 = nn.Linear(channels, _MLP_RATIO * channels)
        self.act = nn.GELU()
        self.pointwise_conv2 = nn.Linear(_MLP_RATIO * channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm(self.depthwise_conv(x).permute(0, 2, 3, 1))
        branch = self.gamma * self.pointwise_conv2(self.act(self.pointwise_conv1(branch)))
        out: Tensor = x + self.drop_path(branch.permute(0, 3, 1, 2))
        return out


class ConvNeXt(nn.Module):
    """Convolutional network at strides 4, 8, 16 and 32 made like a transformer.

    Parameters
    ----------
    channels
        Of each stage.
    depths
        Blocks of each stage.
    drop_path_rate
        Of the last block in training; it grows evenly from 0 at the first.
    layer_scale_init_value
        What the branch of a block is multiplied with at the beginning.

    References
    ----------
    Liu et al., A ConvNet for the 2020s, CVPR 2022.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (3, 3, 9, 3),
        drop_path_rate: float = 0.4,
        layer_scale_init_value: float = 1.0,
    ) -> None:
        super().__init__()
        self.out_channels = tuple(channels)
        rates = drop_path_rates(drop_path_rate, depths)
        self.downsample_layers = nn.ModuleList()
        self.stages = nn.ModuleList()
        for stage, width in enumerate(channels):
            if stage == 0:
                stem = nn.Conv2d(3, width, _STEM_STRIDE, stride=_STEM_STRIDE)
                self.downsample_layers.append(nn.Sequential(stem, LayerNorm2d(width, eps=_EPS)))
            else:
                before = channels[stage - 1]
                halving = nn.Conv2d(before, width, 2, stride=2)
                self.downsample_layers.append(nn.Sequential(LayerNorm2d(before, eps=_EPS), halving))
            self.stages.append(
                nn.Sequential(
                    *(ConvNeXtBlock(width, drop_path=rate, layer_scale=layer_scale_init_value) for rate in rates[stage])
                )
            )
        self.norm0, self.norm1, self.norm2, self.norm3 = (LayerNorm2d(width, eps=_EPS) for width in channels)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                assert part.bias is not None
                nn.init.zeros_(part.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features (B, C, h, w) at strides 4, 8, 16 and 32 of images (B, 3, H, W).

        Pixels on the right and at the bottom that fill no patch are left out, as in the original; images below 32
        pixels are padded with zeros.
        """
        x = pad_to_least(images, _MIN_SIDE)
        features = []
        norms = (self.norm0, self.norm1, self.norm2, self.norm3)
        for downsample, stage, norm in zip(self.downsample_layers, self.stages, norms, strict=True):
            x = stage(downsample(x))
            features.append(norm(x))
        return tuple(features)
