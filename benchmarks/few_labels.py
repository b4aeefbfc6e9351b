"""What few labelled tiles are worth: a learning curve over 1, 2, 4, ... tiles, from scratch and from a trained start.

    python benchmarks/few_labels.py DATA --mpp 0.5 [--start "starts/{group}.safetensors"] [--tiles 0,1,2,4,8,16]
        [--steps 500] [--seeds 0,1,2] [--groups B,C] [--out FOLDER]

For each group in turn: that group is the test part, and of the others as many tiles are trained on as the curve says,
for the same number of steps, in three ways: from random numbers (scratch), from a model (start), and from the same
with its backbone frozen (frozen). The seed draws the tiles: those of a smaller number are among those of a larger one,
and they are the same for all three. Where a group leaves fewer tiles than asked for, all of them are taken. No tile
0 is the start as it is.

`--start` is a model, or a pattern with {group} for one a held-out group. A start that saw a tile of the held-out group
is refused; that it saw tiles which are then trained on again is said, because the curve is flatter then. Without it
the start is trained on synthetic tissue alone, by the first stage of benchmarks/box_model.py.

What is done is not done again, and a run that was stopped goes on. Prints IoU with its 95 % interval over the groups,
counts of all seeds added up, the range over the seeds, and for each number of tiles the differences to scratch, paired
by group; draws the curve.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from box_model import RECIPES, pretrain
from glomseg import Dataset, Settings, Split, load_recipe, open_dataset, write_split
from glomseg.data.findings import counted
from glomseg.data.statistics import scan_masks
from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError
from glomseg.files import atomic_path, read_json, sha256_of, write_json
from glomseg.metrics.intervals import group_intervals
from glomseg.metrics.pixel_intervals import pixel_figures
from glomseg.training.hardware import Hardware
from recipes import Counts, rows
from timing import print_machine
from training import claim, counts_of_test, held_out_groups, image_hashes, refuse_seen, train_once

STARTS = ("scratch", "start", "frozen")
Curve = Mapping[int, Mapping[str, Counts]]
"""For each number of tiles and each start the (S, G, C * C) counts of the seeds and the held-out groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is the same for all points of the curve."""

    dataset: Dataset
    settings: Settings
    starts: Mapping[str, Path]
    """The model to start from, for each held-out group."""
    with_foreground: frozenset[str]
    """Names of the tiles that show any."""
    out: Path
    hardware: Hardware

    def order(self, group: str, *, seed: int) -> tuple[str, ...]:
        """Return the tiles outside a group in the order in which they are labelled, one with foreground first."""
        names = [sample.name for sample in self.dataset.samples if sample.group != group]
        drawn = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
        first = next((name for name in drawn if name in self.with_foreground), None)
        if first is None:
            raise InvalidInputError(
                f"no tile outside {group!r} shows any foreground, so nothing can be learnt from them"
            )
        return (first, *(name for name in drawn if name != first))


def count_point(study: Study, *, start: str, n_tiles: int, group: str, seed: int) -> Counts:
    """Return the (C * C,) confusion counts of a held-out group by one run, trained if need be."""
    folder = study.out / start / f"tiles{n_tiles}" / group / f"seed{seed}"
    order = study.order(group, seed=seed)
    held_out = tuple(sample.name for sample in study.dataset.samples if sample.group == group)
    split = Split(
        train=order[:n_tiles], val=(), test=held_out, seed=seed, origin=f"{group} held out, {n_tiles} tiles labelled"
    )
    model = study.starts[group]
    claim(
        folder,
        _settings(study.settings, start=start, weights="start", seed=seed),  # its bytes say what it is, not its place
        held_out=group,
        tiles=list(split.train),
        start="" if start == "scratch" else sha256_of(model),
    )
    record = folder / "counts.json"
    if not record.is_file():
        write_split(folder / "split.json", split)
        if n_tiles:
            settings = _settings(study.settings, start=start, weights=str(model.absolute()), seed=seed)
            model = train_once(folder / "run", study.dataset, settings, split=split, hardware=study.hardware)
        out, split_file = folder / "evaluation", folder / "split.json"
        write_json(record, counts_of_test(model, study.dataset, out=out, split=split_file, hardware=study.hardware))
        print(f"done: {start}, {counted(n_tiles, 'tile')}, {group} held out, seed {seed}", file=sys.stderr, flush=True)
    return np.asarray(read_json(record, what="counts"), np.float64)


def _settings(settings: Settings, *, start: str, weights: str, seed: int) -> Settings:
    model = {"weights": None, "freeze": "none"}
    if start != "scratch":
        model = {"weights": weights, "freeze": "backbone" if start == "frozen" else "none"}
    return settings.model_copy(
        update={
            "model": settings.model.model_copy(update=model),
            "run": settings.run.model_copy(update={"seed": seed}),
        }
    )


def starts_of(pattern: str, dataset: Dataset, groups: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Return the start of each held-out group, and what has to be said of them.

    Raises
    ------
    MissingInputError
        If there is none of a group.
    InvalidInputError
        If one saw a tile that it is to be tested on.
    """
    hashes = image_hashes(dataset)
    starts, notes = {}, []
    for group in groups:
        path = Path(pattern.replace("{group}", group))
        if not path.is_file():
            raise MissingInputError(f"--start {pattern!r}: there is no {str(path)!r} for the group {group!r}")
        seen = refuse_seen(path, dataset, hashes, held_out=group)
        if not seen:
            notes.append(f"{path} does not say what it was trained on: it may have seen any of these tiles")
        n_again = sum(digest in seen for digest in hashes.values())
        if n_again:
            notes.append(
                f"{path} was trained on {counted(n_again, 'tile')} of the groups that are labelled again: the curve of "
                f"start and frozen on {group} does not say what new labels add"
            )
        starts[group] = path
    return starts, notes


