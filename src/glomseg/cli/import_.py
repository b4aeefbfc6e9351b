"""glomseg import."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glomseg.cli.console import say, say_warning, show_table
from glomseg.errors import InvalidInputError


def import_(
    *files: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("model.safetensors"),
    explain: bool = False,
    classes: str | None = None,
) -> None:
    """Turn a config and a checkpoint of MMSegmentation into a glomseg model, without MMSegmentation.

    Configs are read and never executed; of checkpoints only tensors and plain values are read.

    Parameters
    ----------
    files
        CONFIG.py and CHECKPOINT.pth, in either order; the checkpoint alone where it holds its config.
    out
        The model file to write.
    explain
        Write nothing; say what each part of CONFIG.py becomes here, and what is not carried over.
    classes
        What the model's classes shall be called, in its order: background,glomerulus.
    """
    configs = [file for file in files if file.suffix == ".py"]
    checkpoints = [file for file in files if file.suffix != ".py"]
    if explain:
        if len(configs) != 1 or checkpoints:
            raise InvalidInputError("give one config: glomseg import --explain CONFIG.py")
        _explain(configs[0])
        return
    if len(checkpoints) != 1 or len(configs) > 1:
        raise InvalidInputError("give a config and a checkpoint: glomseg import CONFIG.py CHECKPOINT.pth")
    from glomseg.cli.options import class_names
    from glomseg.steps.import_model import import_model

    result = import_model(
        checkpoints[0],
        config=configs[0] if configs else None,
        out=out,
        class_names=None if classes is None else class_names(classes),
    )
    for note in result.notes:
        say_warning(note)
    say(
        f"All {result.n_entries:,} entries ({result.n_parameters:,} parameters) are from {checkpoints[0].name}.",
        f"Classes: {', '.join(result.card.classes.names)}",
        f"Written to {result.path}. Try it with: glomseg predict {result.path} IMAGES",
    )


def _explain(config: Path) -> None:
    from glomseg.steps.openmmlab.explaining import explain_config

    explanation = explain_config(config)
    show_table(config.name, ["in the config", "in glomseg"], explanation.rows, n_left=2)
    if explanation.not_carried:
        say(f"not carried over: {', '.join(explanation.not_carried)}")
    for note in explanation.notes:
        say_warning(note)
    if explanation.refusal:
        say_warning(f"it can be imported, but not trained from: {explanation.refusal}")
