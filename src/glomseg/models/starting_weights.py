"""Starting a network from weights that were trained before."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glomseg.box import box_model, is_box
from glomseg.errors import InvalidInputError
from glomseg.models.known_weights import find_weights
from glomseg.models.model_files import is_safetensors, read_card
from glomseg.models.openmmlab.keys import renamed
from glomseg.models.pretrained import mobilenet_names, openmmlab_names, timm_names, transformers_names
from glomseg.models.pretrained.description import Colors, check_description, colors_of
from glomseg.models.pretrained.fitting import check_sizes, fit, is_computed
from glomseg.models.pretrained.hub import PREFIX, fetch_from_hub
from glomseg.models.pretrained.layout import Translated, translate
from glomseg.models.pretrained.source import Source, file_source, folder_source, read_source
from glomseg.models.segmentor import Segmentor
from glomseg.progress import Progress
from glomseg.runs import RunFolder, model_path
from glomseg.types import ModelCard

LAYOUTS = (*transformers_names.LAYOUTS, *timm_names.LAYOUTS, *openmmlab_names.LAYOUTS, *mobilenet_names.LAYOUTS)
"""Every way in which the entries of a pretrained backbone are called, in the order in which they are tried."""

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
    heads
        Entries of the file that are not of its backbone, and not used.
    notes
        What else there is to know: what was resized, what differs a little.
    colors
        Mean and standard deviation of red, green and blue, from 0 to 255, that the weights were trained with; None
        where neither a model card nor anything beside the file says.
    seen
        The first digits of the hashes of the images that the weights learnt from, or were chosen by, where their card
        says it.
    """

    source: str
    loaded: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    renamed_from: str = ""
    heads: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    colors: Colors | None = None
    seen: tuple[str, ...] = ()

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
        if self.heads:
            lines.append(f"  heads of the file, not used: {_shortened(self.heads)}")
        if self.missing:
            lines.append(f"  not in the file, freshly initialised: {_shortened(self.missing)}")
        return lines + [f"  {note}" for note in self.notes]


def load_starting_weights(network: nn.Module, weights: str, *, progress: Progress | None = None) -> LoadReport:
    """Fill a network from published weights, a glomseg model or a checkpoint, and say what fitted.

    Parameters
    ----------
    network
        Changed in place. Entries of another shape (the heads, where the number of classes differs) keep
        their fresh values.
    weights
        A name from `KNOWN_WEIGHTS`, which is downloaded on first use; "box", the model in the box;
        ``hf:<organisation>/<name>[@<revision>]``, which is fetched from Hugging Face's hub; a run folder, whose best
        model is taken; a folder with ``model.safetensors`` or its parts; or a file: safetensors with or without a
        model card, or a pickle.
    progress
        Where a download reports.

    Raises
    ------
    InvalidInputError
        If no entry of the file fits the network, or the file is of a backbone of other sizes (the message names the
        options that would fit) or with parts that the network does not have.
    """
    source = _find(weights, progress=progress)
    tensors = read_source(source)
    try:
        colors = colors_of(source.config, source.preprocessor)
        translated = translate(tensors, LAYOUTS)
        if translated is None:
            report = load_matching(network, tensors, source=source.name)
            card = _card_of(source)
            return replace(report, colors=colors) if card is None else replace(report, **_told_by(card))
        report = _load_backbone(network, translated, source=source)
    except InvalidInputError as error:
        raise _named(error, source.name) from error
    return replace(report, colors=colors)


def _card_of(source: Source) -> ModelCard | None:
    """Return the card of a glomseg model; None of a file without a card."""
    if len(source.files) != 1 or not is_safetensors(source.files[0]):
        return None
    try:
        return read_card(source.files[0])
    except InvalidInputError:
        return None


def _told_by(card: ModelCard) -> dict[str, Any]:
    """Return the fields of a report that the card of a model fills: its colours, and what it has seen."""
    return {"colors": (card.mean, card.std), "seen": tuple(sorted(card.seen_images()))}


def freeze_backbone(network: Segmentor, report: LoadReport) -> None:
    """Freeze the backbone of a network that these weights filled.

    Raises
    ------
    InvalidInputError
        If they did not fill all of it: the rest would stay random.
    """
    loaded = set(report.loaded)
    drawn = [f"backbone.{name}" for name, value in network.backbone.named_parameters() if value.ndim > 1]
    unfilled = [name for name in drawn if name not in loaded]
    if unfilled:
        raise InvalidInputError(
            f"model.freeze = backbone: {report.source!r} does not fill {len(unfilled)} of the {len(drawn)} weights of "
            f"the backbone ({_shortened(unfilled)}), which would stay random numbers: take weights of this "
            "architecture, or set model.freeze to none"
        )
    network.freeze_backbone()


def _named(error: InvalidInputError, source: str) -> InvalidInputError:
    """Return the error with the name of the weights before it, once."""
    return error if repr(source) in str(error) else InvalidInputError(f"weights {source!r}: {error}")


def _find(weights: str, *, progress: Progress | None) -> Source:
    if weights.startswith(PREFIX):
        hub = fetch_from_hub(weights, progress=progress)
        return folder_source(hub.folder, name=hub.name)
    if is_box(weights):
        return file_source(box_model())
    path = Path(os.path.expanduser(weights))  # noqa: PTH111  Path.expanduser raises for an unknown user
    if weights and path.is_dir() and not RunFolder(path).manifest.exists():
        return folder_source(path, name=weights)
    return file_source(model_path(path) if weights and path.is_dir() else find_weights(weights, progress=progress))


def _load_backbone(network: nn.Module, translated: Translated, *, source: Source) -> LoadReport:
    """Fill the backbone of a network from a pretrained one under our names."""
    backbone = network.get_submodule("backbone")
    kind = translated.layout.backbone
    fitted = fit(backbone, translated.entries, kind=kind)
    notes = (*fitted.notes, *check_description(source.config, backbone, kind=kind))
    _fill(backbone, fitted.entries)
    loaded = tuple(f"backbone.{name}" for name in fitted.entries)
    return LoadReport(
        source=source.name,
        loaded=loaded,
        skipped=tuple((f"backbone.{name}", "the network has no such entry") for name in fitted.unused),
        missing=tuple(name for name in network.state_dict() if name not in loaded and not is_computed(name)),
        renamed_from=translated.layout.whose,
        heads=translated.heads,
        notes=notes,
    )


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
        if not any(name.startswith("decode_head.") for name in tensors):  # a backbone by itself
            of_backbone = {name.removeprefix("backbone."): value for name, value in tensors.items()}
            check_sizes(network.get_submodule("backbone"), of_backbone)
    except InvalidInputError as error:
        raise _named(error, os.fspath(source)) from error
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
    _fill(network, loaded)
    missing = tuple(name for name in own if name not in tensors)
    return LoadReport(
        source=os.fspath(source),
        loaded=tuple(loaded),
        skipped=tuple(skipped),
        missing=missing,
        renamed_from=renamed_from,
    )


def _fill(module: nn.Module, entries: Mapping[str, Tensor]) -> None:
    own = module.state_dict()
    with torch.no_grad():
        for name, value in entries.items():
            own[name].copy_(value)


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"


def _shortened(names: tuple[str, ...] | list[str]) -> str:
    rest = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "")
