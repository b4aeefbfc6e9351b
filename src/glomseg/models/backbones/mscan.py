"""MSCAN, the multi-scale convolutional attention network of SegNeXt."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glomseg.errors import InvalidInputError
from glomseg.models.transformer import DropPath, LayerNorm2d, drop_path_rates, init_transformer

_LAYER_SCALE = 0.01
_MIN_CHANNELS = 32
_STRIPS = (7, 11, 21)
"""Lengths of the pairs of strips that stand for large square kernels."""


class SpatialGate(nn.Module):
    """A map multiplied with weights that depthwise convolutions of several sizes compute from it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        for index, length in enumerate(_STRIPS):
            row, column = (1, length), (length, 1)
            for part, (height, width) in enumerate((row, column), start=1):
                padding = (height // 2, width // 2)
                strip = nn.Conv2d(channels, channels, (height, width), padding=padding, groups=channels)
                self.add_module(f"conv{index}_{part}", strip)
        self.conv3 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.conv0(x)
        total = near
        for index in range(len(_STRIPS)):
            row, column = self.get_submodule(f"conv{index}_1"), self.get_submodule(f"conv{index}_2")
            total = total + column(row(near))
        weights: Tensor = self.conv3(total)
        return weights * x


class SpatialAttention(nn.Module):
    """The gate between two 1x1 convolutions, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.activation = nn.GELU()
        self.spatial_gating_unit = SpatialGate(channels)
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x))))
        return out


class ConvFeedForward(nn.Module):
    """Two 1x1 convolutions with a 3x3 depthwise one between them."""

    def __init__(self, channels: int, *, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.dwconv = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.dwconv(self.fc1(x))))
        return out


class MSCABlock(nn.Module):
    """Spatial attention and feed-forward layers, each on a normalised map, scaled, and with a shortcut."""

    def __init__(self, channels: int, *, mlp_ratio: int, drop_path: float) -> None:
        super().__init__()
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), _LAYER_SCALE))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), _LAYER_SCALE))
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = SpatialAttention(channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = ConvFeedForward(channels, hidden_channels=mlp_ratio * channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.layer_scale_1[:, None, None] * self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)))
        return out


class StridedConv(nn.Module):
    """A 3x3 convolution of stride 2 and batch normalisation, between two stages."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.proj(x))
        return out


class MSCAN(nn.Module):
    """Convolutional network at strides 4, 8, 16 and 32 whose attention is made of long, thin kernels.

    Parameters
    ----------
    embed_dims
        Channels of each stage, at least 32.
    depths
        Blocks of each stage.
    mlp_ratios
        How much wider than a stage its feed-forward layers are.
    drop_path_rate
        Of the last block in training; it grows evenly from 0 at the first.

    Raises
    ------
    InvalidInputError
        If a stage is narrower.

    References
    ----------
    Guo et al., SegNeXt: Rethinking Convolutional Attention Design for Semantic Segmentation, NeurIPS 2022.
    """

    def __init__(
        self,
        *,
        embed_dims: Sequence[int] = (32, 64, 160, 256),
        depths: Sequence[int] = (3, 3, 5, 2),
        mlp_ratios: Sequence[int] = (8, 8, 4, 4),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__()
        if min(embed_dims) < _MIN_CHANNELS:
            # oneDNN (torch 2.13, bf16, channels last) never returns from a strip of 21 with 16 channels or fewer.
            raise InvalidInputError(f"stages of MSCAN need {_MIN_CHANNELS} channels or more, not {list(embed_dims)}")
        self.out_channels = tuple(embed_dims)
        rates = drop_path_rates(drop_path_rate, depths)
        for stage, channels in enumerate(embed_dims):
            start = _stem(channels) if stage == 0 else StridedConv(embed_dims[stage - 1], channels)
            blocks = (MSCABlock(channels, mlp_ratio=mlp_ratios[stage], drop_path=rate) for rate in rates[stage])
            # Attributes, not a ModuleList: these names are in every checkpoint.
            self.add_module(f"patch_embed{stage + 1}", start)
            self.add_module(f"block{stage + 1}", nn.Sequential(*blocks))
            self.add_module(f"norm{stage + 1}", LayerNorm2d(channels))
        init_transformer(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features (B, C, h, w) at strides 4, 8, 16 and 32 of images (B, 3, H, W)."""
        x = images
        features = []
        for stage in range(1, len(self.out_channels) + 1):
            for name in ("patch_embed", "block", "norm"):
                x = self.get_submodule(f"{name}{stage}")(x)
            features.append(x)  # normalised, also for the next stage
        return tuple(features)


def _stem(channels: int) -> nn.Module:
    half = channels // 2
    layers = nn.Sequential(
        nn.Conv2d(3, half, 3, stride=2, padding=1),
        nn.BatchNorm2d(half),
        nn.GELU(),
        nn.Conv2d(half, channels, 3, stride=2, padding=1),
        nn.BatchNorm2d(channels),
    )
    return nn.Sequential(OrderedDict(proj=layers))
