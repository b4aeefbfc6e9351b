"""glomseg train."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning
from glomseg.cli.options import DatasetOptions, class_names, open_with
from glomseg.errors import InvalidInputError

if TYPE_CHECKING:
    from glomseg.steps.train import TrainResult
    from glomseg.training.hardware import Hardware


def train(
    data: Path | None = None,
    *,
    recipe: str | None = None,
    config: Path | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    split: Path | None = None,
    weights: str | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    like: Path | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    precision: str = "auto",
    options: DatasetOptions | None = None,
) -> int:
    """Train a model on a folder of tiles and masks, with no configuration to write.

    Parameters
    ----------
    data
        Folder of tiles and masks; not needed with --resume and --like.
    recipe
        Settings shipped with the package (default, homework), or a TOML file; the default is "default".
    config
        A training config of MMSegmentation in place of a recipe and a split. It is read, never executed. A data folder
        takes the place of its data_root.
    set_
        Change a setting, for example --set run.steps=2000; repeat for more.
    split
        Split file, or a folder with train.txt and val.txt; the default is what lies in DATA/splits, and where
        there is nothing a split by group is drawn.
    weights
        Start from these weights: a name from `glomseg models`, such as box, the model that comes with glomseg; a file
        (safetensors or .pth), a run or a folder with model.safetensors; or hf:ORGANISATION/NAME[@REVISION] of Hugging
        Face's hub.
    out
        Run folder; the default is runs/<data>-<recipe>-<time>.
    resume
        Go on with the run in this folder.
    like
        Repeat the run in this folder: its settings, data and split.
    device
        auto, cpu, cuda or mps.
    devices
        Processes on this machine, one a GPU.
    nodes
        Machines.
    precision
        auto, 32-true, bf16-mixed or 16-mixed.
    options
        How the data set is read.
    """
    from glomseg.training.hardware import Hardware

    if config is not None:
        if any(item is not None for item in (recipe, split, resume, like)):
            raise InvalidInputError(
                "--config stands for recipe and split, and starts a run of its own; leave these out"
            )
        if options is not None and replace(options, mpp=None, classes=None) != DatasetOptions():
            raise InvalidInputError("--config says how the data are read; only --mpp and --classes go with it")
    elif sum(item is not None for item in (data, resume, like)) != 1:
        raise InvalidInputError("give one of: a data folder to train on, --resume RUN, or --like RUN")
    if resume is not None or like is not None:
        _check_unused(
            "--like" if resume is None else "--resume",
            {
                "--recipe": recipe is not None,
                "--set": bool(set_),
                "--split": split is not None,
                "--weights": weights is not None,
                "--out": resume is not None and out is not None,
                "--mpp, --classes and other options of the data set": options is not None,
            },
        )
    hardware = Hardware(device=device, devices=devices, nodes=nodes, precision=precision)
    overrides = [*(set_ or []), *([] if weights is None else [f"model.weights={toml_text(weights)}"])]
    if config is not None:
        result = _train_from_config(config, data, overrides, out=out, hardware=hardware, options=options)
    else:
        result = _train(
            data, recipe or "default", overrides, split=split, out=out, resume=resume, like=like,
            hardware=hardware, options=options,
        )  # fmt: skip
    if not result.finished:
        say(f"Stopped after step {result.step}. Go on with: glomseg train --resume {result.run}")
        return 130
    if result.validation:
        figures = "  ".join(
            f"{name} {'-' if value is None else f'{100 * value:.2f}'}"
            for name, value in result.validation["iou"].items()
        )
        say(f"Best at step {result.validation['step']}: validation IoU {figures}")
    say(f"Run folder: {result.run}")
    return 0


def _check_unused(mode: str, given: dict[str, bool]) -> None:
    """Raise if options were given that a run which goes on or is repeated would not heed."""
    unused = [name for name, is_given in given.items() if is_given]
    if unused:
        raise InvalidInputError(
            f"{mode} takes settings, data and split from the run folder, so {', '.join(unused)} would do nothing; "
            "leave it out, or start a new run"
        )


def _train(
    data: Path | None,
    recipe: str,
    overrides: list[str],
    *,
    split: Path | None,
    out: Path | None,
    resume: Path | None,
    like: Path | None,
    hardware: "Hardware",
    options: DatasetOptions | None,
) -> "TrainResult":
    from glomseg.data.split import read_split
    from glomseg.recipes import load_recipe
    from glomseg.steps.train import repeat_training, resume_training, train_model

    if resume is not None:
        return resume_training(resume, hardware=hardware, progress=progress_bar, message=say)
    if like is not None:
        return repeat_training(
            like, out=out or _run_name(like.name, "again"), hardware=hardware, progress=progress_bar, message=say
        )
    assert data is not None
    settings = load_recipe(recipe, overrides)
    dataset = open_with(data, options)
    split = split or _split_of(data)
    if split is not None:
        say(f"split: {split}")
    return train_model(
        dataset,
        settings,
        out=out or _run_name(data.resolve().name, settings.recipe),
        split=None if split is None else read_split(split),
        hardware=hardware,
        progress=progress_bar,
        message=say,
    )


def _train_from_config(
    config: Path,
    data: Path | None,
    overrides: list[str],
    *,
    out: Path | None,
    hardware: "Hardware",
    options: DatasetOptions | None,
) -> "TrainResult":
    from glomseg.steps.openmmlab.training import read_training_config
    from glomseg.steps.train import train_model

    read = read_training_config(config, data=data, overrides=overrides)
    for note in read.notes:
        say_warning(note)
    dataset = read.dataset
    if options is not None:
        classes = dataset.classes if options.classes is None else dataset.classes.renamed(class_names(options.classes))
        dataset = replace(dataset, mpp=options.mpp, classes=classes)
    return train_model(
        dataset,
        read.settings,
        out=out or _run_name(read.dataset.root.resolve().name, config.stem),
        split=read.split,
        hardware=hardware,
        progress=progress_bar,
        message=say,
    )


def _split_of(data: Path) -> Path | None:
    """Return the split that lies in the data folder: glomseg's file, else lists as MMSegmentation has them."""
    folder = data / "splits"
    places = (folder / "split.json", folder / "train.txt")
    return next((place if place.suffix == ".json" else folder for place in places if place.is_file()), None)


def _run_name(data: str, recipe: str) -> Path:
    return Path("runs") / f"{data}-{recipe}-{datetime.now():%Y%m%d-%H%M%S}"


def toml_text(value: str) -> str:
    """Return a string as TOML writes it, as `--set` takes it."""
    return "'''" + value + "'''"
