"""Turn a checkpoint of MMSegmentation into a glomseg model."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from glomseg.errors import InvalidInputError
from glomseg.models.model_files import SUFFIX, save_model
from glomseg.models.openmmlab.importing import load_openmmlab
from glomseg.models.profile import count_parameters
from glomseg.types import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """A model that was imported.

    Attributes
    ----------
    path
        The model file that was written.
    card
        As stored in it.
    n_entries, n_parameters
        Of the network; every one is from the checkpoint.
    notes
        What is otherwise than it was there, in sentences.
    """

    path: Path
    card: ModelCard
    n_entries: int
    n_parameters: int
    notes: tuple[str, ...]


def import_model(
    checkpoint: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> ImportResult:
    """Write the network of a ``.pth`` checkpoint of MMSegmentation as a glomseg model file.

    Nothing in the checkpoint or the config is executed.

    Parameters
    ----------
    checkpoint
        Of MMSegmentation 1.x or 0.x.
    out
        The model file to write.
    config
        The config it was trained with; None takes the one that the checkpoint holds.
    class_names
        What its classes shall be called, in its order; None keeps their names.

    Raises
    ------
    UnsafeFileError
        If the checkpoint asks for more than tensors and plain values.
    InvalidInputError
        If the config is not plain, the network is of a kind that glomseg does not have, or the checkpoint does not
        fit it: all entries that are missing or of another shape are named.
    """
    out = Path(out)
    if out.suffix != SUFFIX:
        raise InvalidInputError(f"--out {str(out)!r} has to end in {SUFFIX}: a glomseg model is written")
    model = load_openmmlab(checkpoint, config=config)
    card = model.card
    if class_names is not None:
        card = replace(card, classes=card.classes.renamed(class_names))
    save_model(out, model.network, card)
    return ImportResult(
        path=out,
        card=card,
        n_entries=len(model.network.state_dict()),
        n_parameters=count_parameters(model.network),
        notes=model.notes,
    )
