"""From the features of a backbone to maps that queries can look at."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.heads.mask2former.attention import FeedForward, init_xavier_normal
from glomseg.models.heads.mask2former.deformable import MultiScaleDeformableAttention
from glomseg.models.heads.mask2former.positions import cell_centers, sine_positions

N_GROUPS = 32
"""Groups of channels that are normalised together."""


class ConvGN(nn.Module):
    """Convolution, group normalisation and, if wanted, ReLU, with OpenMMLab's entry names ``conv`` and ``gn``."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int, bias: bool = False, activate: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        self.gn = nn.GroupNorm(N_GROUPS, out_channels)
        self.activate = nn.ReLU(inplace=True) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        gn = self.gn
        # Called as a module it refuses a map of a single cell, which a tile of up to 32 pixels has.
        normalised = torch.group_norm(self.conv(x), gn.num_groups, gn.weight, gn.bias, gn.eps)
        out: Tensor = self.activate(normalised)
        return out


class EncoderLayer(nn.Module):
    """Deformable attention among the cells of all maps, and a feed-forward network, each then normalised."""

    def __init__(
        self, embed_dims: int, *, num_heads: int, num_levels: int, num_points: int, feedforward_channels: int
    ) -> None:
        super().__init__()
        self.self_attn = MultiScaleDeformableAttention(
            embed_dims, num_heads=num_heads, num_levels=num_levels, num_points=num_points
        )
        self.ffn = FeedForward(embed_dims, feedforward_channels=feedforward_channels)
        self.norms = nn.ModuleList(nn.LayerNorm(embed_dims) for _ in range(2))

    def forward(self, x: Tensor, *, positions: Tensor, centers: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        x = self.norms[0](x + self.self_attn(x, positions=positions, centers=centers, sizes=sizes))
        out: Tensor = self.norms[1](self.ffn(x))
        return out


class Encoder(nn.Module):
    """Encoder layers, one after the other."""

    def __init__(self, layers: Sequence[EncoderLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, *, positions: Tensor, centers: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        for layer in self.layers:
            x = layer(x, positions=positions, centers=centers, sizes=sizes)
        return x


class PixelDecoder(nn.Module):
    """Deformable attention over all features but the finest, which joins afterwards as in a feature pyramid.

    Parameters
    ----------
    in_channels
        Channels of each feature, finest first.
    feat_channels
        Channels of the coarse maps, a multiple of 32.
    out_channels
        Channels of the finest map.
    num_heads, num_points
        Heads of the attention, and places that each looks at on each map.
    num_layers
        Encoder layers.
    feedforward_channels
        Inner width of the feed-forward networks.

    References
    ----------
    Cheng et al., Masked-attention Mask Transformer for Universal Image Segmentation, CVPR 2022, section 4.1.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        feat_channels: int,
        out_channels: int,
        num_heads: int,
        num_points: int,
        num_layers: int,
        feedforward_channels: int,
    ) -> None:
        super().__init__()
        finest, *coarse = in_channels
        self.input_convs = nn.ModuleList(
            ConvGN(channels, feat_channels, kernel_size=1, bias=True) for channels in reversed(coarse)
        )
        self.encoder = Encoder(
            [
                EncoderLayer(
                    feat_channels,
                    num_heads=num_heads,
                    num_levels=len(coarse),
                    num_points=num_points,
                    feedforward_channels=feedforward_channels,
                )
                for _ in range(num_layers)
            ]
        )
        self.level_encoding = nn.Embedding(len(coarse), feat_channels)
        # Lists of one, for the sake of the entry names.
        self.lateral_convs = nn.ModuleList([ConvGN(finest, feat_channels, kernel_size=1)])
        self.output_convs = nn.ModuleList([ConvGN(feat_channels, feat_channels, kernel_size=3, activate=True)])
        self.mask_feature = nn.Conv2d(feat_channels, out_channels, 1)
        self._init_weights()

    def _init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for block in self.input_convs:
            nn.init.xavier_uniform_(block.get_submodule("conv").get_parameter("weight"))
        init_xavier_normal(self.encoder)
        for layer in self.encoder.layers:
            assert isinstance(layer, EncoderLayer)
            layer.self_attn.init_weights()

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the finest map (B, out_channels, h, w) and the coarse ones (B, feat_channels, ...), coarsest first."""
        finest, *coarse = features
        coarse.reverse()
        sizes = [(feature.shape[-2], feature.shape[-1]) for feature in coarse]
        projected = [conv(feature) for conv, feature in zip(self.input_convs, coarse, strict=True)]
        channels = projected[0].shape[1]
        positions = torch.cat(
            [
                sine_positions(*size, channels=channels, like=projected[0]) + level
                for size, level in zip(sizes, self.level_encoding.weight, strict=True)
            ]
        )
        encoded = self.encoder(
            torch.cat([feature.flatten(2).transpose(1, 2) for feature in projected], dim=1),
            positions=positions,
            centers=torch.cat([cell_centers(*size, like=projected[0]) for size in sizes]),
            sizes=sizes,
        )
        cells = encoded.transpose(1, 2).split([height * width for height, width in sizes], dim=2)
        maps = tuple(cell.unflatten(2, size) for cell, size in zip(cells, sizes, strict=True))
        lateral = self.lateral_convs[0](finest)
        enlarged = F.interpolate(maps[-1], size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        return self.mask_feature(self.output_convs[0](lateral + enlarged)), maps
