"""Starting a network from weights that were trained before."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glomseg.errors import InvalidInputError
from glomseg.models.known_weights import find_weights
from glomseg.models.model_files import is_safetensors, read_tensors
from glomseg.models.openmmlab.keys import renamed
from glomseg.models.torch_checkpoints import read_torch_checkpoint, state_dict_of
from glomseg.progress import Progress
from glomseg.runs import model_path

_MAX_NAMES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """Which entries of a network were filled from a file.

    Attributes
    ----------
    source
        The file.
    loaded
        Entries of the network that were filled.
    skipped
        Entries of the file that were not used, with the reason.
    missing
        Entries of the network that the file does not have: they keep their fresh values.
    renamed_from
        Whose names the entries had before they were brought to those of the network; "" where they had them.
    """

    source: str
    loaded: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    renamed_from: str = ""

    def lines(self) -> list[str]:
        """Return the report as lines of text; only long lists of names are shortened."""
        lines = [f"weights from {self.source}: {len(self.loaded)} entries loaded"]
        if self.renamed_from:
            lines.append(f"  the file has the names of {self.renamed_from}; they were brought to those of the network")
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.skipped:
            by_reason.setdefault(reason, []).append(name)
        for reason, names in by_reason.items():
            lines.append(f"  skipped, {reason}: {_shortened(names)}")
        if self.missing:
            lines.append(f"  not in the file, freshly initialised: {_shortened(self.missing)}")
        return lines


def load_starting_weights(network: nn.Module, weights: str, *, progress: Progress | None = None) -> LoadReport:
    """Fill a network from a known name, a glomseg model or a ``.pth`` checkpoint, and say what fitted.

    Parameters
    ----------
    network
        Changed in place. Entries of another shape (the heads, where the number of classes differs) keep
        their fresh values.
    weights
        A name from `KNOWN_WEIGHTS`, which is downloaded on first use, a run folder, whose best model is taken,
        or a file: safetensors with or without a model card, or a pickle.
    progress
        Where a download reports.

    Raises
    ------
    InvalidInputError
        If no entry of the file fits the network.
    """
    path = model_path(weights) if os.path.isdir(weights) else find_weights(weights, progress=progress)  # noqa: PTH112
    tensors = read_tensors(path) if is_safetensors(path) else state_dict_of(read_torch_checkpoint(path), path=path)
    return load_matching(network, tensors, source=path)


def load_matching(network: nn.Module, tensors: Mapping[str, Tensor], *, source: str | os.PathLike[str]) -> LoadReport:
    """Copy every tensor whose name and shape fit into the network, and report on all entries.

    Names without ``backbone.`` are tried as those of the backbone, as ImageNet checkpoints have them; and the names of
    original repositories are brought to MMSegmentation's, as they are when a model is imported.
    """
    own = network.state_dict()
    if not any(name in own or name.startswith("backbone.") for name in tensors):
        tensors = {f"backbone.{name}": value for name, value in tensors.items()}
    try:
        tensors, renamed_from = renamed(tensors)
    except InvalidInputError as error:
        raise InvalidInputError(f"weights {os.fspath(source)!r}: {error}") from error
    loaded: dict[str, Tensor] = {}
    skipped: list[tuple[str, str]] = []
    for name, value in tensors.items():
        if name not in own:
            skipped.append((name, "the network has no such entry"))
        elif value.shape != own[name].shape:
            skipped.append((name, f"shape {_shape(value)} in the file, {_shape(own[name])} in the network"))
        else:
            loaded[name] = value
    if not any(value.ndim > 1 for value in loaded.values()):
        raise InvalidInputError(
            f"no weights in {os.fspath(source)!r} fit the network: the file has {_shortened(list(tensors))}, "
            f"the network {_shortened(list(own))}; choose the architecture that the file was trained with "
            "(--set model.architecture=...)"
        )
    with torch.no_grad():
        for name, value in loaded.items():
            own[name].copy_(value)
    missing = tuple(name for name in own if name not in tensors)
    return LoadReport(
        source=os.fspath(source),
        loaded=tuple(loaded),
        skipped=tuple(skipped),
        missing=missing,
        renamed_from=renamed_from,
    )


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"


def _shortened(names: tuple[str, ...] | list[str]) -> str:
    rest = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "")
