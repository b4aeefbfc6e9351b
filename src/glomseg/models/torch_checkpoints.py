"""Reading checkpoints of other programs without running what is in them.

A ``.pth`` file is a pickle, and a pickle can call any function. torch's weights-only unpickler builds
nothing but what is on its list; MMEngine's training checkpoints hold a few objects more, and for those
there are stand-ins here: its dicts become plain ones, its other objects inert.
"""

import os
import pickle
import warnings
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError, UnsafeFileError

_MAX_INFLATION = 4
"""How many times its size on disk a checkpoint may unpack to; torch stores its tensors uncompressed."""


_INERT = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "mmengine.config.config.Config",
    "mmcv.utils.config.Config",
)
_DICTS = ("mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict", "addict.addict.Dict")


class InertObject:
    """Stands for an object of a program that is not installed; it keeps nothing and does nothing."""

    def __new__(cls, *arguments: object) -> "InertObject":
        """Drop the arguments."""
        return super().__new__(cls)

    def __init__(self, *arguments: object) -> None:
        """Drop the arguments."""

    def __setstate__(self, state: object) -> None:
        """Drop the state."""


def _inert_getattr(*arguments: object) -> None:
    """Stand for ``getattr``, with which a pickle could reach any function: gives None."""


def _latin1(text: str, encoding: str) -> bytes:
    """Stand for ``_codecs.encode``, which older pickles hold bytes in; other encodings would import modules."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"Unsupported encoding {encoding!r}")
    return text.encode("latin1")


def _allowed() -> list[Any]:
    reconstruct = np.ndarray(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [
        *((InertObject, name) for name in _INERT),
        *((OrderedDict, name) for name in _DICTS),
        (_inert_getattr, "builtins.getattr"),
        (_inert_getattr, "__builtin__.getattr"),
        (_latin1, "_codecs.encode"),
        (np.ndarray, "numpy.ndarray"),
        (np.dtype, "numpy.dtype"),
        *(type(np.dtype(code)) for code in ("?", "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8")),
    ]
    for module in ("numpy._core.multiarray", "numpy.core.multiarray"):  # NumPy 2 and before
        allowed += [(reconstruct, f"{module}._reconstruct"), (scalar, f"{module}.scalar")]
    return allowed


def read_torch_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a ``.pth`` file of PyTorch, MMSegmentation or MMEngine holds; nothing in it is executed.

    Tensors, numbers, texts, plain containers and NumPy arrays are read; MMEngine's dicts come out as plain
    ones, its log buffers and message hubs as `InertObject`.

    Raises
    ------
    MissingInputError
        If there is no such file.
    UnsafeFileError
        If it holds anything else (the message names it), unpacks to far more than its size, or has a
        tensor that claims more than it stores.
    InvalidInputError
        If it is empty, damaged, or no checkpoint.
    """
    path = Path(path)
    _check_file(path)
    try:
        # The open file, since torch would choose another reader by the suffix of a name.
        with torch.serialization.safe_globals(_allowed()), warnings.catch_warnings(), open(path, "rb") as file:
            warnings.simplefilter("ignore", UserWarning)  # of newer pickle protocols, refused or read all the same
            content = torch.load(file, map_location="cpu", weights_only=True)
    except GlomsegError:
        raise
    except pickle.UnpicklingError as error:
        _refuse(path, error)
    except Exception as error:  # damage surfaces as whatever the parser stumbles over
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInputError(f"checkpoint {str(path)!r} is damaged or no checkpoint: {reason}") from error
    if not isinstance(content, dict):
        raise InvalidInputError(f"checkpoint {str(path)!r} holds a {type(content).__name__}, not named entries")
    return content


def state_dict_of(checkpoint: dict[str, Any], *, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, the prefix ``module.`` of parallel training removed.

    Known places are ``state_dict`` (OpenMMLab), ``model`` and the checkpoint itself.

    Raises
    ------
    UnsafeFileError
        If a tensor claims more numbers than it stores.
    InvalidInputError
        If there are no tensors, or some are NaN or infinite.
    """
    entries: Any = next(
        (checkpoint[key] for key in ("state_dict", "model") if isinstance(checkpoint.get(key), dict)), checkpoint
    )
    tensors = {str(name).removeprefix("module."): value for name, value in entries.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InvalidInputError(f"checkpoint {str(path)!r} holds no tensors; its keys are {list(entries)[:8]}")
    for name, value in tensors.items():
        if value.layout is torch.strided and value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise UnsafeFileError(f"checkpoint {str(path)!r}: {name} claims more numbers than the file stores")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InvalidInputError(f"checkpoint {str(path)!r}: {name} has NaN or infinite values; training had failed")
    return tensors


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise MissingInputError(f"checkpoint {str(path)!r} does not exist or is not a file")
    size = path.stat().st_size
    if size == 0:
        raise InvalidInputError(f"checkpoint {str(path)!r} is empty (0 bytes); copy or download it again")
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > _MAX_INFLATION * size:
                raise UnsafeFileError(
                    f"checkpoint {str(path)!r} has {size:,} bytes but would unpack to {unpacked:,}: it is a zip bomb"
                )
            changed = archive.testzip()  # torch compares no checksums: flipped bits would be weights
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error) as error:
        if isinstance(error, UnsafeFileError):
            raise
        raise InvalidInputError(f"checkpoint {str(path)!r} is damaged: {error}") from error
    if changed is not None:
        raise InvalidInputError(
            f"checkpoint {str(path)!r} is damaged: the checksum of its part {changed!r} is wrong; copy it again"
        )


def _refuse(path: Path, error: pickle.UnpicklingError) -> NoReturn:
    text = str(error)
    reason = next((line.strip() for line in text.splitlines() if "GLOBAL" in line or "nsupported" in line), "")
    if reason:
        reason = reason.removeprefix("WeightsUnpickler error:").strip().split(" was not an allowed global")[0]
        raise UnsafeFileError(
            f"checkpoint {str(path)!r} was refused and nothing in it was run: it asks for more than tensors "
            f"({reason}). Only open such a file with the program it came from, and only if you trust it"
        ) from error
    raise InvalidInputError(f"checkpoint {str(path)!r} is damaged or no checkpoint: {text.splitlines()[-1]}") from error
