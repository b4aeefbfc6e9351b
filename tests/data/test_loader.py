from dataclasses import replace

import numpy as np
import pytest
import torch

from glomseg.config import AugmentSettings
from glomseg.data.dataset import open_dataset
from glomseg.data.loader import WindowDataset, make_loader, window_numbers
from glomseg.data.statistics import object_sizes
from glomseg.data.store import TileStore
from glomseg.images import write_png
from glomseg.recipes import load_recipe
from glomseg.types import Scaling


def windows(root, *, recipe="default", memory_bytes=10**9, seed=0, **crop) -> WindowDataset:
    settings = load_recipe(recipe)
    dataset = open_dataset(root)
    store = TileStore(dataset, dataset.samples, scaling=Scaling(), memory_bytes=memory_bytes)
    return WindowDataset(
        store,
        foreground=[bool((store[index][1] == 1).any()) for index in range(len(store))],
        n_objects=[len(object_sizes(store[index][1], n_classes=2)) for index in range(len(store))],
        crop=settings.crop.model_copy(update={"size_px": 32, **crop}),
        augment=settings.augment,
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        seed=seed,
        fit_px=settings.scaling.fit_px,
    )


@pytest.mark.parametrize("recipe", ["default", "homework"])
def test_a_window_is_a_pure_function_of_seed_and_number(tiny_dataset, recipe):
    first, again = windows(tiny_dataset, recipe=recipe), windows(tiny_dataset, recipe=recipe)
    other = windows(tiny_dataset, recipe=recipe, seed=1)
    again[3]  # what was drawn before must not matter
    image, mask = first[7]
    assert image.shape == (3, 32, 32)
    assert image.dtype == torch.float32
    assert mask.shape == (32, 32)
    assert mask.dtype == torch.int64
    assert torch.equal(image, again[7][0])
    assert torch.equal(mask, again[7][1])
    assert not torch.equal(image, other[7][0])


def test_decoded_once_or_each_time_gives_the_same_windows(tiny_dataset):
    held, read = windows(tiny_dataset), windows(tiny_dataset, memory_bytes=0)
    assert held.store.in_memory
    assert not read.store.in_memory
    for number in (0, 5, 11):
        assert torch.equal(held[number][0], read[number][0])


@pytest.mark.parametrize("workers", [0, 2])
def test_the_stream_is_the_same_with_any_number_of_workers(tiny_dataset, workers):
    stream = windows(tiny_dataset)
    batches = window_numbers(first_step=2, last_step=5, batch_size=4)
    loaded = list(make_loader(stream, batches, workers=workers))
    assert len(loaded) == 3
    for numbers, (images, masks) in zip(batches, loaded, strict=True):
        assert images.shape == (4, 3, 32, 32)
        for position, number in enumerate(numbers):
            assert torch.equal(images[position], stream[number][0])
            assert torch.equal(masks[position], stream[number][1])


def test_processes_share_out_every_batch():
    whole = window_numbers(first_step=1, last_step=4, batch_size=6)
    shares = [window_numbers(first_step=1, last_step=4, batch_size=6, rank=rank, world_size=2) for rank in (0, 1)]
    for numbers, first, second in zip(whole, *shares, strict=True):
        assert sorted(first + second) == numbers
        assert len(first) == len(second) == 3
    assert whole[0] == [6, 7, 8, 9, 10, 11]


def test_every_tile_is_drawn_once_before_any_twice(tiny_dataset):
    stream = windows(tiny_dataset)
    n_tiles = len(stream.store)
    for epoch in range(3):
        drawn = [stream._tile_of(epoch * n_tiles + position) for position in range(n_tiles)]
        assert sorted(drawn) == list(range(n_tiles))


def test_the_wanted_share_of_windows_holds_foreground(tiny_dataset):
    def share(foreground_share):
        stream = windows(tiny_dataset, foreground_share=foreground_share, scale_range=(1.0, 1.0), size_px=32)
        return np.mean([(stream[number][1] == 1).any() for number in range(80)])

    assert share(1.0) > 0.9
    assert share(1.0) > share(0.0)


