"""The small network for processors."""

from glomseg.models.compose import Description


def fpn_resnet_small(
    *,
    channels: tuple[int, int, int, int] = (48, 96, 160, 224),
    n_blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
    head_channels: int = 64,
) -> Description:
    """Return the small network for processors: 3.0 million parameters at the default widths."""
    return {
        "backbone": {"name": "small_resnet", "channels": channels, "n_blocks": n_blocks},
        "decode_head": {"name": "fpn", "in_channels": channels, "channels": head_channels},
    }
