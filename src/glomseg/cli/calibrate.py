"""glomseg calibrate."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.cli.options import DatasetOptions, TtaOptions, open_with, tta_with
from glomseg.data.findings import counted

_ROWS = (
    ("ece", "ECE, %", 100),
    ("overconfidence", "surer than right, %", 100),
    ("foreground_ece", "foreground ECE, %", 100),
    ("brier", "Brier score, %", 100),
    ("log_loss", "log loss, nats", 1),
)


def calibrate(
    model: str,
    data: Path,
    *,
    part: str = "val",
    split: Path | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    device: str = "auto",
    precision: str = "auto",
    tta: TtaOptions | None = None,
    options: DatasetOptions | None = None,
) -> int:
    """Make a model's probabilities what they say; its masks stay. A new model file is written.

    Parameters
    ----------
    model
        A model file, a run folder, whose best model is taken, or box.
    data
        Folder of tiles and masks.
    part
        val, or all for tiles that are kept for this.
    split
        Split file; the default is the one in the model's run folder.
    out
        The model file to write; the default is <model>-calibrated.safetensors beside the model, or here for
        the box.
    device
        auto, cpu, cuda, cuda:1 or mps.
    precision
        auto, 32-true, bf16-mixed or 16-mixed.
    tta
        Which views of an image are predicted.
    options
        How the data set is read.
    """
    from glomseg.steps.calibrate import calibrate_model

    result = calibrate_model(
        model,
        open_with(data, options),
        out=out,
        part=part,
        split=split,
        device=device,
        precision=precision,
        tta=tta_with(tta),
        progress=progress_bar,
    )
    ends = result.interval
    within = "" if ends.low != ends.low else f" [{ends.low:.3f}, {ends.high:.3f}]"
    say(
        f"{part}: {counted(result.n_tiles, 'tile')} of {counted(result.n_groups, 'group')}, "
        f"{counted(result.n_pixels, 'pixel')}",
        f"temperature {result.temperature:.3f}{within}",
    )
    show_table(
        "calibration",
        ["figure", "before", "95 % interval", "after", "95 % interval"],
        [
            [
                label,
                *(
                    text
                    for found in (result.before, result.after)
                    for text in (
                        _number(factor * found.figures[name]),
                        f"{_number(factor * found.intervals[name].low)} to "
                        f"{_number(factor * found.intervals[name].high)}"
                        if found.intervals[name].low == found.intervals[name].low
                        else "-",
                    )
                ),
            ]
            for name, label, factor in _ROWS
        ],
    )
    for note in result.notes:
        say_warning(note)
    for name, reason in result.failed.items():
        say_warning(f"left out {name!r}: {reason}")
    say(f"Written to {result.path}")
    return 1 if result.failed else 0


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
