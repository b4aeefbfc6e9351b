"""Exported networks as files: an ``.onnx`` file, or OpenVINO's ``.xml`` with its ``.bin``, the model card inside.

They come from strangers too. Only what glomseg exports is taken: one network with its card and all of its weights,
which can read no other file.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from glomseg.errors import InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.files import output_error, write_bytes
from glomseg.inference.engines.building import engine_network
from glomseg.inference.engines.onnx_engine import check_graph, metadata_of, with_metadata
from glomseg.inference.engines.openvino_engine import openvino_network, read_files, read_graph, to_files
from glomseg.inference.predictor import Network
from glomseg.models.model_files import CARD_KEY, card_in, card_metadata
from glomseg.types import ModelCard

SUFFIXES = {".onnx": "onnx", ".xml": "openvino"}
"""Of the files that stand for an exported network, each with the engine that it was written for."""

_MAX_BYTES = 2**31
_PROBE_PX = 64


def save_exported(
    folder: str | os.PathLike[str], data: bytes, card: ModelCard, *, name: str, engine: str
) -> tuple[Path, ...]:
    """Write an ONNX model with its card for an engine, whole or not at all, and return the files.

    Raises
    ------
    OutputError
        If a file, or one in the temporary folder, cannot be written.
    """
    metadata = card_metadata(card)
    path = Path(folder) / f"{name}.onnx"
    if engine == "onnx":
        write_bytes(path, with_metadata(data, metadata))
        return (path,)
    try:
        description, weights = to_files(read_graph(data, name=name), metadata)
    except OSError as error:
        raise output_error(Path(tempfile.gettempdir()), error) from error
    write_bytes(path.with_suffix(".bin"), weights)
    write_bytes(path.with_suffix(".xml"), description)
    return path.with_suffix(".xml"), path.with_suffix(".bin")


def load_exported(path: str | os.PathLike[str], *, engine: str | None = None) -> tuple[Network, ModelCard, str]:
    """Return the network of an exported file as its engine computes it on the processor, its card, and the engine.

    Parameters
    ----------
    path
        With one of the `SUFFIXES`.
    engine
        None takes that of the file; "openvino" computes ONNX files too.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidInputError
        If the engine does not compute such files, packages are missing, or a file is damaged, without a card, or gives
        other outputs than its card says.
    UnsafeFileError
        If it names other files, or holds what glomseg does not export.
    """
    path = Path(path)
    own, name = SUFFIXES[path.suffix], repr(str(path))
    engine = engine or own
    if engine == "torch" or (own == "openvino" and engine == "onnx"):
        raise InvalidInputError(
            f"{name} is a network for {'ONNX Runtime or ' if own == 'onnx' else ''}OpenVINO, which --engine {engine} "
            "does not compute: leave --engine out, or give the model that it was exported from"
        )
    data = _read(path)
    if own == "onnx":
        metadata = metadata_of(check_graph(data, name=name))
        card = _card(path, metadata)
        network = engine_network(data, engine=engine, name=name)
    else:
        model, metadata = read_files(data, _read(path.with_suffix(".bin")), name=name)
        card = _card(path, metadata)
        network = openvino_network(model, name=name)
    _probe(network, card, name=name)
    return network, card, engine


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise MissingInputError(f"{str(path)!r} does not exist or is not a file")
        n_bytes = path.stat().st_size
        if n_bytes > _MAX_BYTES:
            raise UnsafeFileError(f"{str(path)!r} has {n_bytes:,} bytes, and no exported network has more than 2 GB")
        if not n_bytes:
            raise InvalidInputError(f"{str(path)!r} is empty (0 bytes); copy it again")
        return path.read_bytes()
    except OSError as error:
        if isinstance(error, MissingInputError):
            raise
        raise InvalidInputError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error


def _card(path: Path, metadata: Mapping[str, str]) -> ModelCard:
    if CARD_KEY not in metadata:
        raise InvalidInputError(
            f"{str(path)!r} holds no glomseg model card, so its classes, scale and colours are unknown; only networks "
            "that `glomseg export` wrote can be predicted with"
        )
    return card_in(path, dict(metadata))


def _probe(network: Network, card: ModelCard, *, name: str) -> None:
    """Raise if the outputs for a small image are not what the card says."""
    logits = network(torch.zeros(1, 3, _PROBE_PX, _PROBE_PX)).main
    n_classes = len(card.classes)
    fitting = (n_classes, 1) if n_classes == 2 else (n_classes,)
    if logits.ndim != 4 or logits.shape[0] != 1 or logits.shape[1] not in fitting or not logits.is_floating_point():
        raise InvalidInputError(
            f"{name} gives an output of the shape {tuple(logits.shape)}, and its card says logits of {n_classes} "
            "classes: it was damaged or not written by glomseg"
        )
