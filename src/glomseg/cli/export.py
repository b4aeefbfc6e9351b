"""glomseg export."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glomseg.cli.console import say, say_warning


def export(
    model: str,
    *,
    format: str = "mmseg",
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("exported"),
) -> None:
    """Write a model for another program.

    Parameters
    ----------
    model
        A model file, a run folder, whose best model is taken, or box.
    format
        mmseg: a config and a checkpoint of MMSegmentation 1.x.
    out
        Folder to write to.
    """
    from glomseg.steps.export_model import export_model

    result = export_model(model, out=out, format=format)
    for note in result.notes:
        say_warning(note)
    say("Written:", *(f"  {file}" for file in result.files))
