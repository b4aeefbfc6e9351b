"""Pyramid pooling, and what makes it quick."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, conv_seg, init_conv_bn, pyramid_pooling


class PSPHead(nn.Module):
    """Pyramid pooling: features joined with their averages over coarse grids, then classified.

    Parameters
    ----------
    in_channels
        Channels of the feature that is used.
    channels
        Channels of each pooled branch and of the joined feature.
    n_classes
        Channels of the logits.
    in_index
        Which of the backbone's features is used.
    pool_scales
        Sides of the grids, in cells.
    align_corners
        Whether the corner cells of a grid lie at the corners of the feature when it is enlarged.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Zhao et al., Pyramid Scene Parsing Network, CVPR 2017.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int,
        n_classes: int,
        in_index: int = -1,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        align_corners: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_index = in_index
        self.align_corners = align_corners
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.psp_modules = pyramid_pooling(in_channels, channels, scales=pool_scales)
        self.bottleneck = ConvBNReLU(in_channels + len(pool_scales) * channels, channels, kernel_size=3)
        init_conv_bn(self.psp_modules)
        init_conv_bn(self.bottleneck)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the feature that is used."""
        x = features[self.in_index]
        own, *branches = self.split_weight()
        joined = self.bottleneck
        height, width = x.shape[-2:]
        pools = [pool(x) for pool in self.psp_modules]
        pyramid = pyramid_convolution(pools, branches, size=(height, width), align_corners=self.align_corners)
        # The convolution's own way of computing, with the part of its weight that belongs to x.
        x = joined.conv._conv_forward(x, own, joined.conv.bias) + pyramid
        logits: Tensor = self.conv_seg(self.dropout(F.relu(joined.bn(x))))
        return logits

    def split_weight(self) -> tuple[Tensor, ...]:
        """Return the joining convolution's weight for the feature itself, then for each pooled branch."""
        weight = self.bottleneck.conv.weight
        n_branches, channels = len(self.psp_modules), weight.shape[0]
        return torch.split(weight, [weight.shape[1] - n_branches * channels, *[channels] * n_branches], dim=1)


class SplitPSPHead(nn.Module):
    """A PSPHead for prediction whose joining convolution is two, so that each can be made faster by itself.

    Parameters
    ----------
    head
        In evaluation mode, with its batch normalisation folded into the convolutions.
    """

    def __init__(self, head: PSPHead) -> None:
        super().__init__()
        own, *branches = head.split_weight()
        self.in_index = head.in_index
        self.align_corners = head.align_corners
        self.psp_modules = head.psp_modules
        self.branches = nn.ParameterList(branch.clone() for branch in branches)
        self.own = nn.Conv2d(own.shape[1], own.shape[0], 3, padding=1)
        self.own.weight = nn.Parameter(own.clone())
        self.own.bias = head.bottleneck.conv.bias
        self.conv_seg = head.conv_seg

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the feature that is used."""
        x = features[self.in_index]
        height, width = x.shape[-2:]
        pools = [pool(x) for pool in self.psp_modules]
        pyramid = pyramid_convolution(
            pools, list(self.branches), size=(height, width), align_corners=self.align_corners
        )
        logits: Tensor = self.conv_seg(F.relu(self.own(x) + pyramid))
        return logits


def pyramid_convolution(
    grids: Sequence[Tensor], weights: Sequence[Tensor], *, size: tuple[int, int], align_corners: bool = False
) -> Tensor:
    """Return the sum of the 3x3 convolutions of coarse grids enlarged to (h, w), without enlarging them.

    Enlarging bilinearly and convolving are both linear, so their order can be changed: the channels are
    mixed on the few cells of the grids, once for each of the nine taps, and what remains are two small
    matrix products, with the interpolation weights of the columns and of the rows.

    Parameters
    ----------
    grids
        (B, I, k, k) each, k its own side.
    weights
        (O, I, 3, 3) each, one convolution a grid.
    size
        (h, w) in pixels.
    align_corners
        Of the enlarging: whether the corner cells lie at the corners of the result.

    Returns
    -------
    sum
        (B, O, h, w) in channels-last memory format: what ``conv2d(interpolate(grid, size), weight,
        padding=1)`` gives, summed over the grids, with ``mode="bilinear"``.
    """
    height, width = size
    mixed_rows = []
    row_weights = []
    for grid, weight in zip(grids, weights, strict=True):
        side = grid.shape[-1]
        cells = grid.permute(0, 2, 3, 1)  # (B, k, k, I)
        taps = F.linear(cells, weight.permute(2, 3, 0, 1).flatten(0, 2))  # (B, k, k, 9 O)
        taps = taps.view(grid.shape[0], side, side, 3, 3, -1).permute(0, 3, 1, 4, 2, 5)  # (B, 3, k, 3, k, O)
        columns = _tap_weights(side, width, align_corners=align_corners).to(taps)  # (w, 3 k)
        mixed_rows.append(columns @ taps.flatten(3, 4).flatten(1, 2))  # (B, 3 k, w, O)
        row_weights.append(_tap_weights(side, height, align_corners=align_corners).to(taps))  # (h, 3 k)
    rows = torch.cat(mixed_rows, dim=1).flatten(2)  # (B, sum of 3 k, w O)
    out = torch.cat(row_weights, dim=1) @ rows  # (B, h, w O)
    return out.view(*out.shape[:2], width, -1).permute(0, 3, 1, 2)


def _tap_weights(n_cells: int, n_px: int, *, align_corners: bool) -> Tensor:
    """Return (n_px, 3 n_cells) float64: how much each cell counts at a pixel's left neighbour, itself, its right one.

    Beyond the border there is nothing: the zero padding of the convolution.
    """
    pixels = torch.arange(n_px, dtype=torch.float64)[:, None]
    if align_corners:
        places = pixels * ((n_cells - 1) / max(n_px - 1, 1))
    else:
        places = ((pixels + 0.5) * (n_cells / n_px) - 0.5).clamp(0, n_cells - 1)
    # Linear interpolation in plain arithmetic, which an exported graph repeats for any size.
    here = (1 - (places - torch.arange(n_cells)).abs()).clamp_min(0)  # (n_px, n_cells)
    padded = F.pad(here, (0, 0, 1, 1))
    return torch.cat([padded[:-2], padded[1:-1], padded[2:]], dim=1)
