"""The Swin Transformer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glomseg.models.blocks import pad_to_multiple
from glomseg.models.transformer import (
    DropPath,
    FeedForward,
    PatchEmbed,
    attend,
    drop_path_rates,
    init_transformer,
)

_EPS = 1e-5
_PATCH_SIZE = 4
_MLP_RATIO = 4
_BARRIER = -100.0
"""Added before the softmax between tokens that are neighbours only because the map was rolled."""


class WindowAttention(nn.Module):
    """Attention of the tokens of a window to each other, with a learnt bias for each relative position.

    Parameters
    ----------
    embed_dims, num_heads
        Channels of a token and heads.
    window_size
        Side of the window in tokens.
    """

    relative_position_index: Tensor

    def __init__(self, embed_dims: int, *, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        n_offsets = 2 * window_size - 1
        self.relative_position_bias_table = nn.Parameter(torch.empty(n_offsets**2, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        row, column = torch.meshgrid(torch.arange(window_size), torch.arange(window_size), indexing="ij")
        place = (n_offsets * row + column).flatten()
        # From the offset of two tokens, each coordinate counted from 0 on, to a row of the table.
        self.register_buffer("relative_position_index", place[:, None] - place + n_offsets**2 // 2)
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, windows: Tensor, barriers: Tensor | None = None) -> Tensor:
        """Return the (B nW, N, C) tokens of windows (B nW, N, C); `barriers` (nW, N, N) is added before the softmax."""
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]
        if barriers is not None:
            bias = (bias + barriers[:, None]).repeat(windows.shape[0] // barriers.shape[0], 1, 1, 1)
        query, key, value = self.qkv(windows).chunk(3, dim=-1)
        out: Tensor = self.proj(attend(query, key, value, num_heads=self.num_heads, bias=bias))
        return out


class ShiftedWindows(nn.Module):
    """Divides a map into windows, shifted or not, and lets each attend to itself.

    Parameters
    ----------
    embed_dims, num_heads, window_size
        Of the attention.
    shift
        By how many tokens the windows are moved to the right and down; the last ones wrap around.
    """

    def __init__(self, embed_dims: int, *, num_heads: int, window_size: int, shift: int) -> None:
        super().__init__()
        self.window_size = window_size
        self.shift = shift
        self.w_msa = WindowAttention(embed_dims, num_heads=num_heads, window_size=window_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h, w, C) for tokens (B, h, w, C)."""
        height, width = x.shape[1:3]
        x = pad_to_multiple(x.permute(0, 3, 1, 2), self.window_size).permute(0, 2, 3, 1)
        padded = x.shape
        barriers = None
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
            barriers = self._barriers(padded[1], padded[2], device=x.device)
        windows = _to_windows(x, self.window_size)
        x = _from_windows(self.w_msa(windows, barriers), padded)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]

    def _barriers(self, height: int, width: int, *, device: torch.device) -> Tensor:
        """Return (nW, N, N): 0 between tokens of a window that lie together in the map, else `_BARRIER`."""
        regions = []
        for size in (height, width):
            place = torch.arange(size, device=device)
            regions.append((place >= size - self.window_size).int() + (place >= size - self.shift).int())
        region = 3 * regions[0][:, None] + regions[1]
        windows = _to_windows(region[None, :, :, None], self.window_size)  # (nW, N, 1)
        return (windows != windows.transpose(1, 2)) * _BARRIER


def _to_windows(x: Tensor, side: int) -> Tensor:
    """Return the (B nW, side^2, C) windows of a map (B, h, w, C), row by row."""
    n_images, height, width, channels = x.shape
    grid = x.reshape(n_images, height // side, side, width // side, side, channels)
    return grid.transpose(2, 3).reshape(-1, side**2, channels)


def _from_windows(windows: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the map of a shape (B, h, w, C) that has these windows."""
    n_images, height, width, channels = shape
    side = int(windows.shape[1] ** 0.5)
    grid = windows.view(n_images, height // side, width // side, side, side, channels)
    return grid.transpose(2, 3).reshape(n_images, height, width, channels)


class SwinBlock(nn.Module):
    """Window attention and feed-forward layers, each on normalised tokens and with a shortcut."""

    def __init__(
        self, embed_dims: int, *, num_heads: int, window_size: int, is_shifted: bool, drop_path: float
    ) -> None:
        super().__init__()
        shift = window_size // 2 if is_shifted else 0
        self.norm1 = nn.LayerNorm(embed_dims, eps=_EPS)
        self.attn = ShiftedWindows(embed_dims, num_heads=num_heads, window_size=window_size, shift=shift)
        self.norm2 = nn.LayerNorm(embed_dims, eps=_EPS)
        self.ffn = FeedForward(embed_dims, hidden_dims=_MLP_RATIO * embed_dims)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.ffn(self.norm2(x)))
        return out


class PatchMerging(nn.Module):
    """Joins 2 x 2 tokens into one of twice the channels."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * in_channels, eps=_EPS)
        self.reduction = nn.Linear(4 * in_channels, 2 * in_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h / 2, w / 2, 2 C) for tokens (B, h, w, C); odd sides are padded with zeros."""
        x = pad_to_multiple(x.permute(0, 3, 1, 2), 2)
        out: Tensor = self.reduction(self.norm(nn.functional.pixel_unshuffle(x, 2).permute(0, 2, 3, 1)))
        return out


class SwinStage(nn.Module):
    """Blocks whose windows are shifted at every second one, and what leads to the next stage."""

    def __init__(self, blocks: Sequence[SwinBlock], *, downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens after the blocks, and those that the next stage starts from."""
        x = self.blocks(x)
        return x, x if self.downsample is None else self.downsample(x)


class SwinTransformer(nn.Module):
    """Transformer at strides 4, 8, 16 and 32 whose tokens attend to those in the same window.

    Parameters
    ----------
    embed_dims
        Channels of the first stage; each further stage doubles them.
    depths
        Blocks of each stage.
    num_heads
        Heads of each stage.
    window_size
        Side of a window in tokens.
    drop_path_rate
        Of the last block in training; it grows evenly from 0 at the first.

    References
    ----------
    Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, ICCV 2021.
    """

    def __init__(
        self,
        *,
        embed_dims: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
        drop_path_rate: float = 0.3,
    ) -> None:
        super().__init__()
        self.out_channels = tuple(embed_dims * 2**stage for stage in range(4))
        self.patch_embed = PatchEmbed(3, embed_dims, kernel_size=_PATCH_SIZE, stride=_PATCH_SIZE, eps=_EPS)
        rates = drop_path_rates(drop_path_rate, depths)
        self.stages = nn.ModuleList()
        for stage, channels in enumerate(self.out_channels):
            blocks = [
                SwinBlock(
                    channels,
                    num_heads=num_heads[stage],
                    window_size=window_size,
                    is_shifted=index % 2 == 1,
                    drop_path=rate,
                )
                for index, rate in enumerate(rates[stage])
            ]
            self.stages.append(SwinStage(blocks, downsample=PatchMerging(channels) if stage < 3 else None))
        self.norm0, self.norm1, self.norm2, self.norm3 = (
            nn.LayerNorm(channels, eps=_EPS) for channels in self.out_channels
        )
        init_transformer(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features (B, C, h, w) at strides 4, 8, 16 and 32 of images (B, 3, H, W)."""
        x = self.patch_embed(images)
        features = []
        for stage, norm in zip(self.stages, (self.norm0, self.norm1, self.norm2, self.norm3), strict=True):
            tokens, x = stage(x)
            features.append(norm(tokens).permute(0, 3, 1, 2))
        return tuple(features)
