"""Write a glomseg model for another program."""

import os
from dataclasses import dataclass
from pathlib import Path

from glomseg.errors import InvalidInputError
from glomseg.models.model_files import load_model
from glomseg.models.openmmlab.exporting import save_openmmlab
from glomseg.runs import model_path

FORMATS = ("mmseg",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What was written.

    Attributes
    ----------
    files
        A config and a checkpoint.
    notes
        What the other program does otherwise, in sentences.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def export_model(model: str | os.PathLike[str], *, out: str | os.PathLike[str], format: str = "mmseg") -> ExportResult:
    """Write a model in the format of another program.

    Parameters
    ----------
    model
        A model file, or a run folder, whose best model is taken.
    out
        The folder to write to.
    format
        "mmseg": a config and a checkpoint of MMSegmentation 1.x.

    Raises
    ------
    InvalidInputError
        If there is no such format, or the other program has no such network.
    """
    if format not in FORMATS:
        raise InvalidInputError(f"--format {format!r} is not known; there is {', '.join(FORMATS)}")
    path = model_path(model)
    network, card = load_model(path)
    files = save_openmmlab(out, network, card, name=path.stem)
    notes = []
    if card.scaling.mpp is not None:
        notes.append(
            f"MMSegmentation knows no micrometres per pixel: every image is taken at {card.scaling.factor:.3g} of its "
            f"size, which is right for images of {card.scaling.mpp * card.scaling.factor:.3g} um per pixel"
        )
    if card.inference.temperature != 1:
        notes.append(
            f"MMSegmentation knows no temperature: its masks are the same, but its probabilities are those before "
            f"{card.inference.temperature:.3g} was fitted"
        )
    if card.stain is not None:
        notes.append(
            f"MMSegmentation does not bring stains to a reference as this model learnt with ({card.stain.method}): its "
            "predictions there will be worse"
        )
    return ExportResult(files=files, notes=tuple(notes))
