"""glomseg evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.cli.options import DatasetOptions, open_with
from glomseg.data.findings import counted

if TYPE_CHECKING:
    from glomseg.metrics.intervals import Interval


def evaluate(
    model: str,
    data: Path,
    *,
    part: str | None = None,
    split: Path | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    weights: Path | None = None,
    map_: Annotated[list[str] | None, Parameter(name="--map", negative="")] = None,
    worst: int = 4,
    device: str = "auto",
    precision: str = "auto",
    options: DatasetOptions | None = None,
) -> int:
    """Measure a model on a part of a data set, at the tiles' own resolution.

    Parameters
    ----------
    model
        A model file; a run folder, whose best model is taken; or a .pth checkpoint of MMSegmentation.
    data
        Folder of tiles and masks.
    part
        train, val, test or all; the default is test where the split has one, else val, else all.
    split
        Split file; the default is the one in the model's run folder.
    out
        Folder for the tables and pictures; the default is evaluation-<part> beside the model.
    weights
        A checkpoint of MMSegmentation whose config is given as the model.
    map_
        Draw the error map of this tile; repeat for more.
    worst
        Also draw the maps of this many tiles with the most wrong pixels.
    device
        auto, cpu, cuda, cuda:1 or mps.
    precision
        auto, 32-true, bf16-mixed or 16-mixed.
    options
        How the data set is read.
    """
    from glomseg.runs import model_path
    from glomseg.steps.evaluate import default_part, evaluate_model

    dataset = open_with(data, options)
    part = part or default_part(model, dataset, split=split)
    result = evaluate_model(
        model,
        dataset,
        out=out or model_path(model).parent / f"evaluation-{part}",
        weights=weights,
        part=part,
        split=split,
        maps=map_ or (),
        n_worst=worst,
        device=device,
        precision=precision,
        progress=progress_bar,
    )
    evaluation, names = result.evaluation, result.evaluation.classes.names
    metrics, intervals = evaluation.metrics, evaluation.intervals
    show_table(
        f"{part}: {counted(len(evaluation.tiles), 'tile')} of {counted(len(evaluation.groups), 'group')}",
        ["class", "IoU", "95 % interval", "Acc", "Dice", "precision", "recall"],
        [
            [
                name,
                _percent(metrics.iou[index]),
                _range(intervals.iou[index]),
                _percent(metrics.accuracy[index]),
                _percent(metrics.dice[index]),
                _percent(metrics.precision[index]),
                _percent(metrics.recall[index]),
            ]
            for index, name in enumerate(names)
        ],
    )
    say(
        f"aAcc {_percent(metrics.pixel_accuracy)}  mIoU {_percent(metrics.mean_iou)}  "
        f"mAcc {_percent(metrics.mean_accuracy)}"
    )
    for note in result.notes:
        say_warning(note)
    for name, reason in result.failed.items():
        say_warning(f"left out {name!r}: {reason}")
    for name, reason in result.undrawn.items():
        say_warning(f"no map of {name!r}: {reason}")
    say(f"Written to {result.out}")
    return 1 if result.failed or result.undrawn else 0


def _range(interval: "Interval") -> str:
    return "-" if interval.low != interval.low else f"{_percent(interval.low)} to {_percent(interval.high)}"


def _percent(value: float) -> str:
    return "-" if value != value else f"{100 * value:.2f}"
