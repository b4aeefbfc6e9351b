"""Where a cell of a feature map lies, in numbers that attention can use."""

import math

import torch
from torch import Tensor

TEMPERATURE = 10_000
"""Ratio of the longest to the shortest wave."""


def sine_positions(height: int, width: int, *, channels: int, like: Tensor) -> Tensor:
    """Return (height * width, channels) sines and cosines of each cell's row, then of its column.

    Rows and columns are counted from 1 and scaled so that the last one is at 2 pi, whatever the size.

    Parameters
    ----------
    height, width
        Cells of the feature map; the result is in row-major order.
    channels
        A multiple of 4: half for the row and half for the column, sine and cosine by turns.
    like
        Gives the device, and the type: float64 for float64, otherwise float32.

    References
    ----------
    Carion et al., End-to-End Object Detection with Transformers, ECCV 2020, appendix A.4.
    """
    rows = _waves(height, channels // 2, like=like)[:, None].expand(-1, width, -1)
    columns = _waves(width, channels // 2, like=like)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


def cell_centers(height: int, width: int, *, like: Tensor) -> Tensor:
    """Return the (height * width, 2) centres (x, y) of cells in row-major order; the map reaches from 0 to 1."""
    dtype = _precise(like)
    y = (torch.arange(height, dtype=dtype, device=like.device) + 0.5) / height
    x = (torch.arange(width, dtype=dtype, device=like.device) + 0.5) / width
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1).flatten(0, 1)


def _waves(n: int, channels: int, *, like: Tensor) -> Tensor:
    dtype = _precise(like)
    steps = torch.arange(1, n + 1, dtype=dtype, device=like.device) / (n + 1e-6) * (2 * math.pi)
    exponents = 2 * torch.arange(channels // 2, dtype=dtype, device=like.device) / channels
    phases = steps[:, None] / TEMPERATURE**exponents  # (n, channels / 2)
    return torch.stack([phases.sin(), phases.cos()], dim=-1).flatten(1)


def _precise(like: Tensor) -> torch.dtype:
    # Half precision cannot tell neighbouring cells of a large map apart.
    return torch.promote_types(like.dtype, torch.float32)
