"""Decoded tiles at the size that windows are cut from: held in memory where they fit, else read on use."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from glomseg.data.crops import resize, resize_mask
from glomseg.data.normalisation import TileNormaliser
from glomseg.data.tiles import read_tile, tile_size
from glomseg.progress import Progress
from glomseg.types import Dataset, Sample, Scaling


class TileStore:
    """The tiles of one part of a data set, by position.

    Parameters
    ----------
    dataset
        Where classes, mask values and mpp come from.
    samples
        The tiles, all with a mask.
    scaling
        Tiles are stored at the working size; None stores them as they are.
    memory_bytes
        What the decoded tiles may fill. A set that needs more is decoded tile by tile, each time anew.
    normaliser
        Brings the stains of each tile to a reference; None leaves them.
    progress
        Called as tiles are decoded.
    """

    def __init__(
        self,
        dataset: Dataset,
        samples: Sequence[Sample],
        *,
        scaling: Scaling | None,
        memory_bytes: int,
        normaliser: TileNormaliser | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.dataset = dataset
        self.samples = tuple(samples)
        self.scaling = scaling
        self.normaliser = normaliser
        self._tiles: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        if self.n_bytes() <= memory_bytes:
            self._decode_all(progress)

    @property
    def in_memory(self) -> bool:
        """Whether every tile is held decoded."""
        return len(self._tiles) == len(self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (H, W, 3) uint8 RGB and mask (H, W) uint8 class index of tile `index`."""
        return self._tiles[index] if self.in_memory else self._decode(self.samples[index])

    def n_bytes(self) -> int:
        """Return what all decoded tiles take, from the files' headers."""
        total = 0
        for sample in self.samples:
            height, width = tile_size(self.dataset, sample)
            if self.scaling is not None:
                height, width = self.scaling.working_size(height=height, width=width, mpp=self.dataset.mpp)
            total += 4 * height * width
        return total

    def _decode_all(self, progress: Progress | None) -> None:
        with ThreadPoolExecutor() as pool:
            for tile in pool.map(self._decode, self.samples):
                self._tiles.append(tile)
                if progress is not None:
                    progress(len(self._tiles), len(self.samples))

    def _decode(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, mask = read_tile(self.dataset, sample)
        if self.scaling is not None:
            height, width = self.scaling.working_size(height=mask.shape[0], width=mask.shape[1], mpp=self.dataset.mpp)
            image = resize(image, height=height, width=width, interpolation=self.scaling.interpolation)
            mask = resize_mask(mask, height=height, width=width)
        if self.normaliser is not None:
            image = self.normaliser(sample, image)
        return image, mask
