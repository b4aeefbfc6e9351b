"""glomseg evaluate."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.cli.options import DatasetOptions, TtaOptions, open_with, tta_with
from glomseg.data.findings import counted

if TYPE_CHECKING:
    from glomseg.metrics.evaluation import Evaluation
    from glomseg.metrics.intervals import Interval
    from glomseg.metrics.object_evaluation import ObjectEvaluation


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
    min_area: int | None = None,
    tolerance: float = 5.0,
    device: str = "auto",
    precision: str = "auto",
    tta: TtaOptions | None = None,
    options: DatasetOptions | None = None,
) -> int:
    """Measure a model on a part of a data set, at the tiles' own resolution.

    Parameters
    ----------
    model
        A model file; a run folder, whose best model is taken; the folder of a cross-validation, whose models are taken
        together; a .pth checkpoint of MMSegmentation; or box, the model that comes with glomseg.
    data
        Folder of tiles and masks.
    part
        train, val, test or all; the default is test where the split has one, else val, else all.
    split
        Split file; the default is the one in the model's run folder.
    out
        Folder for the tables and pictures; the default is evaluation-<part> beside the model, or here for the box.
    weights
        A checkpoint of MMSegmentation whose config is given as the model.
    map_
        Draw the error map of this tile; repeat for more.
    worst
        Also draw the maps of this many tiles with the most wrong pixels.
    min_area
        Count no predicted object with fewer pixels than this; all count by default, unless a size was chosen with the
        model.
    tolerance
        How far an outline may lie off in the surface Dice, in um, or in px without --mpp.
    device
        auto, cpu, cuda, cuda:1 or mps.
    precision
        auto, 32-true, bf16-mixed or 16-mixed.
    tta
        Which views of an image are predicted.
    options
        How the data set is read.
    """
    from glomseg.runs import folder_beside
    from glomseg.steps.evaluate import evaluate_model
    from glomseg.steps.evaluation.part import default_part

    dataset = open_with(data, options)
    part = part or default_part(model, dataset, split=split)
    result = evaluate_model(
        model,
        dataset,
        out=out or folder_beside(model) / f"evaluation-{part}",
        weights=weights,
        part=part,
        split=split,
        maps=map_ or (),
        n_worst=worst,
        min_area_px=min_area,
        tolerance=tolerance,
        device=device,
        precision=precision,
        tta=tta_with(tta),
        progress=progress_bar,
    )
    show_evaluation(result.evaluation, part=part, unit="px" if dataset.mpp is None else "um")
    for note in result.notes:
        say_warning(note)
    for name, reason in result.failed.items():
        say_warning(f"left out {name!r}: {reason}")
    for name, reason in result.undrawn.items():
        say_warning(f"no map of {name!r}: {reason}")
    say(f"Written to {result.out}")
    return 1 if result.failed or result.undrawn else 0


def show_evaluation(evaluation: "Evaluation", *, part: str, unit: str) -> None:
    """Show the figures of a part: its objects first, then its pixels, and its groups where they are few."""
    from glomseg.metrics.intervals import MIN_GROUPS

    n_tiles, n_groups = counted(len(evaluation.tiles), "tile"), counted(len(evaluation.groups), "group")
    say(f"{part}: {n_tiles} of {n_groups}")
    for name, objects in zip(evaluation.classes.names[1:], evaluation.objects, strict=True):
        say(*object_summary(name, objects, unit=unit))
    _show_pixels(evaluation)
    say(*probability_summary(evaluation))
    if 1 < len(evaluation.groups) < MIN_GROUPS:
        _show_groups(evaluation)


def object_summary(name: str, found: "ObjectEvaluation", *, unit: str) -> list[str]:
    """Return what a pathologist asks first, in sentences: how many are found, and how far count and area are off."""
    n, figures, intervals = found.counts.objects, found.figures, found.intervals
    if not n.n_targets and not n.n_predictions:
        return [f"{name}: none in the truth, and none predicted"]
    words = [
        f"{name}: {n.n_found} of {n.n_targets} found, {n.n_missed} missed, {n.n_invented} invented; "
        f"{counted(n.n_merges, 'prediction merges', 'predictions merge')} several, {n.n_splits} split into pieces"
    ]
    rates = (("recall", "recall"), ("precision", "precision"), ("f1", "F1"), ("panoptic_quality", "PQ"))
    words.append(
        "  " + "  ".join(f"{label} {_percent(figures[key])}{_in_brackets(intervals[key])}" for key, label in rates)
    )
    off = [
        f"{label} {_off(figures[key])}{_in_brackets(intervals[key], _off)}"
        for key, label in (("count_ratio", "number"), ("area_ratio", "total area"))
        if figures[key] == figures[key]
    ]
    if figures["matched_area_low"] == figures["matched_area_low"]:
        low, high = _off(figures["matched_area_low"]), _off(figures["matched_area_high"])
        off.append(f"area of one {name} {_off(figures['matched_area_ratio'])} (95 % of them {low} to {high})")
    if off:
        words.append("  " + "; ".join(off))
    if figures["hausdorff_95"] == figures["hausdorff_95"]:
        words.append(
            f"  outlines: surface Dice {_percent(figures['surface_dice'])}, "
            f"95 % Hausdorff distance {figures['hausdorff_95']:.1f} {unit}"
        )
    return words


def probability_summary(evaluation: "Evaluation") -> list[str]:
    """Return in one line how far the probabilities can be taken at their word, and whether doubt finds errors."""
    found, words = evaluation.calibration, []
    if found is not None and found.counts.n_pixels:
        surer = found.figures["overconfidence"]
        words.append(
            f"calibration: ECE {_percent(found.figures['ece'])}{_in_brackets(found.intervals['ece'])}, foreground "
            f"{_percent(found.figures['foreground_ece'])}{_in_brackets(found.intervals['foreground_ece'])}, "
            f"{'surer' if surer > 0 else 'less sure'} than right by {_percent(abs(surer))}"
        )
    doubts = {"rank correlation with the error of tiles": evaluation.doubt.get("expected_error")}
    for name, objects in zip(evaluation.classes.names[1:], evaluation.objects, strict=False):
        doubts[f"tells invented {name} from found with an AUC of"] = objects.doubt.get("expected_error")
    told = [
        f"{label} {figure.value:.2f}{_in_brackets(figure.interval, '{:.2f}'.format)}"
        for label, figure in doubts.items()
        if figure is not None and figure.value == figure.value
    ]
    if told:
        words.append(f"doubt: {', '.join(told)}")
    return ["; ".join(words)] if words else []


def _show_pixels(evaluation: "Evaluation") -> None:
    metrics, intervals = evaluation.metrics, evaluation.intervals
    show_table(
        "pixels",
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
            for index, name in enumerate(evaluation.classes.names)
        ],
    )
    say(
        f"aAcc {_percent(metrics.pixel_accuracy)}  mIoU {_percent(metrics.mean_iou)}  "
        f"mAcc {_percent(metrics.mean_accuracy)}"
    )


def _show_groups(evaluation: "Evaluation") -> None:
    """Show the groups themselves where they are too few for an interval that can be trusted."""
    names = evaluation.classes.names[1:]
    from glomseg.metrics.pixels import pixel_metrics

    shown = [f" {name}" for name in names] if len(names) > 1 else [""]
    rows = []
    for group, counts in sorted(evaluation.groups.items()):
        row = [group]
        iou = pixel_metrics(counts).iou[1:]
        for found, value in zip(evaluation.objects, iou, strict=True):
            n = found.groups[group].objects
            row += [str(n.n_targets), str(n.n_found), str(n.n_invented), _percent(value)]
        rows.append(row)
    show_table(
        "by group",
        ["group", *(f"{column}{name}" for name in shown for column in ("true", "found", "invented", "IoU"))],
        rows,
    )


def _in_brackets(interval: "Interval", shown: Callable[[float], str] | None = None) -> str:
    shown = shown or _percent
    return "" if interval.low != interval.low else f" [{shown(interval.low)}, {shown(interval.high)}]"


def _off(ratio: float) -> str:
    """Return how far a ratio is off from 1, in percent with its sign."""
    return f"{100 * (ratio - 1):+.0f} %"


def _range(interval: "Interval") -> str:
    return "-" if interval.low != interval.low else f"{_percent(interval.low)} to {_percent(interval.high)}"


def _percent(value: float) -> str:
    return "-" if value != value else f"{100 * value:.2f}"
