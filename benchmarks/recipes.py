"""Which recipe is better on slides that it never saw: every recipe, on every group held out once, with every seed.

    python benchmarks/recipes.py DATA TABLE.toml --mpp 0.5 [--steps 1800] [--seeds 0,1,2] [--groups B,C] [--out FOLDER]

The table has a section a recipe, the first being what the others are compared with:

    [default]
    set = ["model.weights=start.safetensors"]            # as for glomseg train --set

    [dice]
    recipe = "default"                                   # a name or a TOML file; left out: default
    set = ["model.weights=start.safetensors", "loss.dice=1.0", "loss.cross_entropy=0.5"]

What a run starts from must not have seen the group that it is tested on, and the model in the box, from which the
default recipe starts by itself, has seen the tiles that it was made from: such a run is refused.

For each group in turn: that group is the test part, and all others are trained on. Nothing is chosen by validation: the
model of the last step is judged, as an image shows it and by the mean over its four flips. What recipes leave to the
data is chosen on each training part by itself. What is done is not done again, and a run that was stopped goes on, so
the call can be repeated at any time, also with more recipes, groups or seeds. Runs of other settings under the same
name are refused. --always names groups, by a pattern such as 'SYN_*', that are trained on whatever is held out and are
never held out themselves.

Prints how much a run of each recipe learnt from: the pixels of all its windows, as the network saw them. Then for each
way to predict: the figures of all held-out groups together, counts of all seeds added up; the range over the seeds; and
the difference to the first recipe, paired by group, with its 95 % interval and an exact permutation test over groups.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg import (
    Settings,
    Split,
    load_recipe,
    open_dataset,
    write_split,
)
from glomseg.errors import GlomsegError, InvalidInputError
from glomseg.files import parse_toml, read_json, read_text, write_json
from glomseg.metrics.comparison import compare_counts
from glomseg.metrics.intervals import group_intervals
from glomseg.metrics.pixel_intervals import pixel_figures
from glomseg.runs import open_run, read_settings
from glomseg.training.hardware import Hardware
from glomseg.types import Dataset
from timing import print_machine
from training import claim, counts_of_test, held_out_groups, image_hashes, refuse_seen, train_once

VIEWS = ("plain", "flips")
Counts = NDArray[np.float64]


def read_table(path: Path, *, steps: int | None) -> dict[str, Settings]:
    """Return the settings of every recipe of a table by its name; `steps` takes the place of their own."""
    text = read_text(path, what="table of recipes", max_bytes=2**20)
    sections = parse_toml(text, origin=f"table of recipes {str(path)!r}")
    recipes = {}
    for name, section in sections.items():
        if not isinstance(section, dict) or set(section) - {"recipe", "set"} or not name.replace("-", "").isalnum():
            raise InvalidInputError(
                f"table of recipes {str(path)!r}: [{name}] must be a section named by letters, digits and hyphens, "
                "with nothing but recipe and set"
            )
        overrides = [*section.get("set", ()), *([] if steps is None else [f"run.steps={steps}"])]
        recipes[name] = load_recipe(section.get("recipe", "default"), overrides)
    if not recipes:
        raise InvalidInputError(f"table of recipes {str(path)!r} has no recipe")
    return recipes


def hold_out(dataset: Dataset, held_out: str, *, seed: int) -> Split:
    """Return the split that tests on one group and trains on all others, with nothing to validate on."""
    samples = dataset.samples
    return Split(
        train=tuple(sample.name for sample in samples if sample.group != held_out),
        val=(),
        test=tuple(sample.name for sample in samples if sample.group == held_out),
        seed=seed,
        origin=f"{held_out} held out",
    )


def counts_of(
    folder: Path,
    dataset: Dataset,
    settings: Settings,
    *,
    held_out: str,
    hashes: Mapping[str, str],
    hardware: Hardware,
) -> dict[str, Counts]:
    """Return the (C * C,) confusion counts of the held-out group in each view of one run, trained if need be."""
    record = folder / "counts.json"
    claim(folder, settings, held_out=held_out)
    if not record.is_file():
        split = hold_out(dataset, held_out, seed=settings.run.seed)
        write_split(folder / "split.json", split)
        model = train_once(folder / "run", dataset, settings, split=split, hardware=hardware)
        refuse_seen(model, dataset, hashes, held_out=held_out)
        found = {
            view: counts_of_test(
                model, dataset, out=folder / view, split=folder / "split.json", hardware=hardware, tta=view == "flips"
            )
            for view in VIEWS
        }
        write_json(record, found)
    values = read_json(record, what="counts")
    return {view: np.asarray(values[view], np.float64) for view in VIEWS}


def megapixels_of(run: Path) -> float:
    """Return how many million pixels of windows the network saw in a run."""
    settings = read_settings(open_run(run))
    height, width = settings.crop.input_px
    rhythm = settings.run.rhythm()
    return rhythm.steps * rhythm.batch_size * height * width / 1e6


def rows(counts: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """Return a line a recipe from the (S, G, C * C) counts of its seeds and held-out groups."""
    first = next(iter(counts))
    pooled = {name: item.sum(axis=0) for name, item in counts.items()}
    lines = [
        "recipe             IoU [95 % interval]    range of seeds  precision  recall"
        f"    IoU against {first} [95 % interval]     p"
    ]
    for name, groups in pooled.items():
        figures = {key: float(figure.value) for key, figure in pixel_figures(groups.sum(axis=0)).items()}
        interval = group_intervals(groups, pixel_figures)["iou 1"]
        by_seed = pixel_figures(counts[name].sum(axis=1))["iou 1"].value
        line = (
            f"{name:<16} {figures['iou 1']:.3f} [{interval.low:.3f}, {interval.high:.3f}]   "
            f"{np.min(by_seed):.3f} to {np.max(by_seed):.3f}      "
            f"{figures['precision 1']:.3f}   {figures['recall 1']:.3f}"
        )
        if name != first:
            found = compare_counts(pooled[first], groups, figures=pixel_figures)["iou 1"]
            line += (
                f"    {found.difference:+.3f} [{found.interval.low:+.3f}, {found.interval.high:+.3f}]"
                f"              {found.p_value:.3f}"
            )
        lines.append(line)
    return lines


def by_group(counts: Mapping[str, NDArray[np.float64]], groups: Sequence[str]) -> list[str]:
    """Return a line a recipe with the IoU on every held-out group, counts of all seeds added up."""
    lines = ["recipe           " + "  ".join(f"{group.rpartition('_')[2][:8]:>8}" for group in groups)]
    for name, item in counts.items():
        values = pixel_figures(item.sum(axis=0))["iou 1"].value
        lines.append(f"{name:<16} " + "  ".join(f"{value:8.3f}" for value in values))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--steps", type=int, help="of every recipe, in place of its own")
    parser.add_argument("--seeds", default="0", help="separated by commas")
    parser.add_argument("--groups", help="held out in turn, separated by commas; all by default")
    parser.add_argument("--always", default="", help="pattern of groups that are always trained on")
    parser.add_argument("--out", type=Path, default=Path("recipes"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()

    dataset = open_dataset(options.data, mpp=options.mpp)
    recipes = read_table(options.table, steps=options.steps)
    groups = held_out_groups(dataset, options.groups, always=options.always)
    seeds = [int(word) for word in options.seeds.split(",")]
    hashes = image_hashes(dataset)
    hardware = Hardware(device=options.device, precision=options.precision)
    print_machine("torch", "glomseg")
    megapixels: dict[str, list[float]] = {}
    found: dict[str, dict[str, list[list[Counts]]]] = {view: {} for view in VIEWS}
    for name, settings in recipes.items():
        for view in VIEWS:
            found[view][name] = []
        for seed in seeds:
            seeded = settings.model_copy(update={"run": settings.run.model_copy(update={"seed": seed})})
            runs = []
            for group in groups:
                folder = options.out / name / group / f"seed{seed}"
                runs.append(counts_of(folder, dataset, seeded, held_out=group, hashes=hashes, hardware=hardware))
                megapixels.setdefault(name, []).append(megapixels_of(folder / "run"))
                print(f"done: {name}, {group} held out, seed {seed}", file=sys.stderr, flush=True)
            for view in VIEWS:
                found[view][name].append([run[view] for run in runs])
    print("\nlearnt from, in megapixels of windows a run")
    for name, work in megapixels.items():
        print(f"{name:<16} {np.mean(work):.0f}")
    for view, title in (("plain", "as the image is"), ("flips", "mean over four flips")):
        counts = {name: np.array(item) for name, item in found[view].items()}
        print(f"\n{title}; {len(seeds)} seeds, {len(groups)} groups held out")
        print("\n".join([*rows(counts), "", *by_group(counts, groups)]))


if __name__ == "__main__":
    try:
        main()
    except GlomsegError as error:
        sys.exit(str(error))
