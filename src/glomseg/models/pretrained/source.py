"""Where starting weights lie: one file, several that belong together, and what is written beside them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from torch import Tensor

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import read_json
from glomseg.models.model_files import is_safetensors, read_tensors
from glomseg.models.torch_checkpoints import read_torch_checkpoint, state_dict_of

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"

_USUAL = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_INDEX = ".index.json"
_MAX_SHARDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Weights and what their publisher says about them.

    Attributes
    ----------
    name
        How a report calls it; from a hub with the revision that was fetched.
    files
        With the weights.
    config, preprocessor
        What ``config.json`` and ``preprocessor_config.json`` beside them hold; empty where there are none.
    """

    name: str
    files: tuple[Path, ...]
    config: dict[str, Any]
    preprocessor: dict[str, Any]


def file_source(path: Path) -> Source:
    """Return the source that a file is; a usual name (`model.safetensors`) stands for its folder."""
    if path.name in _USUAL:
        return _source(path.parent, path.name, name=os.fspath(path))
    return Source(name=os.fspath(path), files=(path,), config={}, preprocessor={})


def folder_source(folder: Path, *, name: str) -> Source:
    """Return the source that a folder is, as the libraries of Hugging Face save them.

    Raises
    ------
    MissingInputError
        If there are no weights in it, or some that its index names are not there.
    InvalidInputError
        If several files may be meant, or a file beside the weights is damaged.
    """
    return _source(folder, weights_among([item.name for item in folder.iterdir()], where=repr(name)), name=name)


def weights_among(names: Sequence[str], *, where: str) -> str:
    """Return the file among `names` that holds the weights of a folder, or the index of its parts.

    Safetensors come before pickles. `where` names the folder in the error.
    """
    for usual in _USUAL:
        if usual in names:
            return usual
    for suffixes in ((".safetensors",), (".bin", ".pth", ".pt")):
        found = [name for name in names if name.endswith(suffixes)]
        if len(found) > 1:
            raise InvalidInputError(
                f"{where} holds several files of weights ({', '.join(sorted(found)[:6])}); name the one to take"
            )
        if found:
            return found[0]
    raise MissingInputError(f"{where} holds no weights: there is no {_USUAL[0]}, no {_USUAL[1]} and no {_USUAL[2]}")


def shards_of(index: Any, *, path: Path) -> dict[str, str]:
    """Return the file of every entry that an index of weights in several files names.

    Raises
    ------
    InvalidInputError
        If it is no index, or names files outside its folder.
    """
    entries = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise InvalidInputError(f"index {str(path)!r} has no weight_map: from each entry to its file")
    files = set()
    for entry, file in entries.items():
        if not isinstance(file, str) or not is_plain(file):
            raise InvalidInputError(
                f"index {str(path)!r} says that {entry!r} is in {file!r}, which is no file beside it"
            )
        files.add(file)
    if len(files) > _MAX_SHARDS:
        raise InvalidInputError(f"index {str(path)!r} names {len(files)} files, more than {_MAX_SHARDS}")
    return entries


def is_plain(name: str) -> bool:
    """Return whether a name is that of a file in the same folder, on every system."""
    return (
        name not in ("", ".", "..")
        and not any(character in name for character in "/\\:\0")
        and (PurePath(name).name == name)
    )


def read_source(source: Source) -> dict[str, Tensor]:
    """Return the tensors of a source by name; pickles are read without running what is in them."""
    tensors: dict[str, Tensor] = {}
    for path in source.files:
        found = read_tensors(path) if is_safetensors(path) else state_dict_of(read_torch_checkpoint(path), path=path)
        twice = next((name for name in found if name in tensors), None)
        if twice is not None:
            raise InvalidInputError(f"weights {source.name!r} have {twice!r} in two files; get them again")
        tensors |= found
    return tensors


def _source(folder: Path, weights: str, *, name: str) -> Source:
    path = folder / weights
    files = [path]
    if weights.endswith(_INDEX):
        entries = shards_of(read_json(path, what="index"), path=path)
        files = [folder / file for file in sorted(set(entries.values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise MissingInputError(f"weights {name!r} are not complete: there is no {', '.join(missing[:6])}; get them")
    return Source(
        name=name,
        files=tuple(files),
        config=_optional_json(folder / CONFIG),
        preprocessor=_optional_json(folder / PREPROCESSOR),
    )


def _optional_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values = read_json(path, what="description of the weights")
    if not isinstance(values, dict):
        raise InvalidInputError(f"description of the weights {str(path)!r} holds no named values; remove or mend it")
    return values
