"""How many training windows a second the loader gives, against how many the default network can take."""

import tempfile
import time
from pathlib import Path

import torch

from glomseg.config import Settings
from glomseg.data.dataset import open_dataset
from glomseg.data.loader import WindowDataset, make_loader, window_numbers
from glomseg.data.statistics import scan_masks
from glomseg.data.store import TileStore
from glomseg.data.synthetic import write_synthetic_dataset
from glomseg.devices import autocast_dtype, choose_precision
from glomseg.models.build import build_model
from glomseg.recipes import load_recipe
from glomseg.training.losses import TrainingLoss
from glomseg.training.run import make_optimizer
from glomseg.types import Dataset, ModelCard, Scaling
from timing import measure, parse_quick, print_machine, print_torch, ratio, spread

FIRST_BATCHES = 3
"""Not timed: worker processes start and fill their queues."""

CHOSEN = ("scaling.mpp=2", "crop.size_px=160", "run.batch_size=8", "run.steps=300", "run.val_every=150")
"""What the default recipe chooses for glomeruli."""


def windows_of(dataset: Dataset, settings: Settings, *, in_memory: bool) -> WindowDataset:
    """Return the stream of windows as a training run makes it."""
    card = ModelCard(architecture=settings.model.architecture, classes=dataset.classes)
    scaling: Scaling | None = settings.scaling.scaling(factor=0.5)
    if settings.crop.method != "centered":
        scaling = None
    store = TileStore(dataset, dataset.samples, scaling=scaling, memory_bytes=2**40 if in_memory else 0)
    return WindowDataset(
        store,
        foreground=[tile.foreground_pixels > 0 for tile in scan_masks(dataset)],
        crop=settings.crop,
        augment=settings.augment,
        mean=card.mean,
        std=card.std,
        seed=0,
        fit_px=settings.scaling.fit_px,
    )


def seconds_per_window(windows: WindowDataset, *, workers: int, n_batches: int, batch_size: int) -> float:
    """Return the seconds that a window took, in the mean of some batches."""
    numbers = window_numbers(first_step=0, last_step=FIRST_BATCHES + n_batches, batch_size=batch_size)
    batches = iter(make_loader(windows, numbers, workers=workers))
    for _ in range(FIRST_BATCHES):
        next(batches)
    start = time.perf_counter()
    for _ in batches:
        pass
    # Batches arrive in bursts when workers make them: only their mean means something.
    return (time.perf_counter() - start) / (n_batches * batch_size)


def appetite(settings: Settings) -> float:
    """Return the seconds a window that a training step of the recipe's network takes."""
    network = build_model(settings.model.architecture, n_classes=2, **settings.model.options)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer, loss_of = make_optimizer(network, settings.optimizer, fused=True), TrainingLoss(settings.loss)
    batch_size, window_px = settings.run.rhythm().batch_size, settings.crop.window_px
    images = torch.randn(batch_size, 3, *window_px).contiguous(memory_format=torch.channels_last)
    masks = torch.randint(0, 2, (batch_size, *window_px))
    dtype = autocast_dtype(choose_precision("auto", torch.device("cpu")))

    def step() -> None:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            outputs = network(images)
        loss_of(outputs.main, outputs.auxiliary, masks).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    return measure(step) / batch_size


def main(*, quick: bool) -> None:
    n_rounds, n_batches = (1, 2) if quick else (5, 12)
    default = load_recipe("default", CHOSEN)
    recipes = {"default": default, "homework": load_recipe("homework")}
    with tempfile.TemporaryDirectory(prefix="glomseg-benchmark-") as folder:
        size_px = 256 if quick else 1024
        root = write_synthetic_dataset(
            Path(folder) / "data", n_slides=2, tiles_per_slide=3, size_px=size_px, mpp=512 / size_px
        )
        dataset = open_dataset(root, mpp=512 / size_px)
        streams = {
            (recipe, place): windows_of(dataset, recipes[recipe], in_memory=place == "memory")
            for recipe in ("default", "homework")
            for place in ("memory", "disk")
        }
        loaded: dict[tuple[str, str, int], list[float]] = {}
        eaten: list[float] = []
        for _ in range(n_rounds):
            for (recipe, place), windows in streams.items():
                for workers in (0, 1, 2):
                    seconds = seconds_per_window(
                        windows, workers=workers, n_batches=n_batches, batch_size=default.run.rhythm().batch_size
                    )
                    loaded.setdefault((recipe, place, workers), []).append(seconds)
            eaten.append(appetite(default))
    print(f"\nwindows of {default.crop.window_px[0]} pixels from {size_px} x {size_px} tiles, {n_rounds} rounds")
    print(f"  {default.model.architecture} takes one every {spread(eaten)}")
    for (recipe, place, workers), seconds in loaded.items():
        name = f"{recipe}, tiles in {place}" if place == "memory" else f"{recipe}, tiles from disk"
        print(f"  {name:<26} {workers} workers  {spread(seconds)} each; ratio to the appetite: {ratio(eaten, seconds)}")


if __name__ == "__main__":
    quick = parse_quick(__doc__)
    print_machine("torch", "numpy", "opencv-python-headless", "glomseg")
    print_torch()
    main(quick=quick)
