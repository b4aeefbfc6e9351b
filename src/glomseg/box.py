"""The model in the box: the one that comes with the package."""

import os
from importlib import resources
from pathlib import Path

from glomseg.errors import InvalidInputError, MissingInputError

BOX = "box"
"""The name of the model in the box, wherever a model or starting weights are named."""

_FILE = "models/box/glomeruli.safetensors"


def box_model() -> Path:
    """Return the file of the model that comes with the package: it finds glomeruli, and its card says of whom.

    Raises
    ------
    MissingInputError
        If this installation lacks it.
    """
    path = Path(str(resources.files("glomseg").joinpath(_FILE)))
    if not path.is_file():
        raise MissingInputError(
            f"the model in the box is missing from this installation ({str(path)!r}): install glomseg again, "
            "or name a model of your own"
        )
    return path


def is_box(model: str | os.PathLike[str]) -> bool:
    """Return whether a text names the model in the box; a `Path` never does.

    Raises
    ------
    InvalidInputError
        If it could as well be the file or folder of that name in the working directory.
    """
    if not isinstance(model, str) or model != BOX:
        return False
    if os.path.lexists(BOX):
        raise InvalidInputError(
            f"{BOX!r} is the model that comes with glomseg, and the working directory holds something of that name "
            f"too: write ./{BOX} if you mean that, or go to another directory"
        )
    return True
