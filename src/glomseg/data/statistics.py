"""What the masks of a data set hold, tile by tile."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glomseg.data.tiles import read_tile_mask
from glomseg.errors import InvalidInputError
from glomseg.measure import connected_components
from glomseg.progress import Progress
from glomseg.types import IGNORE_INDEX, Dataset, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSize:
    """One connected piece of a class: its area, and whether the tile's border may have cut it."""

    class_index: int
    area_px: int
    touches_border: bool

    @property
    def diameter_px(self) -> float:
        """Diameter of the circle of the same area."""
        return 2 * float(np.sqrt(self.area_px / np.pi))


@dataclass(frozen=True, slots=True, kw_only=True)
class TileStatistics:
    """What one mask holds.

    Attributes
    ----------
    name, group
        Of the tile.
    height, width
        Of the mask, in pixels.
    class_pixels
        Pixels of each class.
    ignored_pixels
        Pixels that count nowhere.
    objects
        Connected pieces of the foreground classes.
    """

    name: str
    group: str
    height: int
    width: int
    class_pixels: tuple[int, ...]
    ignored_pixels: int
    objects: tuple[ObjectSize, ...] = ()

    @property
    def foreground_pixels(self) -> int:
        """Pixels of all classes but the background."""
        return sum(self.class_pixels[1:])


def scan_masks(dataset: Dataset, *, progress: Progress | None = None) -> tuple[TileStatistics, ...]:
    """Return what every mask holds, in the order of the samples; each mask is decoded once.

    Raises
    ------
    InvalidInputError
        If a mask cannot be read, or the masks hold nothing but 0 and 255 although 255 means ignored.
    """
    statistics: list[TileStatistics] = []
    with ThreadPoolExecutor() as pool:
        for item in pool.map(lambda sample: scan_mask(dataset, sample), dataset.samples):
            statistics.append(item)
            if progress is not None:
                progress(len(statistics), len(dataset))
    if holds_only_ignored(statistics):
        raise InvalidInputError(
            f"the masks of {str(dataset.root)!r} hold only 0 and 255, and 255 means 'ignore'; "
            "if 255 is the glomerulus, say so with --mask-values 0,255"
        )
    return tuple(statistics)


def scan_mask(dataset: Dataset, sample: Sample) -> TileStatistics:
    """Return what one mask holds."""
    mask = read_tile_mask(dataset, sample)
    counts = np.bincount(mask.ravel(), minlength=256)
    return TileStatistics(
        name=sample.name,
        group=sample.group,
        height=mask.shape[0],
        width=mask.shape[1],
        class_pixels=tuple(int(count) for count in counts[: len(dataset.classes)]),
        ignored_pixels=int(counts[IGNORE_INDEX]),
        objects=object_sizes(mask, n_classes=len(dataset.classes)),
    )


def object_sizes(mask: NDArray[np.uint8], *, n_classes: int) -> tuple[ObjectSize, ...]:
    """Return the sizes of the connected pieces of every foreground class in a mask (H, W) uint8."""
    return tuple(
        ObjectSize(class_index=piece.class_index, area_px=piece.area_px, touches_border=piece.touches_border)
        for piece in connected_components(mask, n_classes=n_classes)
    )


def holds_only_ignored(statistics: Sequence[TileStatistics]) -> bool:
    """Return whether no mask has any foreground but some have ignored pixels: 255 was probably meant as a class."""
    return any(item.ignored_pixels for item in statistics) and not any(item.foreground_pixels for item in statistics)
