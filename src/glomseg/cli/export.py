"""glomseg export."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glomseg.cli.console import say, say_warning


def export(
    model: str,
    *images: str,
    format: str = "onnx,openvino",
    mpp: float | None = None,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("exported"),
) -> None:
    """Write a model for another program.

    Parameters
    ----------
    model
        A model file, a run folder, whose best model is taken, or box.
    images
        Tiles on which an exported network is compared with PyTorch: files, folders or patterns; none draws synthetic
        tissue.
    format
        onnx: one file for ONNX Runtime. openvino: two files for OpenVINO. mmseg: a config and a checkpoint of
        MMSegmentation 1.x. Several are separated by commas.
    mpp
        Micrometres per pixel of the tiles.
    out
        Folder to write to.
    """
    from glomseg.steps.export_model import export_model

    formats = [item.strip() for item in format.split(",")]
    for result in export_model(model, images, out=out, formats=formats, mpp=mpp):
        for note in result.notes:
            say_warning(note)
        if result.agreement is not None:
            say(f"as in PyTorch: {result.agreement.describe()}")
        say("Written:", *(f"  {file}" for file in result.files))
