"""glomseg crossval."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.cli.evaluate import show_evaluation
from glomseg.cli.options import DatasetOptions, open_with
from glomseg.cli.train import toml_text
from glomseg.errors import InvalidInputError

if TYPE_CHECKING:
    from glomseg.steps.crossval import CrossvalResult


def crossval(
    data: Path | None = None,
    *,
    folds: int | None = None,
    by: Literal["group", "site"] = "group",
    site_pattern: str | None = None,
    site_column: str | None = None,
    val: float = 0.2,
    seed: int = 0,
    choose: str | None = None,
    split: Path | None = None,
    recipe: str = "default",
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    weights: str | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    resume: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    options: DatasetOptions | None = None,
) -> int:
    """Train and evaluate once for each fold, every slide held out once, and keep the models as an ensemble.

    Stopped or killed, it goes on by the same command, or by --resume; finished folds are kept.

    Parameters
    ----------
    data
        Folder of tiles and masks, or of slides; not needed with --resume.
    folds
        How many; 5 by default. As many as groups leave one group out each time.
    by
        group divides the groups into folds; site holds out one site each time.
    site_pattern
        Regular expression whose group is the site in a tile's name (a slide's, of slides): '^([^_]+)_'.
    site_column
        Column that names the site: of the CSV of pairs, or of tiles.csv in the folder.
    val
        Share of the tiles that are not held out to choose the step of the training by; 0 keeps the last step.
    seed
        The same seed gives the same folds.
    choose
        Choose these for the ensemble on the held-out tiles: threshold,min-size,tta.
    split
        Split whose test part is set aside and evaluated once, at the end, by the ensemble.
    recipe
        Settings shipped with the package (default, homework), or a TOML file.
    set_
        Change a setting, for example --set run.steps=2000; repeat for more.
    weights
        Start from these weights: a name from `glomseg models`, or a file.
    out
        Folder; the default is runs/<data>-<recipe>-crossval.
    resume
        Go on with the cross-validation in this folder.
    device
        auto, cpu, cuda or mps.
    precision
        auto, 32-true, bf16-mixed or 16-mixed.
    options
        How the data set is read.
    """
    from glomseg.data.folds import sites_of
    from glomseg.data.split import read_split
    from glomseg.recipes import load_recipe
    from glomseg.steps.crossval import cross_validate, resume_crossval
    from glomseg.training.hardware import Hardware

    given = any(item is not None for item in (folds, site_pattern, site_column, choose, split, weights, out, options))
    changed = (by, val, seed, recipe, precision) != ("group", 0.2, 0, "default", "auto")
    if resume is not None and (given or changed or set_):
        raise InvalidInputError("--resume takes everything but --device from the folder: leave the other options out")
    if (data is None) == (resume is None):
        raise InvalidInputError("give one of: a data folder to cross-validate on, or --resume FOLDER")
    if by == "site" and folds is not None:
        raise InvalidInputError("--by site makes a fold of each site and takes no --folds")
    if by == "group" and (site_pattern is not None or site_column is not None):
        raise InvalidInputError("--site-pattern and --site-column say which site to hold out: give --by site too")
    place = resume or out or Path("runs") / f"{Path(data or '').resolve().name}-{Path(recipe).stem}-crossval"
    try:
        if data is None:
            result = resume_crossval(place, device=device, progress=progress_bar, message=say)
        else:
            overrides = [*(set_ or []), *([] if weights is None else [f"model.weights={toml_text(weights)}"])]
            dataset = open_with(data, options)
            result = cross_validate(
                dataset,
                load_recipe(recipe, overrides),
                out=place,
                folds=5 if folds is None else folds,
                sites=sites_of(dataset, pattern=site_pattern, column=site_column) if by == "site" else None,
                val=val,
                seed=seed,
                choices=[] if choose is None else [item.strip() for item in choose.split(",")],
                split=None if split is None else read_split(split),
                hardware=Hardware(device=device, precision=precision),
                progress=progress_bar,
                message=say,
            )
    except KeyboardInterrupt:
        if not (place / "crossval.json").is_file():
            raise
        return _stopped(place)
    if not result.finished:
        return _stopped(place)
    _show(result)
    return 1 if result.failed else 0


def _stopped(place: Path) -> int:
    say(f"Stopped. Go on with: glomseg crossval --resume {place}")
    return 130


def _show(result: "CrossvalResult") -> None:
    assert result.evaluation is not None
    names = result.evaluation.classes.names[1:]
    shown = [f" {name}" for name in names] if len(names) > 1 else [""]
    rows = []
    for row in result.folds:
        cells = [str(row["fold"]), row["held_out"], row["n_tiles"], row["n_groups"], row["step"]]
        for name in names:
            cells += [row[f"true {name}"], row[f"found {name}"], row[f"invented {name}"]]
            cells += [_percent(row[f"f1 {name}"]), _percent(row[f"iou {name}"])]
        rows.append(cells)
    columns = ["fold", "held out", "tiles", "groups", "step"]
    columns += [f"{column}{name}" for name in shown for column in ("true", "found", "invented", "F1", "IoU")]
    show_table("folds", columns, rows, n_left=2)
    show_evaluation(result.evaluation, part="out of fold", unit=result.unit)
    if result.test is not None:
        show_evaluation(result.test.evaluation, part="test, by the ensemble", unit=result.unit)
        for note in result.test.notes:
            say_warning(f"test: {note}")
    for note in result.notes:
        say_warning(note)
    for name, reason in result.failed.items():
        say_warning(f"left out {name!r}: {reason}")
    say(f"Written to {result.out}", f"The models as one: glomseg predict {result.out} IMAGES")


def _percent(value: Any) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