def test_windows_are_normalised(tiny_dataset):
    stream = windows(tiny_dataset, rotate=False, flip="none", foreground_share=0.0, scale_range=(1.0, 1.0))
    stream.augment = AugmentSettings()
    image, _ = stream[0]
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    values = image * std + mean
    assert torch.allclose(values, values.round(), atol=1e-3)
    assert values.min() > -0.01
    assert values.max() < 255.01


def test_tiles_are_stored_at_the_working_size(tiny_dataset):
    dataset = open_dataset(tiny_dataset)
    store = TileStore(replace(dataset, mpp=1.0), dataset.samples, scaling=Scaling(mpp=2.0), memory_bytes=10**9)
    assert store[0][0].shape == (32, 32, 3)
    assert store[0][1].shape == (32, 32)
    assert store.n_bytes() == len(store) * 32 * 32 * 4


def test_windows_of_any_shape_are_padded_and_normalised_as_asked(tiny_dataset):
    stream = windows(tiny_dataset, recipe="homework", size_px=(32, 48), padded_px=(64, 40), turn_share=1.0)
    stream.mean, stream.inverse_std = np.zeros(3, np.float32), np.ones(3, np.float32)
    image, mask = stream[0]
    assert image.shape == (3, 64, 48)
    assert (mask[32:] == 255).all()
    assert image.max() > 100


def test_half_of_the_windows_are_bent_where_that_is_asked_for(tiny_dataset):
    straight, bent = windows(tiny_dataset), windows(tiny_dataset)
    straight.augment, bent.augment = AugmentSettings(), AugmentSettings(elastic_px=4.0)
    changed = [not torch.equal(straight[number][0], bent[number][0]) for number in range(60)]
    assert 15 < sum(changed) < 45
    assert torch.equal(bent[7][1], bent[7][1])


@pytest.fixture
def uneven(tmp_path):
    """Two tiles: a large disc; three small squares and much glass."""
    large, small = np.zeros((128, 128), np.uint8), np.zeros((128, 128), np.uint8)
    rows, columns = np.ogrid[:128, :128]
    large[(rows - 64) ** 2 + (columns - 64) ** 2 < 50**2] = 1
    for corner in (10, 50, 90):
        small[10:14, corner : corner + 4] = 1
    for name, mask in (("S1_1", large), ("S2_1", small)):
        image = np.full((128, 128, 3), (190, 120, 180) if name == "S1_1" else (244, 244, 244), np.uint8)
        image[:24] = (190, 120, 180)
        image[mask == 1] = (120, 40, 130)
        write_png(tmp_path / "images" / f"{name}.png", image)
        write_png(tmp_path / "masks" / f"{name}.png", mask)
    return tmp_path


def test_windows_by_object_show_small_and_large_ones_alike(uneven):
    options = {"foreground_share": 1.0, "scale_range": (1.0, 1.0), "rotate": False, "flip": "none"}
    counts = {}
    for way in ("pixel", "object"):
        stream = windows(uneven, foreground_by=way, **options)
        stream.augment = AugmentSettings()
        # A window that shows the large disc has more of it than the small squares can fill.
        counts[way] = np.mean([int((stream[number][1] == 1).sum()) > 100 for number in range(200)])
    assert counts["pixel"] == pytest.approx(0.5, abs=0.1)  # one tile of two
    assert counts["object"] == pytest.approx(0.25, abs=0.1)  # one object of four


def test_a_window_by_object_without_glass_is_a_pure_function_too(uneven):
    first, again = (windows(uneven, foreground_by="object", glass_share=0.2) for _ in range(2))
    again[3]
    for number in (0, 1, 7, 8):
        assert torch.equal(first[number][0], again[number][0])


def test_empty_glass_is_drawn_rarely(uneven):
    def share_of_glass(glass_share):
        stream = windows(uneven, glass_share=glass_share, foreground_share=0.0, scale_range=(1.0, 1.0))
        stream.augment = AugmentSettings()
        return np.mean([float(stream[number][0].min()) > 1.5 for number in range(150)])

    assert share_of_glass(1.0) > 0.15
    assert share_of_glass(0.0) < 0.02
    assert share_of_glass(0.0) < share_of_glass(0.3) < share_of_glass(1.0)
