"""The small network for processors."""

from glomseg.models.backbones.small_resnet import SmallResNet
from glomseg.models.heads.fpn import FPNHead
from glomseg.models.segmentor import Segmentor


def fpn_resnet_small(
    *,
    n_classes: int,
    channels: tuple[int, int, int, int] = (48, 96, 160, 224),
    n_blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
    head_channels: int = 64,
) -> Segmentor:
    """Return the small network for processors: 3.0 million parameters at the default widths."""
    return Segmentor(
        SmallResNet(channels=channels, n_blocks=n_blocks),
        FPNHead(in_channels=channels, channels=head_channels, n_classes=n_classes),
    )
