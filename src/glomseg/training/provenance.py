"""What a run and a model say about where they come from."""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch
from lightning_fabric import Fabric

from glomseg._version import __version__
from glomseg.config import Settings
from glomseg.data.record import combined_hash, image_digits
from glomseg.models.build import resolved_options
from glomseg.types import Dataset, ModelCard, Split


def describe_model(
    dataset: Dataset,
    settings: Settings,
    split: Split,
    *,
    hashes: Mapping[str, str],
    manifest: Mapping[str, Any],
    seen: Sequence[str] = (),
) -> ModelCard:
    """Return the card of the model that a run trains, its metrics still empty.

    The first 16 digits of the images' hashes tell, wherever the model is evaluated, which of the tiles
    it has seen; `seen` are those of the images that its starting weights had seen.
    """
    assert settings.scaling.factor is not None or settings.scaling.fit_px is not None
    image_hashes = {name: image_digits(digest) for name, digest in hashes.items()}
    groups = {sample.name: sample.group for sample in dataset.samples}
    return ModelCard(
        architecture=settings.model.architecture,
        options=resolved_options(settings.model.architecture, settings.model.options),
        classes=dataset.classes,
        mean=settings.colors.mean,
        std=settings.colors.std,
        scaling=settings.scaling.scaling(factor=settings.scaling.factor or 1.0),
        stain=settings.colors.reference,
        inference=settings.inference.inference(),
        trained_on={
            "data": str(dataset.root),
            "data_sha256": combined_hash(hashes),
            "mpp": dataset.mpp,
            "n_train_tiles": len(split.train),
            "train_groups": sorted({groups[name] for name in split.train}),
            "val_groups": sorted({groups[name] for name in split.val}),
            "train_images": [image_hashes[name] for name in split.train],
            "val_images": [image_hashes[name] for name in split.val],
            **({"start_images": list(seen)} if seen else {}),
        },
        provenance={
            "glomseg": manifest["versions"]["glomseg"],
            "recipe": settings.recipe,
            "steps": settings.run.rhythm().steps,
            "seed": settings.run.seed,
            "started_at": manifest["started_at"],
            "weights": settings.model.weights,
        },
    )


def describe_run(
    dataset: Dataset, hashes: Mapping[str, str], *, settings: Settings, fabric: Fabric, precision: str
) -> dict[str, Any]:
    """Return the manifest of a run that starts now: versions, machine, seed and data."""
    packages = ("torch", "lightning-fabric", "numpy", "opencv-python-headless", "pillow")
    return {
        "command": sys.argv,
        "started_at": now(),
        "versions": {
            "glomseg": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "machine": {
            "platform": platform.platform(),
            "device": str(fabric.device),
            "processes": fabric.world_size,
            "precision": precision,
            "threads": torch.get_num_threads(),
        },
        "seed": settings.run.seed,
        "data": {
            "root": str(dataset.root),
            "n_tiles": len(dataset),
            "grouping": dataset.grouping,
            "mpp": dataset.mpp,
            "classes": asdict(dataset.classes),
            "sha256": combined_hash(hashes),
        },
        "finished": False,
    }


def now() -> str:
    """Return the time in UTC as ISO 8601 text."""
    return datetime.now(UTC).isoformat(timespec="seconds")
