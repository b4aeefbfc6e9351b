"""The Mix Transformer (MiT), the backbone of SegFormer."""

from collections.abc import Sequence

from torch import Tensor, nn

from glomseg.models.blocks import pad_to_least
from glomseg.models.transformer import (
    DropPath,
    MultiheadAttention,
    PatchEmbed,
    drop_path_rates,
    init_transformer,
)

_EPS = 1e-6
_PATCH_SIZES = (7, 3, 3, 3)
_STRIDES = (4, 2, 2, 2)
_MLP_RATIO = 4


class ReducedAttention(nn.Module):
    """Attention of every token to a map that a strided convolution has made smaller.

    Parameters
    ----------
    embed_dims, num_heads
        Channels of a token and heads.
    sr_ratio
        By how much the sides of the map are divided; at 1 there is no convolution.
    """

    def __init__(self, embed_dims: int, *, num_heads: int, sr_ratio: int) -> None:
        super().__init__()
        self.attn = MultiheadAttention(embed_dims, num_heads=num_heads)
        self.sr = nn.Conv2d(embed_dims, embed_dims, sr_ratio, stride=sr_ratio) if sr_ratio > 1 else None
        self.norm = nn.LayerNorm(embed_dims, eps=_EPS) if sr_ratio > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h, w, C) for tokens (B, h, w, C)."""
        context = x
        if self.sr is not None and self.norm is not None:
            context = self.norm(self.sr(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        out: Tensor = self.attn(x.flatten(1, 2), context.flatten(1, 2)).view_as(x)
        return out


class MixFeedForward(nn.Module):
    """Two linear layers with a 3x3 depthwise convolution between them, which tells tokens where they are.

    Parameters
    ----------
    embed_dims
        Channels of a token.
    hidden_dims
        Channels between the layers.
    """

    def __init__(self, embed_dims: int, *, hidden_dims: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(embed_dims, hidden_dims, 1),
            nn.Conv2d(hidden_dims, hidden_dims, 3, padding=1, groups=hidden_dims),
            nn.GELU(),
            nn.Identity(),  # the place of a dropout: the next layer is number 4 in every checkpoint
            nn.Conv2d(hidden_dims, embed_dims, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h, w, C) for tokens (B, h, w, C)."""
        out: Tensor = self.layers(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out


class MixBlock(nn.Module):
    """Attention and feed-forward layers, each on normalised tokens and with a shortcut."""

    def __init__(self, embed_dims: int, *, num_heads: int, sr_ratio: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=_EPS)
        self.attn = ReducedAttention(embed_dims, num_heads=num_heads, sr_ratio=sr_ratio)
        self.norm2 = nn.LayerNorm(embed_dims, eps=_EPS)
        self.ffn = MixFeedForward(embed_dims, hidden_dims=_MLP_RATIO * embed_dims)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.ffn(self.norm2(x)))
        return out


class MixVisionTransformer(nn.Module):
    """Transformer at strides 4, 8, 16 and 32 with overlapping patches and no position embedding.

    Parameters
    ----------
    embed_dims
        Channels of one attention head; a stage has `embed_dims` times its heads.
    depths
        Blocks of each stage.
    num_heads
        Heads of each stage.
    sr_ratios
        By how much each stage reduces the map that its tokens attend to.
    drop_path_rate
        Of the last block in training; it grows evenly from 0 at the first.

    References
    ----------
    Xie et al., SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers, NeurIPS 2021.
    """

    def __init__(
        self,
        *,
        embed_dims: int = 64,
        depths: Sequence[int] = (3, 4, 6, 3),
        num_heads: Sequence[int] = (1, 2, 5, 8),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__()
        self.out_channels = tuple(embed_dims * heads for heads in num_heads)
        self.min_side = max(ratio * 4 * 2**stage for stage, ratio in enumerate(sr_ratios))
        rates = drop_path_rates(drop_path_rate, depths)
        self.layers = nn.ModuleList()
        in_channels = 3
        for stage, channels in enumerate(self.out_channels):
            patches = PatchEmbed(
                in_channels, channels, kernel_size=_PATCH_SIZES[stage], stride=_STRIDES[stage], eps=_EPS
            )
            blocks = nn.Sequential(
                *(
                    MixBlock(channels, num_heads=num_heads[stage], sr_ratio=sr_ratios[stage], drop_path=rate)
                    for rate in rates[stage]
                )
            )
            self.layers.append(nn.Sequential(patches, blocks, nn.LayerNorm(channels, eps=_EPS)))
            in_channels = channels
        init_transformer(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features (B, C, h, w) at strides 4, 8, 16 and 32 of images (B, 3, H, W).

        Images smaller than the reduction of the map needs are padded with zeros.
        """
        x = pad_to_least(images, self.min_side)
        features = []
        for stage in self.layers:
            x = stage(x).permute(0, 3, 1, 2)
            features.append(x)
        return tuple(features)
