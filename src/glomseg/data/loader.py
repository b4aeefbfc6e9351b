"""Batches of training windows, each a pure function of the seed and its number.

Window number n is drawn with its own random generator, seeded by (seed, n). So the stream of windows is
the same with any number of loader processes, on any number of devices, and when a run is resumed it goes
on at the number it had reached: there is no state to save.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from glomseg.config import AugmentSettings, CropSettings
from glomseg.data.augment import augment_colors
from glomseg.data.crops import (
    centered_crop,
    deform,
    pad,
    place_in_object,
    random_box,
    random_flip,
    resize_then_crop,
    shows_glass,
    turn,
)
from glomseg.data.store import TileStore

Window = tuple[torch.Tensor, torch.Tensor]

_MAX_DRAWS = 10


class WindowDataset(TorchDataset[Window]):
    """Training windows by number: (3, H, W) float32 normalised RGB, (H, W) int64 mask, 255 ignored.

    Parameters
    ----------
    store
        The training tiles.
    foreground
        For each tile whether its mask holds anything but background.
    n_objects
        For each tile how many objects its mask holds; needed where `crop` draws by object.
    crop, augment
        How windows are cut and changed.
    mean, std
        Of the RGB input on the 0 to 255 scale.
    seed
        Of the whole stream.
    """

    def __init__(
        self,
        store: TileStore,
        *,
        foreground: Sequence[bool],
        n_objects: Sequence[int] = (),
        crop: CropSettings,
        augment: AugmentSettings,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
        fit_px: tuple[int, int] | None = None,
    ) -> None:
        self.store = store
        self.foreground = np.flatnonzero(foreground)
        self.by_object = crop.foreground_by == "object"
        self.object_shares = np.asarray(n_objects, dtype=np.float64) / max(1, sum(n_objects))
        self.crop = crop
        self.augment = augment
        self.mean = np.asarray(mean, dtype=np.float32)
        self.inverse_std = 1 / np.asarray(std, dtype=np.float32)
        self.seed = seed
        self.fit_px = fit_px

    def __getitem__(self, number: int) -> Window:
        rng = np.random.default_rng((self.seed, number))
        if self.crop.method == "resize_then_crop":
            image, mask = self._resize_then_crop(number, rng)
        else:
            image, mask = self._centered(number, rng)
        if self.augment.elastic_px > 0 and rng.random() < 0.5:
            image, mask = deform(image, mask, std_px=self.augment.elastic_px, rng=rng)
        image = augment_colors(image, self.augment, rng=rng)
        normalised, mask = pad(self._normalise(image), mask, size_px=self.crop.input_px)
        pixels = torch.from_numpy(np.ascontiguousarray(normalised.transpose(2, 0, 1)))
        return pixels, torch.from_numpy(mask.astype(np.int64))

    def _normalise(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray((image - self.mean) * self.inverse_std, dtype=np.float32)

    def _tile_of(self, number: int) -> int:
        epoch, position = divmod(number, len(self.store))
        return int(_permutation(self.seed, epoch, len(self.store))[position])

    def _resize_then_crop(self, number: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, mask = self.store[self._tile_of(number)]
        crop = self.crop
        box_px = random_box(
            crop.fit_px or self.fit_px or (mask.shape[0], mask.shape[1]),
            scale_range=crop.scale_range,
            choices_px=crop.fit_choices_px,
            rng=rng,
        )
        image, mask = resize_then_crop(
            image, mask, window_px=crop.window_px, box_px=box_px, cat_max_ratio=crop.cat_max_ratio, rng=rng
        )
        if crop.turn_share > 0 and rng.random() < crop.turn_share:
            image, mask = turn(image, mask, angle_deg=rng.uniform(*crop.turn_range_deg))
        return random_flip(image, mask, flip=crop.flip, rng=rng)

    def _centered(self, number: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if self.foreground.size > 0 and rng.random() < self.crop.foreground_share:
            image, mask = self._around_foreground(rng)
        else:
            image, mask = self._window_of(self._tile_of(number), rng)
            for _ in range(_MAX_DRAWS):
                kept = self.crop.glass_share
                if kept == 1 or not shows_glass(image) or rng.random() < kept:
                    break
                image, mask = self._window_of(int(rng.integers(len(self.store))), rng)
        return random_flip(image, mask, flip=self.crop.flip, rng=rng)

    def _around_foreground(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if self.by_object:
            return self._window_of(int(rng.choice(len(self.store), p=self.object_shares)), rng, on_foreground=True)
        return self._window_of(int(rng.choice(self.foreground)), rng, on_foreground=True)

    def _window_of(
        self, tile: int, rng: np.random.Generator, *, on_foreground: bool = False
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, mask = self.store[tile]
        low, high = np.log(self.crop.scale_range)
        scale = float(np.exp(rng.uniform(low, high)))
        center = (rng.uniform(0, mask.shape[0]), rng.uniform(0, mask.shape[1]))
        place = self._place(mask, rng) if on_foreground else None
        if place is not None:
            jitter = rng.uniform(-0.25, 0.25, 2) * self.crop.window_px / scale
            center = (place[0] + jitter[0], place[1] + jitter[1])
        angle_rad = rng.uniform(0, 2 * np.pi) if self.crop.rotate else 0.0
        return centered_crop(
            image, mask, center=center, window_px=self.crop.window_px, scale=scale, angle_rad=angle_rad
        )

    def _place(self, mask: NDArray[np.uint8], rng: np.random.Generator) -> tuple[int, int] | None:
        if self.by_object:
            return place_in_object(mask, rng)
        places = np.flatnonzero((mask > 0) & (mask != 255))
        return divmod(int(rng.choice(places)), mask.shape[1]) if places.size else None


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, n_tiles: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch, n_tiles)).permutation(n_tiles)


def window_numbers(
    *, first_step: int, last_step: int, batch_size: int, rank: int = 0, world_size: int = 1
) -> list[list[int]]:
    """Return the numbers of the windows of each step's batch, for one of `world_size` processes.

    The batch of a step is the same for any `world_size`: process `rank` takes every `world_size`-th of it.
    """
    return [
        list(range(step * batch_size + rank, (step + 1) * batch_size, world_size))
        for step in range(first_step, last_step)
    ]


def make_loader(windows: WindowDataset, batches: list[list[int]], *, workers: int) -> DataLoader[Window]:
    """Return batches of images (B, 3, H, W) float32 and masks (B, H, W) int64 in the order given."""
    return DataLoader(
        windows,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
        worker_init_fn=_single_threaded,
    )


def _single_threaded(worker: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's thread pool does not survive a fork
    torch.set_num_threads(1)
