"""How good a recipe is on a slide that it never saw: every group of a data set held out once.

    python benchmarks/leave_one_out.py DATA --mpp 0.5 [--out FOLDER] [--set KEY=VALUE ...]

For each group in turn: that group is the test part, the next one the validation part, the others are trained on.
Prints the IoU of the foreground by held-out group, the best by validation and at the last step. A group that is done
is not done again, so an interrupted call goes on.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from glomseg import Split, load_recipe, open_dataset, write_split
from glomseg.files import read_json
from timing import print_machine


def hold_out(groups: list[str], held_out: str, names: dict[str, list[str]], *, seed: int) -> Split:
    """Return the split that tests on one group and validates on the next."""
    validation = groups[(groups.index(held_out) + 1) % len(groups)]
    train = [name for group in groups if group not in (held_out, validation) for name in names[group]]
    return Split(
        train=tuple(train),
        val=tuple(names[validation]),
        test=tuple(names[held_out]),
        seed=seed,
        origin=f"{held_out} held out, {validation} validates",
    )


def glomseg(*words: object) -> None:
    """Run a command and end with it if it fails."""
    done = subprocess.run([sys.executable, "-m", "glomseg", *map(str, words)], stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        sys.exit(f"glomseg {' '.join(map(str, words))} failed; its error is above")


def figure(evaluation: Path) -> str:
    """Return the foreground's IoU of an evaluation, with precision and recall; "-" where nothing was found at all."""
    figures = read_json(evaluation / "evaluation.json", what="evaluation")["figures"]
    values = (figures[name]["glomerulus"] for name in ("iou", "precision", "recall"))
    return "  ".join("  -  " if value is None else f"{value:.3f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mpp", type=float, required=True)
    parser.add_argument("--out", type=Path, default=Path("leave-one-out"))
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()

    settings = load_recipe(options.recipe, options.overrides)
    dataset = open_dataset(options.data, mpp=options.mpp)
    names: dict[str, list[str]] = {}
    for sample in dataset.samples:
        names.setdefault(sample.group, []).append(sample.name)
    groups = sorted(names)
    print_machine("torch", "glomseg")
    print(
        f"recipe {options.recipe} {' '.join(options.overrides)}, {settings.run.steps} steps, seed {settings.run.seed}"
    )
    print("held out (tiles)      best by validation: IoU precision recall     last step: IoU precision recall")
    for group in groups:
        folder = options.out / group
        write_split(folder / "split.json", hold_out(groups, group, names, seed=settings.run.seed))
        common = ("--mpp", options.mpp, "--split", folder / "split.json")
        if not (folder / "run" / "last.safetensors").is_file():
            overrides = [word for item in options.overrides for word in ("--set", item)]
            glomseg("train", options.data, *common, "--recipe", options.recipe, *overrides, "--out", folder / "run")
        for model in ("best", "last"):
            if not (folder / model / "evaluation.json").is_file():
                glomseg(
                    "evaluate", folder / "run" / f"{model}.safetensors", options.data, *common, "--part", "test",
                    "--out", folder / model,
                )  # fmt: skip
        print(
            f"{group:<16} ({len(names[group])})              {figure(folder / 'best')}"
            f"                     {figure(folder / 'last')}",
            flush=True,
        )


if __name__ == "__main__":
    main()
