"""Several resolutions from features of a single one."""

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class MultiLevelNeck(nn.Module):
    """Brings features of one stride to different ones by resizing between two convolutions: for ViT.

    Parameters
    ----------
    in_channels
        Channels of each feature.
    out_channels
        Channels of what is given out.
    scales
        By how much each feature is enlarged.
    """

    def __init__(
        self, in_channels: Sequence[int], *, out_channels: int, scales: Sequence[float] = (4, 2, 1, 0.5)
    ) -> None:
        super().__init__()
        self.out_channels = (out_channels,) * len(scales)
        self.scales = tuple(scales)
        self.lateral_convs = nn.ModuleList(_conv(width, out_channels, kernel_size=1) for width in in_channels)
        self.convs = nn.ModuleList(_conv(out_channels, out_channels, kernel_size=3) for _ in scales)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return one feature (B, out_channels, h scale, w scale) for each feature (B, C, h, w), at least one pixel."""
        outputs = []
        for lateral, conv, scale, feature in zip(self.lateral_convs, self.convs, self.scales, features, strict=True):
            x = lateral(feature)
            if min(x.shape[-2:]) * scale >= 1:
                x = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            outputs.append(conv(x))
        return tuple(outputs)


def _conv(in_channels: int, out_channels: int, *, kernel_size: int) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    nn.init.xavier_uniform_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return nn.Sequential(OrderedDict(conv=conv))
