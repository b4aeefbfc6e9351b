"""The kinds of options that builders of several families take."""

from typing import Annotated, Literal

from pydantic import Field

Width = Annotated[int, Field(ge=1, le=4096)]
"""Channels of a layer."""

StemWidth = Annotated[int, Field(ge=2, le=4096)]
"""Channels of a stem whose first layers are half as wide."""

Dropout = Annotated[float, Field(ge=0, lt=1)]
"""Probability that a channel is dropped before a classifier in training."""

Dilations = Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(min_length=1, max_length=16)]
"""Distance in pixels between the taps of each of several convolutions."""

Depth = Literal[18, 34, 50, 101]
"""Layers of a ResNet."""

Variant = Literal["v1", "v1c", "v1d"]
"""Form of a ResNet: plain, with the deep stem, and with averaging shortcuts as well."""

OutputStride = Literal[8, 16, 32]
"""Pixels of the image for a pixel of a ResNet's last feature."""

Widths = tuple[Width, Width, Width, Width]
"""Channels of each of four stages."""

BlockCount = Annotated[int, Field(ge=1, le=100)]
"""Blocks of a stage."""

BlockCounts = tuple[BlockCount, BlockCount, BlockCount, BlockCount]
"""Blocks of each of four stages."""

DropPathRate = Annotated[float, Field(ge=0, lt=1)]
"""Probability that the last residual branch is left out in training."""

SwinWidth = Annotated[int, Field(ge=32, le=1024, multiple_of=32)]
"""Channels of a Swin Transformer's first stage."""

WindowSize = Annotated[int, Field(ge=2, le=64)]
"""Side in tokens of a Swin Transformer's window."""
