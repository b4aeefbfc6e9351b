"""Decoded tiles, in memory or read on use."""

import dataclasses

import numpy as np
import pytest

from glomseg.data import store
from glomseg.data.dataset import open_dataset
from glomseg.data.store import TileStore
from glomseg.data.tiles import read_tile
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.images import read_image, read_mask_values, write_png
from glomseg.types import Scaling

PLENTY = 2**30


@pytest.fixture
def dataset(tiny_dataset):
    return open_dataset(tiny_dataset)


@pytest.mark.parametrize("memory_bytes", [0, PLENTY])
def test_the_tiles_are_the_files(dataset, memory_bytes):
    reports = []
    tiles = TileStore(
        dataset,
        dataset.samples[2:5],
        scaling=None,
        memory_bytes=memory_bytes,
        progress=lambda done, total, note="": reports.append((done, total)),
    )
    assert len(tiles) == 3
    assert tiles.in_memory is (memory_bytes > 0)
    assert reports == ([(1, 3), (2, 3), (3, 3)] if memory_bytes else [])
    for index, sample in enumerate(dataset.samples[2:5]):
        image, mask = tiles[index]
        assert np.array_equal(image, read_image(sample.image_path))
        assert np.array_equal(mask, read_mask_values(sample.mask_path))


def test_what_fits_to_the_byte_is_held(dataset):
    n_bytes = 12 * 64 * 64 * 4
    held = TileStore(dataset, dataset.samples, scaling=None, memory_bytes=n_bytes)
    assert held.n_bytes() == n_bytes == sum(image.nbytes + mask.nbytes for image, mask in held)
    assert held.in_memory
    assert not TileStore(dataset, dataset.samples, scaling=None, memory_bytes=n_bytes - 1).in_memory


def test_held_tiles_are_decoded_once(dataset, monkeypatch):
    reads = []
    monkeypatch.setattr(store, "read_tile", lambda *args: reads.append(1) or read_tile(*args))
    tiles = TileStore(dataset, dataset.samples, scaling=None, memory_bytes=PLENTY)
    for _ in range(3):
        tiles[0], tiles[11]
    assert len(reads) == 12


def test_tiles_are_held_at_the_working_size(dataset):
    dataset = dataclasses.replace(dataset, mpp=1.0)
    tiles = TileStore(dataset, dataset.samples, scaling=Scaling(mpp=2.0), memory_bytes=PLENTY)
    image, mask = tiles[0]
    assert image.shape == (32, 32, 3)
    assert mask.shape == (32, 32)
    assert set(np.unique(mask)) <= {0, 1}  # classes are not mixed
    full = read_mask_values(dataset.samples[0].mask_path)
    assert mask.mean() == pytest.approx(full.mean(), abs=0.02)
    assert tiles.n_bytes() == 12 * 32 * 32 * 4


def test_no_tiles_are_a_store_too(dataset):
    tiles = TileStore(dataset, [], scaling=None, memory_bytes=0)
    assert len(tiles) == 0
    assert list(tiles) == []


def test_a_pair_that_does_not_fit(dataset):
    sample = dataset.samples[0]
    write_png(sample.mask_path, np.zeros((32, 64), np.uint8))
    with pytest.raises(InvalidInputError, match=r"mask .*S01_T01.* is 64x32 but its image is 64x64"):
        read_tile(dataset, sample)
    with pytest.raises(InvalidInputError, match="'SITE_S01_T01' has no mask"):
        read_tile(dataset, dataclasses.replace(sample, mask_path=None))


def test_mask_values_and_ignored_ones_are_mapped(dataset):
    sample = dataset.samples[0]
    values = np.zeros((64, 64), np.uint8)
    values[:, 0], values[:, 1] = 7, 9
    write_png(sample.mask_path, values)
    mapped = dataclasses.replace(dataset, mask_values=(0, 7), ignore_value=9)
    _, mask = read_tile(mapped, sample)
    assert mask[0, :3].tolist() == [1, 255, 0]


def test_a_broken_tile_is_named_when_the_store_is_filled(dataset):
    dataset.samples[4].image_path.write_bytes(b"")
    with pytest.raises(InvalidInputError, match="S03_T01"):
        TileStore(dataset, dataset.samples, scaling=None, memory_bytes=PLENTY)
    dataset.samples[4].image_path.unlink()
    with pytest.raises(MissingInputError, match="S03_T01"):
        TileStore(dataset, dataset.samples, scaling=None, memory_bytes=0)
