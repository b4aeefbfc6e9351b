"""The pieces of transformers, with the entry names of OpenMMLab's state dicts.

Maps of tokens are (B, h, w, C) here, so that a layer needs no word about the shape of the map.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import pad_to_multiple


class DropPath(nn.Module):
    """Stochastic depth: in training the branch of a residual block is left out for some images of a batch.

    Parameters
    ----------
    rate
        Probability that it is left out, below 1. The branch of the other images is scaled by ``1 / (1 - rate)``, so
        that nothing has to change for prediction.

    References
    ----------
    Huang et al., Deep Networks with Stochastic Depth, ECCV 2016.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        is_kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * (is_kept / (1 - self.rate)).to(x.dtype)


def drop_path_rates(last: float, depths: Sequence[int]) -> list[list[float]]:
    """Return the rate of every block of every stage: from 0 at the first block evenly up to `last` at the last."""
    n_blocks = sum(depths)
    rates = [last * index / max(n_blocks - 1, 1) for index in range(n_blocks)]
    starts = [sum(depths[:stage]) for stage in range(len(depths))]
    return [rates[start : start + depth] for start, depth in zip(starts, depths, strict=True)]


class MultiheadAttention(nn.Module):
    """Attention of tokens to tokens; the entries are those of torch's ``nn.MultiheadAttention``.

    Parameters
    ----------
    embed_dims
        Channels of a token, a multiple of `num_heads`.
    num_heads
        Into how many parts the channels are divided, each with an attention of its own.

    References
    ----------
    Vaswani et al., Attention Is All You Need, NeurIPS 2017.
    """

    def __init__(self, embed_dims: int, *, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dims, embed_dims))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dims))
        self.out_proj = nn.Linear(embed_dims, embed_dims)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, context: Tensor, *, rotation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return (B, N, C): what each token of `x` (B, N, C) gathers from the tokens of `context` (B, M, C).

        `rotation` is that of `attend`.
        """
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        query, key, value = (
            F.linear(tokens, weight, bias)
            for tokens, weight, bias in zip((x, context, context), weights, biases, strict=True)
        )
        out: Tensor = self.out_proj(attend(query, key, value, num_heads=self.num_heads, rotation=rotation))
        return out


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    num_heads: int,
    bias: Tensor | None = None,
    rotation: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return softmax(q k' / sqrt(C / heads) + bias) v for tokens (B, N, C) and (B, M, C), each head by itself.

    `bias` is (1 or B, heads, N, M). `rotation` is the cosine and the sine, each (N, C / heads), of the angles by which
    the channels of query and key are turned first, in pairs half a head apart; it tells where tokens lie.
    """
    query, key, value = (
        tokens.reshape(*tokens.shape[:2], num_heads, -1).transpose(1, 2) for tokens in (query, key, value)
    )
    if rotation is not None:
        query, key = _turned(query, *rotation), _turned(key, *rotation)
    bias = None if bias is None else bias.to(query.dtype)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return out.transpose(1, 2).flatten(2)


def _turned(tokens: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = tokens.chunk(2, dim=-1)
    return (tokens * cosine + torch.cat([-second, first], dim=-1) * sine).to(tokens.dtype)


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return a context without autocast, for sums that half precision would spoil; what enters is to be widened."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


class SiluGate(nn.Module):
    """The first half of the channels, through a SiLU, times the second half."""

    def forward(self, x: Tensor) -> Tensor:
        gate, value = x.chunk(2, dim=-1)
        return F.silu(gate) * value


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them, for each token by itself.

    Parameters
    ----------
    embed_dims
        Channels of a token.
    hidden_dims
        Channels between the layers.
    gated
        Whether there is a gate in place of the GELU (SwiGLU): the first layer gives out the channels of the gate, then
        those that pass it.

    References
    ----------
    Shazeer, GLU Variants Improve Transformer, arXiv:2002.05202.
    """

    def __init__(self, embed_dims: int, *, hidden_dims: int, gated: bool = False) -> None:
        super().__init__()
        if gated:
            first = nn.Sequential(nn.Linear(embed_dims, 2 * hidden_dims), SiluGate())
        else:
            first = nn.Sequential(nn.Linear(embed_dims, hidden_dims), nn.GELU())
        self.layers = nn.Sequential(first, nn.Linear(hidden_dims, embed_dims))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class PatchEmbed(nn.Module):
    """A strided convolution that makes tokens of an image or a map, and their layer normalisation.

    Parameters
    ----------
    in_channels, embed_dims
        Channels of the map and of the tokens.
    kernel_size, stride
        Of the convolution, in pixels. Where the stride is the kernel size the map is padded at the bottom and on
        the right until patches cover it; else it is padded by half the kernel all round.
    eps
        Of the layer normalisation.
    """

    def __init__(self, in_channels: int, embed_dims: int, *, kernel_size: int, stride: int, eps: float) -> None:
        super().__init__()
        padding = 0 if stride == kernel_size else kernel_size // 2
        self.projection = nn.Conv2d(in_channels, embed_dims, kernel_size, stride=stride, padding=padding)
        self.norm = nn.LayerNorm(embed_dims, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h, w, embed_dims) tokens of a map (B, C, H, W)."""
        side = self.projection.kernel_size[0]
        if self.projection.stride[0] == side:
            x = pad_to_multiple(x, side)
        out: Tensor = self.norm(self.projection(x).permute(0, 2, 3, 1))
        return out


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation of the channels of each pixel of a map (B, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def init_transformer(module: nn.Module) -> None:
    """Initialise linear layers and convolutions inside `module` as OpenMMLab does in transformers.

    Linear layers: normal with standard deviation 0.02, cut at 2. Convolutions: normal with variance 2 / fan-out, where
    the fan-out is that of one group. Biases are 0.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
        elif isinstance(part, nn.Conv2d):
            fan_out = part.weight[0, 0].numel() * part.out_channels // part.groups
            nn.init.normal_(part.weight, std=(2 / fan_out) ** 0.5)
        if isinstance(part, nn.Linear | nn.Conv2d) and part.bias is not None:
            nn.init.zeros_(part.bias)