def table(curve: Curve) -> list[str]:
    """Return a line a number of tiles, with the IoU of each start, its interval over groups, its range over seeds."""
    lines = ["tiles  " + "".join(f"{start:<42}" for start in STARTS).rstrip()]
    for n_tiles, starts in curve.items():
        cells = []
        for start in STARTS:
            if start not in starts:
                cells.append("-")
                continue
            value, interval, (low, high) = _iou(starts[start])
            cells.append(f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}], {low:.3f} to {high:.3f}")
        lines.append((f"{n_tiles:<7}" + "".join(f"{cell:<42}" for cell in cells)).rstrip())
    return lines


def _iou(counts: Counts) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Return the IoU of the first foreground class, its interval over groups, and its range over seeds."""
    groups = counts.sum(axis=0)
    interval = group_intervals(groups, pixel_figures)["iou 1"]
    by_seed = pixel_figures(counts.sum(axis=1))["iou 1"].value
    value = float(pixel_figures(groups.sum(axis=0))["iou 1"].value)
    return value, (interval.low, interval.high), (float(np.min(by_seed)), float(np.max(by_seed)))


def save_curve(path: Path, curve: Curve) -> None:
    """Draw the IoU over the number of tiles, a line a start; its range over the seeds is a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.add_subplot()
    places = {n_tiles: place for place, n_tiles in enumerate(curve)}
    titles = {"scratch": "from random numbers", "start": "from the start", "frozen": "from the start, backbone frozen"}
    for start, color in zip(STARTS, ("0.45", "tab:blue", "tab:orange"), strict=True):
        points = [(places[n], *_iou(starts[start])) for n, starts in curve.items() if start in starts]
        if not points:
            continue
        x, values = [point[0] for point in points], [point[1] for point in points]
        axis.plot(x, values, marker="o", color=color, label=titles[start])
        axis.fill_between(x, *np.array([point[3] for point in points]).T, color=color, alpha=0.2, linewidth=0)
    axis.set_xticks(list(places.values()), labels=[str(n_tiles) for n_tiles in places])
    axis.set(xlabel="labelled tiles", ylabel="IoU on groups that were never seen", ylim=(0, 1))
    axis.grid(color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(title="band: range over the seeds", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def measure_curve(study: Study, *, tiles: Sequence[int], seeds: Sequence[int]) -> dict[int, dict[str, Counts]]:
    """Return the counts of every point of the curve."""
    curve: dict[int, dict[str, Counts]] = {}
    for n_tiles in sorted(set(tiles)):
        curve[n_tiles] = {}
        for start in STARTS if n_tiles else ("start",):
            used = seeds if n_tiles else seeds[:1]  # what is not trained has no seed
            curve[n_tiles][start] = np.array(
                [
                    [count_point(study, start=start, n_tiles=n_tiles, group=group, seed=seed) for group in study.starts]
                    for seed in used
                ]
            )
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--start", help="a model, or a pattern with {group}; trained on synthetic tissue by default")
    parser.add_argument("--recipe", default=str(RECIPES / "finetune.toml"), help="of every run")
    parser.add_argument("--tiles", default="0,1,2,4,8,16", help="separated by commas")
    parser.add_argument("--steps", type=int, help="of every run; those of the recipe by default")
    parser.add_argument("--seeds", default="0", help="separated by commas")
    parser.add_argument("--groups", help="held out in turn, separated by commas; all by default")
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="folder with the recipes of the start")
    parser.add_argument("--out", type=Path, default=Path("few-labels"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()

    dataset = open_dataset(options.data, mpp=options.mpp)
    settings = load_recipe(options.recipe, [] if options.steps is None else [f"run.steps={options.steps}"])
    groups = held_out_groups(dataset, options.groups)
    tiles, seeds = ([int(word) for word in text.split(",")] for text in (options.tiles, options.seeds))
    if min(tiles) < 0:
        raise InvalidInputError(f"--tiles {options.tiles}: a number of tiles is 0 or more")
    hardware = Hardware(device=options.device, precision=options.precision)
    print_machine("torch", "glomseg")
    pattern = options.start or str(pretrain(options.out, recipes=options.recipes, hardware=hardware))
    starts, notes = starts_of(pattern, dataset, groups)
    study = Study(
        dataset=dataset,
        settings=settings,
        starts=starts,
        with_foreground=frozenset(item.name for item in scan_masks(dataset) if item.foreground_pixels),
        out=options.out,
        hardware=hardware,
    )
    curve = measure_curve(study, tiles=tiles, seeds=seeds)
    print(
        f"\n{settings.run.steps} steps, {len(seeds)} seeds, {len(groups)} groups held out; IoU [95 %], range of seeds"
    )
    print("\n".join(table(curve)))
    for n_tiles, found in curve.items():
        if n_tiles:
            print("\n".join(["", counted(n_tiles, "tile"), *rows(found)]))
    most = min(sum(sample.group != group for sample in dataset.samples) for group in groups)
    if max(tiles) > most:
        notes.append(f"some groups leave fewer than {max(tiles)} tiles, the least {most}: all of them were taken there")
    print("".join(f"\nnote: {note}" for note in notes))
    save_curve(options.out / "curve.png", curve)
    print(f"curve: {options.out / 'curve.png'}")


if __name__ == "__main__":
    try:
        main()
    except GlomsegError as error:
        sys.exit(str(error))
