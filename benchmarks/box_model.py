"""Train the model in the box anew from its data: on synthetic tissue, then on all tiles.

    python benchmarks/box_model.py DATA [--mpp 0.5] [--out box-model]

DATA is the folder of tiles and masks that docs/model-in-the-box.md names. The recipes of both stages, the synthetic
tissue and what the model says of itself are the files in benchmarks/box_recipes/. What is done is not done again, and
a stage that was stopped goes on, so the call can be repeated.

Its figures are those of models of the same recipe that never saw the region they are measured on. At the end stands
the command that measures them; called once more after it, the script writes them into the model's card.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from glomseg import (
    Dataset,
    ModelCard,
    Publication,
    Settings,
    Split,
    load_model,
    load_recipe,
    open_dataset,
    save_model,
    write_synthetic_dataset,
)
from glomseg.cli.console import progress_bar, say
from glomseg.errors import GlomsegError, InvalidInputError
from glomseg.files import parse_toml, read_json, read_text, sha256_of
from glomseg.training.hardware import Hardware
from training import claim, train_once

RECIPES = Path(__file__).resolve().parent / "box_recipes"
MAX_BYTES = 15_000_000
"""The package stays small: it is downloaded by everyone, also by those who never use this model."""

_FIGURES = (("IoU", "iou"), ("Dice", "dice"), ("precision", "precision"), ("recall", "recall"))
_OBJECT_FIGURES = (
    ("glomeruli found", "recall"),
    ("found ones that are glomeruli", "precision"),
    ("PQ", "panoptic_quality"),
)


def all_of(dataset: Dataset, *, seed: int) -> Split:
    """Return the split that trains on every tile, so that the last step is kept."""
    names = tuple(sample.name for sample in dataset.samples)
    return Split(train=names, val=(), seed=seed, origin="all tiles are trained on")


def pretrain(out: Path, *, recipes: Path = RECIPES, hardware: Hardware) -> Path:
    """Return the model that learnt on synthetic tissue alone, which is drawn and trained on below `out` if need be."""
    drawing = _toml(recipes / "synthetic.toml")
    with progress_bar("drawing tiles", unit="tile") as bar:
        folder = write_synthetic_dataset(out / "synthetic", **drawing, progress=lambda done, n: bar(done, n, ""))
    dataset = open_dataset(folder, mpp=drawing["mpp"])
    settings = load_recipe(str(recipes / "pretrain.toml"))
    return _train(out / "pretrained", dataset, settings, split=None, hardware=hardware)  # some slides only validate


def finetune(out: Path, dataset: Dataset, *, start: Path, recipes: Path = RECIPES, hardware: Hardware) -> Path:
    """Return the model that went on from `start` on all tiles of a data set."""
    settings = load_recipe(str(recipes / "finetune.toml"), [f"model.weights='''{start}'''"])
    split = all_of(dataset, seed=settings.run.seed)
    return _train(out / "finetuned", dataset, settings, split=split, start=sha256_of(start), hardware=hardware)


def publish(model: Path, path: Path, *, dataset: Dataset, figures: Path | None, recipes: Path = RECIPES) -> ModelCard:
    """Write a trained model with the card of the model in the box, without paths of this machine; return the card.

    Parameters
    ----------
    model
        The trained model.
    path
        Where it is written.
    dataset
        What it was fine-tuned on.
    figures
        ``evaluation.json`` of a cross-validation of the same recipe; None says nothing of how good it is.
    recipes
        Folder with ``card.toml``.

    Raises
    ------
    InvalidInputError
        If the figures are not out of fold, or the file is too large for the package.
    """
    network, card = load_model(model)
    about = TypeAdapter(Publication).validate_python(_toml(recipes / "card.toml"))
    if figures is not None:
        about = replace(about, **_measured(figures, dataset))
    card = replace(
        card,
        trained_on={**card.trained_on, "data": dataset.root.name},
        provenance={**card.provenance, "weights": "pretrained on synthetic tissue", "command": "make model"},
        publication=about,
    )
    save_model(path, network, card)
    n_bytes = path.stat().st_size
    if n_bytes > MAX_BYTES:
        raise InvalidInputError(f"{str(path)!r} has {n_bytes:,} bytes, and at most {MAX_BYTES:,} go into the package")
    return card


def _measured(figures: Path, dataset: Dataset) -> dict[str, Any]:
    """Return the fields of a publication that say how good the recipe is."""
    found = read_json(figures, what="evaluation")
    if found["part"] != "out-of-fold":
        raise InvalidInputError(
            f"{str(figures)!r} is of the part {found['part']!r}: only figures out of fold are given"
        )
    name = dataset.classes.names[1]
    objects = found["objects"]["classes"][name]
    rows = {label: (found["figures"][key][name], found["intervals"][key][name]) for label, key in _FIGURES}
    rows |= {label: (objects["figures"][key], objects["intervals"][key]) for label, key in _OBJECT_FIGURES}
    seed = next(iter(found["model"]["folds"].values()))["provenance"]["seed"]
    return {
        "figures": {label: (value, *ends) for label, (value, ends) in rows.items() if None not in (value, *ends)},
        "measured": (
            f"out of fold on {found['n_tiles']} tiles of {found['n_groups']} regions, each by a model of the same "
            f"recipe that never saw the region, with 95 % intervals over regions (glomseg crossval, seed {seed})"
        ),
    }


def _train(
    folder: Path, dataset: Dataset, settings: Settings, *, split: Split | None, start: str = "", hardware: Hardware
) -> Path:
    # The weights' place may change from call to call; their bytes say what they are.
    named = settings.model_copy(update={"model": settings.model.model_copy(update={"weights": None})})
    claim(folder, named, start=start)
    return train_once(
        folder / "run", dataset, settings, split=split, hardware=hardware, progress=progress_bar, message=say
    )


def _toml(path: Path) -> dict[str, Any]:
    text = read_text(path, what="settings of the model in the box", max_bytes=2**20)
    return parse_toml(text, origin=repr(str(path)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mpp", type=float, default=0.5, help="of the tiles; 0.5 by default")
    parser.add_argument("--out", type=Path, default=Path("box-model"))
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="a folder in place of benchmarks/box_recipes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()

    hardware = Hardware(device=options.device, precision=options.precision)
    dataset = open_dataset(options.data, mpp=options.mpp)
    start = pretrain(options.out, recipes=options.recipes, hardware=hardware)
    model = finetune(options.out, dataset, start=start, recipes=options.recipes, hardware=hardware)
    figures = options.out / "folds" / "evaluation-folds" / "evaluation.json"
    path = options.out / "glomeruli.safetensors"
    card = publish(
        model, path, dataset=dataset, figures=figures if figures.is_file() else None, recipes=options.recipes
    )
    say(f"Written: {path} ({path.stat().st_size:,} bytes). src/glomseg/models/box is where the package has it.")
    if card.publication is not None and not card.publication.figures:
        n_groups = len({sample.group for sample in dataset.samples})
        say(
            "Its card says nothing of how good it is yet. Measure the recipe out of fold, then call this again:",
            f"  glomseg crossval {options.data} --mpp {options.mpp:g} --folds {n_groups} --val 0 "
            f"--recipe {options.recipes / 'finetune.toml'} --set model.weights={start} --out {options.out / 'folds'}",
        )


if __name__ == "__main__":
    try:
        main()
    except GlomsegError as error:
        sys.exit(str(error))
