"""Which recipe is better on slides that it never saw: every recipe, on every group held out once, with every seed.

    python benchmarks/recipes.py DATA TABLE.toml --mpp 0.5 --steps 1800 [--seeds 0,1,2] [--groups B,C] [--out FOLDER]

The table has a section a recipe, the first being what the others are compared with:

    [default]

    [dice]
    recipe = "default"                                   # a name or a TOML file; left out: default
    set = ["loss.dice=1.0", "loss.cross_entropy=0.5"]    # as for glomseg train --set

For each group in turn: that group is the test part, the next one the validation part, the others are trained on, for
the same number of steps with every recipe. What recipes leave to the data is chosen on each training part by itself.
What is done is not done again, and a run that was stopped goes on, so the call can be repeated at any time, also with
more recipes, groups or seeds. Runs of other settings under the same name are refused.

Prints for the model that is best by validation and for that of the last step: the figures of all held-out groups
together, counts of all seeds added up; the range over the seeds; and the difference to the first recipe, paired by
group, with its 95 % interval and an exact permutation test over groups.
"""

import argparse
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg import (
    Settings,
    Split,
    evaluate_model,
    load_recipe,
    open_dataset,
    resume_training,
    train_model,
    write_split,
)
from glomseg.config import parse_settings
from glomseg.errors import GlomsegError, InvalidInputError
from glomseg.files import read_json, read_text, write_json
from glomseg.metrics.comparison import compare_counts
from glomseg.metrics.intervals import group_intervals
from glomseg.metrics.pixel_intervals import pixel_figures
from glomseg.training.hardware import Hardware
from glomseg.types import Dataset
from timing import print_machine

MODELS = ("best", "last")
Counts = NDArray[np.float64]


def read_table(path: Path, *, steps: int | None) -> dict[str, Settings]:
    """Return the settings of every recipe of a table by its name, all of them with as many steps."""
    try:
        sections = tomllib.loads(read_text(path, what="table of recipes", max_bytes=2**20))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"table of recipes {str(path)!r} is not valid TOML: {error}") from error
    recipes = {}
    for name, section in sections.items():
        if not isinstance(section, dict) or set(section) - {"recipe", "set"} or not name.replace("-", "").isalnum():
            raise InvalidInputError(
                f"table of recipes {str(path)!r}: [{name}] must be a section named by letters, digits and hyphens, "
                "with nothing but recipe and set"
            )
        overrides = [*section.get("set", ()), *([] if steps is None else [f"run.steps={steps}"])]
        recipes[name] = load_recipe(section.get("recipe", "default"), overrides)
    if not recipes or len({settings.run.steps for settings in recipes.values()}) > 1:
        raise InvalidInputError(f"table of recipes {str(path)!r} needs recipes of equally many steps; give --steps")
    return recipes


def hold_out(dataset: Dataset, held_out: str, *, seed: int) -> Split:
    """Return the split that tests on one group, validates on the next, and trains on the others."""
    groups = sorted({sample.group for sample in dataset.samples})
    if len(groups) < 3:
        raise InvalidInputError(f"holding out needs three groups, and {str(dataset.root)!r} has {len(groups)}")
    validation = groups[(groups.index(held_out) + 1) % len(groups)]
    names = {group: [sample.name for sample in dataset.samples if sample.group == group] for group in groups}
    train = [name for group in groups if group not in (held_out, validation) for name in names[group]]
    return Split(
        train=tuple(train),
        val=tuple(names[validation]),
        test=tuple(names[held_out]),
        seed=seed,
        origin=f"{held_out} held out, {validation} validates",
    )


def counts_of(
    folder: Path, dataset: Dataset, settings: Settings, *, held_out: str, hardware: Hardware
) -> dict[str, Counts]:
    """Return the (C * C,) confusion counts of the held-out group by each model of one run, trained if need be."""
    asked = {"held_out": held_out, "settings": settings.model_dump(mode="json")}
    record = folder / "counts.json"
    plan = folder / "asked.json"
    if plan.is_file():
        earlier = read_json(plan, what="record of a run")
        if parse_settings(earlier["settings"], origin=str(plan)) != settings or earlier["held_out"] != held_out:
            raise InvalidInputError(
                f"{str(folder)!r} holds a run of other settings: give the recipe another name, or choose another --out"
            )
    write_json(plan, asked)
    if not record.is_file():
        run = folder / "run"
        write_split(folder / "split.json", hold_out(dataset, held_out, seed=settings.run.seed))
        if not (run / "last.safetensors").is_file():
            if (run / "manifest.json").is_file():
                resume_training(run, hardware=hardware)
            else:
                shutil.rmtree(run, ignore_errors=True)  # stopped before its folder was complete
                split = hold_out(dataset, held_out, seed=settings.run.seed)
                train_model(dataset, settings, out=run, split=split, hardware=hardware)
        found = {}
        for model in MODELS:
            result = evaluate_model(
                run / f"{model}.safetensors",
                dataset,
                out=folder / model,
                part="test",
                split=folder / "split.json",
                n_worst=2,
                device=hardware.device,
                precision=hardware.precision,
            )
            found[model] = result.evaluation.counts.matrix.ravel().tolist()
        write_json(record, found)
    values = read_json(record, what="counts")
    return {model: np.asarray(values[model], np.float64) for model in MODELS}


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
    lines = ["recipe           " + "  ".join(f"{group[:8]:>8}" for group in groups)]
    for name, item in counts.items():
        values = pixel_figures(item.sum(axis=0))["iou 1"].value
        lines.append(f"{name:<16} " + "  ".join(f"{value:8.3f}" for value in values))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--steps", type=int, help="of every recipe; without it they have to agree by themselves")
    parser.add_argument("--seeds", default="0", help="separated by commas")
    parser.add_argument("--groups", help="held out in turn, separated by commas; all by default")
    parser.add_argument("--out", type=Path, default=Path("recipes"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()

    dataset = open_dataset(options.data, mpp=options.mpp)
    recipes = read_table(options.table, steps=options.steps)
    known = sorted({sample.group for sample in dataset.samples})
    groups = known if options.groups is None else options.groups.split(",")
    if set(groups) - set(known):
        raise InvalidInputError(f"--groups {options.groups}: the groups are {', '.join(known)}")
    seeds = [int(word) for word in options.seeds.split(",")]
    hardware = Hardware(device=options.device, precision=options.precision)
    print_machine("torch", "glomseg")
    found: dict[str, dict[str, list[list[Counts]]]] = {model: {} for model in MODELS}
    for name, settings in recipes.items():
        for model in MODELS:
            found[model][name] = []
        for seed in seeds:
            seeded = settings.model_copy(update={"run": settings.run.model_copy(update={"seed": seed})})
            runs = []
            for group in groups:
                folder = options.out / name / group / f"seed{seed}"
                runs.append(counts_of(folder, dataset, seeded, held_out=group, hardware=hardware))
                print(f"done: {name}, {group} held out, seed {seed}", file=sys.stderr, flush=True)
            for model in MODELS:
                found[model][name].append([run[model] for run in runs])
    steps = next(iter(recipes.values())).run.steps
    length = f"{steps} steps" if isinstance(steps, int) else "as many steps as each training part asks for"
    for model, title in (("best", "best by validation"), ("last", "last step")):
        counts = {name: np.array(item) for name, item in found[model].items()}
        print(f"\n{title}; {length}, {len(seeds)} seeds, {len(groups)} groups held out")
        print("\n".join([*rows(counts), "", *by_group(counts, groups)]))


if __name__ == "__main__":
    try:
        main()
    except GlomsegError as error:
        sys.exit(str(error))
