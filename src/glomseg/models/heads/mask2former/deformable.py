"""Attention that looks at a few places of its own choice."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiScaleDeformableAttention(nn.Module):
    """Every cell looks at a few places in feature maps of all scales, which it chooses by itself.

    Parameters
    ----------
    embed_dims
        Channels, in and out.
    num_heads
        Groups of channels that choose places of their own.
    num_levels
        Feature maps.
    num_points
        Places on each map for each head.

    References
    ----------
    Zhu et al., Deformable DETR: Deformable Transformers for End-to-End Object Detection, ICLR 2021, section 4.1.
    """

    def __init__(self, embed_dims: int, *, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        self.choices = (num_heads, num_levels, num_points)
        n_choices = math.prod(self.choices)
        self.sampling_offsets = nn.Linear(embed_dims, 2 * n_choices)
        self.attention_weights = nn.Linear(embed_dims, n_choices)
        self.value_proj = nn.Linear(embed_dims, embed_dims)
        self.output_proj = nn.Linear(embed_dims, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Start with even attention to points on a ray for each head, the rays all around the cell."""
        num_heads, num_levels, num_points = self.choices
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.attention_weights, self.value_proj, self.output_proj):
            nn.init.zeros_(layer.bias)
        angles = torch.arange(num_heads) * (2 * math.pi / num_heads)
        rays = torch.stack([angles.cos(), angles.sin()], dim=-1)
        rays = rays / rays.abs().amax(dim=-1, keepdim=True)  # on the border of a square, as the cells are
        steps = torch.arange(1, num_points + 1)
        offsets = (rays[:, None, None] * steps[:, None]).expand(-1, num_levels, -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.flatten())

    def forward(self, x: Tensor, *, positions: Tensor, centers: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Return what the cells of all maps see, (B, N, embed_dims).

        Parameters
        ----------
        x
            (B, N, embed_dims) cells of all maps, one map after the other, each in row-major order.
        positions
            (N, embed_dims), added to a cell for choosing its places.
        centers
            (N, 2) x and y of the cells as shares of the width and height.
        sizes
            (h, w) of each map.
        """
        batch, n_cells, _ = x.shape
        num_heads, num_levels, num_points = self.choices
        asking = x + positions
        offsets = self.sampling_offsets(asking).view(batch, n_cells, *self.choices, 2)
        weights = self.attention_weights(asking).view(batch, n_cells, num_heads, num_levels * num_points)
        weights = weights.softmax(dim=-1).view(batch, n_cells, *self.choices)
        extents = torch.tensor([[width, height] for height, width in sizes], device=x.device)
        places = centers[:, None, None, None] + offsets / extents[:, None]  # (B, N, heads, levels, points, 2)
        seen = sample_maps(self.value_proj(x), places, weights=weights, sizes=sizes)
        out: Tensor = self.output_proj(seen)
        return out


def sample_maps(values: Tensor, places: Tensor, *, weights: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Return the weighted sum of bilinear samples of several maps.

    Parameters
    ----------
    values
        (B, N, C) cells of all maps, one map after the other, each in row-major order.
    places
        (B, Q, heads, levels, points, 2) x and y from 0 to 1; beyond them there is zero.
    weights
        (B, Q, heads, levels, points).
    sizes
        (h, w) of each map.

    Returns
    -------
    samples
        (B, Q, C); each head samples its own C / heads channels.
    """
    batch, n_queries, num_heads = places.shape[:3]
    grids = (2 * places - 1).transpose(1, 2).flatten(0, 1)  # (B heads, Q, levels, points, 2)
    weights = weights.transpose(1, 2).flatten(0, 1)  # (B heads, Q, levels, points)
    # Mixed precision may have halved the values, but a half-precision place would miss its cell.
    heads = values.to(grids.dtype).transpose(1, 2).reshape(batch * num_heads, -1, values.shape[1])
    total = heads.new_zeros(batch * num_heads, heads.shape[1], n_queries)
    maps = torch.split(heads, [height * width for height, width in sizes], dim=2)
    for level, (cells, (height, width)) in enumerate(zip(maps, sizes, strict=True)):
        cells = cells.view(*cells.shape[:2], height, width)
        samples = F.grid_sample(cells, grids[:, :, level], mode="bilinear", align_corners=False)
        total = total + (samples * weights[:, None, :, level]).sum(dim=-1)
    return total.view(batch, -1, n_queries).transpose(1, 2)
