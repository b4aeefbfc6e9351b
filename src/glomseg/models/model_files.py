"""glomseg's own model files: the weights as safetensors, the model card as JSON in its metadata.

Reading one cannot run code: a safetensors file is a JSON header and raw numbers. Everything the header
claims is still checked here, since such files come from strangers.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import atomic_path, failed_writes_as, json_text
from glomseg.models.build import build_model
from glomseg.models.segmentor import Segmentor
from glomseg.stain import Look, MacenkoLook
from glomseg.types import ModelCard, Scaling

SUFFIX = ".safetensors"
"""Suffix of model files; any other works too."""

CARD_KEY = "glomseg_model_card"
"""Of the card in the metadata of a file."""

FORMAT_KEY = "glomseg_format"
"""Of the version of what the metadata say."""

_FORMAT = "1"
_CARD_TYPE = TypeAdapter(ModelCard)


def save_model(path: str | os.PathLike[str], model: nn.Module, card: ModelCard) -> None:
    """Write a model and its card to `path`, whole or not at all.

    Parameters
    ----------
    path
        The file; an existing one is replaced.
    model
        A network whose entries are those of ``build_model(card.architecture, ...)``; its weights are
        written as they are, from whatever device they are on.
    card
        What one has to know to use the model. NaN in its figures becomes null.

    Raises
    ------
    InvalidInputError
        If the model's entries are not those that the card describes.
    OutputError
        If the file cannot be written.
    """
    entries = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    problem = _difference(_blank(card).state_dict(), {name: tuple(value.shape) for name, value in entries.items()})
    if problem:
        raise InvalidInputError(f"the model does not fit its card ({card.architecture}): {problem}")
    metadata = {"format": "pt", **card_metadata(card)}
    with atomic_path(path) as temporary, failed_writes_as(SafetensorError):
        save_file(entries, temporary, metadata=metadata)


def load_model(path: str | os.PathLike[str]) -> tuple[Segmentor, ModelCard]:
    """Return the network stored in a model file, in evaluation mode on the CPU, and its card.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidInputError
        If the file is damaged, of another kind, or its entries are not those of its architecture.
    """
    path = Path(path)
    with _opened(path) as file:
        card = card_in(path, file.metadata() or {})
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        model = _blank(card)
        problem = _difference(model.state_dict(), shapes)
        if problem:
            raise InvalidInputError(
                f"model file {str(path)!r} does not hold the weights of a {card.architecture}: {problem}; "
                "it was damaged or made by another program or version: get it again"
            )
        # Copies, so that the model does not depend on the file staying as it is.
        entries = {name: file.get_tensor(name).clone() for name in shapes}
    _check_values(path, model.state_dict(), entries)
    model.load_state_dict(entries, assign=True)
    return model.eval(), card


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """Return the card in a model file, without its weights; raises as `load_model` does."""
    path = Path(path)
    with _opened(path) as file:
        return card_in(path, file.metadata() or {})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a model file; damage that shows while it is read is an error that names it."""
    _check_kind(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except SafetensorError as error:
        raise InvalidInputError(
            f"model file {str(path)!r} is damaged or no glomseg model: {error}; "
            "it was probably cut off while it was copied: copy it again"
        ) from error


def card_metadata(card: ModelCard) -> dict[str, str]:
    """Return what the metadata of a file says of a model: its format and its card as JSON, for `card_in`."""
    return {FORMAT_KEY: _FORMAT, CARD_KEY: json_text(dataclasses.asdict(card))}


def is_safetensors(path: Path) -> bool:
    """Return whether the file begins as a safetensors file does: a length, and a JSON header."""
    try:
        with open(path, "rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:  # whoever reads it will say so
        return False


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, whatever wrote it.

    Raises
    ------
    InvalidInputError
        If the file is damaged, or a tensor holds NaN or infinite numbers.
    """
    try:
        entries = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InvalidInputError(f"weights {str(path)!r} are damaged: {error}; copy the file again") from error
    _check_finite(path, entries)
    return entries


def _blank(card: ModelCard) -> Segmentor:
    # On the meta device a network costs no memory, whatever widths a hostile card asks for.
    with torch.device("meta"):
        return build_model(card.architecture, n_classes=len(card.classes), **card.options)


def _difference(expected: dict[str, Tensor], found: dict[str, tuple[int, ...]]) -> str:
    """Return in words how the entries found differ from those expected; empty if they do not."""
    missing = [name for name in expected if name not in found]
    if missing:
        return f"{len(missing)} entries are missing, the first is {missing[0]!r}"
    extra = [name for name in found if name not in expected]
    if extra:
        return f"{len(extra)} entries are unknown, the first is {extra[0]!r}"
    for name, value in expected.items():
        if tuple(value.shape) != found[name]:
            return f"{name!r} has the shape {found[name]} instead of {tuple(value.shape)}"
    return ""


def _check_values(path: Path, expected: dict[str, Tensor], entries: dict[str, Tensor]) -> None:
    for name, value in entries.items():
        if value.dtype != expected[name].dtype:
            raise InvalidInputError(
                f"model file {str(path)!r}: {name!r} holds {value.dtype} instead of {expected[name].dtype}"
            )
    _check_finite(path, entries)


def _check_finite(path: Path, entries: dict[str, Tensor]) -> None:
    for name, value in entries.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InvalidInputError(
                f"model file {str(path)!r}: {name!r} holds NaN or infinite numbers; "
                "the training diverged or the file was damaged"
            )


def _check_kind(path: Path) -> None:
    """Raise unless `path` is a file that can be a safetensors file; say what it is where that is known."""
    try:
        if not path.is_file():
            raise MissingInputError(f"model file {str(path)!r} does not exist or is not a file")
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        if isinstance(error, MissingInputError):
            raise
        raise InvalidInputError(f"model file {str(path)!r} cannot be read: {error.strerror or error}") from error
    if not start:
        raise InvalidInputError(f"model file {str(path)!r} is empty (0 bytes); copy it again")
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise InvalidInputError(
            f"{str(path)!r} is a PyTorch checkpoint, not a glomseg model: it does not say which classes, scale and "
            f"colours it was made for. If it is from MMSegmentation, `glomseg import CONFIG.py {path}` makes a model "
            f"of it; start a training from it with `glomseg train DATA --weights {path}`"
        )
    if len(start) < 9 or start[8:9] != b"{":
        raise InvalidInputError(
            f"{str(path)!r} is not a glomseg model file; give the {SUFFIX} file that a training wrote"
        )


def card_in(path: Path, metadata: dict[str, str]) -> ModelCard:
    """Return the card in the metadata of a file, checked.

    Raises
    ------
    InvalidInputError
        If there is none, or it is not valid.
    """
    version = metadata.get(FORMAT_KEY)
    if version is None or CARD_KEY not in metadata:
        raise InvalidInputError(
            f"{str(path)!r} holds weights but no glomseg model card, so its classes, scale and colours are unknown; "
            f"start a training from it with `glomseg train DATA --weights {path}`"
        )
    if version != _FORMAT:
        raise InvalidInputError(
            f"model file {str(path)!r} has the format {version!r}, and this version of glomseg reads format "
            f"{_FORMAT!r}: it was made by a newer version, install that one"
        )
    try:
        # `json.loads` first: it takes the last of two equal keys, as every other reader of the file does.
        card = _CARD_TYPE.validate_json(json.dumps(json.loads(metadata[CARD_KEY])), strict=True)
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        raise InvalidInputError(f"model file {str(path)!r} has a model card that is not valid: {reasons}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"model file {str(path)!r} has a model card that is no JSON: {error}") from error
    problem = _implausible(card)
    if problem:
        raise InvalidInputError(f"model file {str(path)!r} has a model card that is not valid: {problem}")
    return card


def _implausible_scaling(scaling: Scaling) -> str:
    for name, value in (("mpp", scaling.mpp), ("factor", scaling.factor)):
        if value is not None and not (math.isfinite(value) and 0 < value < 1e4):
            return f"scaling.{name} = {value} must be positive and below 10,000"
    if scaling.fit_px is not None and not all(0 < side <= 2**16 for side in scaling.fit_px):
        return f"scaling.fit_px = {scaling.fit_px} must be from 1 to 65,536 pixels"
    if scaling.interpolation not in ("area", "bilinear"):
        return f"scaling.interpolation = {scaling.interpolation!r} must be 'area' or 'bilinear'"
    return ""


def _implausible_stain(look: Look) -> str:
    numbers: tuple[float, ...]
    if isinstance(look, MacenkoLook):
        numbers = (*look.stains[0], *look.stains[1], *look.amounts)
        is_good = min(numbers) >= 0 and min(look.amounts) > 0 and all(max(stain) > 0 for stain in look.stains)
    else:
        numbers = (*look.mean, *look.std)
        is_good = min(look.std) >= 0
    if is_good and all(math.isfinite(value) and abs(value) < 1e4 for value in numbers):
        return ""
    return f"stain = {look} must be finite, and hold no stain without colour or amount"


def _implausible(card: ModelCard) -> str:
    scaling = card.scaling
    if not all(math.isfinite(value) for value in (*card.mean, *card.std)) or min(card.std) <= 0:
        return f"mean {card.mean} and std {card.std} must be finite, and std positive"
    if problem := _implausible_scaling(scaling):
        return problem
    if card.stain is not None and (problem := _implausible_stain(card.stain)):
        return problem
    for view in () if card.tta is None else card.tta.scalings(scaling):
        if problem := _implausible_scaling(view):
            return f"test-time augmentation: {problem}"
    inference = card.inference
    window, stride = inference.window_px, inference.stride_px
    if (window is None) != (stride is None):
        return "inference.window_px and inference.stride_px belong together"
    for side, step in zip(window or (), stride or (), strict=True):
        if not 0 < step <= side <= 2**16:
            return f"inference.stride_px = {stride} must be from 1 to inference.window_px = {window}"
    if inference.threshold is not None and not 0 < inference.threshold < 1:
        return f"inference.threshold = {inference.threshold} must be between 0 and 1"
    if not 0.01 <= inference.temperature <= 100:
        return f"inference.temperature = {inference.temperature} must be from 0.01 to 100"
    if not all(0 <= channel <= 255 for color in card.classes.colors for channel in color):
        return f"classes.colors = {card.classes.colors} must be from 0 to 255"
    return ""
