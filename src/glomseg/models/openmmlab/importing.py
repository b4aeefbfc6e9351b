"""From an OpenMMLab config and checkpoint to a network with its model card."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glomseg._version import __version__
from glomseg.errors import InvalidInputError
from glomseg.files import sha256_of
from glomseg.models.build import COMPOSED, build_model
from glomseg.models.openmmlab.config import Config, parse_config, read_config
from glomseg.models.openmmlab.keys import current_names, flip_input_channels
from glomseg.models.openmmlab.network import describe_network
from glomseg.models.openmmlab.preparation import describe_classes, describe_preparation
from glomseg.models.openmmlab.tta import describe_tta
from glomseg.models.segmentor import Segmentor
from glomseg.models.torch_checkpoints import read_torch_checkpoint, state_dict_of
from glomseg.types import ModelCard

_MAX_NAMES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """A network from OpenMMLab, in evaluation mode on the CPU.

    Attributes
    ----------
    network
        With the weights of the checkpoint in every entry.
    card
        What one has to know to use it; its architecture is "composed".
    notes
        What is otherwise than it was there, in sentences.
    """

    network: Segmentor
    card: ModelCard
    notes: tuple[str, ...]


def load_openmmlab(
    checkpoint: str | os.PathLike[str], *, config: str | os.PathLike[str] | None = None
) -> ImportedModel:
    """Return the network of a ``.pth`` checkpoint of MMSegmentation; nothing in the files is executed.

    Parameters
    ----------
    checkpoint
        Of MMSegmentation 1.x or 0.x.
    config
        The config it was trained with; None takes the one that the checkpoint holds.

    Raises
    ------
    UnsafeFileError
        If the checkpoint asks for more than tensors and plain values.
    InvalidInputError
        If the config is not plain, the network is of a kind that glomseg does not have, or entries of the
        network are not in the checkpoint or have another shape there; all of them are named.
    """
    checkpoint = Path(checkpoint)
    content = read_torch_checkpoint(checkpoint)
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    read = read_config(Path(config)) if config is not None else _config_in(meta, checkpoint)
    description = describe_network(read.values.get("model"))
    preparation = describe_preparation(read.values, description)
    classes, class_notes = describe_classes(read.values, meta, n_classes=description.n_classes)
    tta, tta_notes = describe_tta(read.values)
    notes = [*read.notes, *preparation.notes, *class_notes, *tta_notes]

    found = state_dict_of(content, path=checkpoint)
    try:
        entries = current_names(found)
    except InvalidInputError as error:
        raise InvalidInputError(f"checkpoint {str(checkpoint)!r}: {error}") from error
    options = _without_absent_auxiliary(description.options, entries, notes)
    if preparation.size_divisor != 1:
        options["size_divisor"] = preparation.size_divisor
    if preparation.is_bgr:
        entries = flip_input_channels(entries)
        notes.append("the network saw blue first; the weights of its first layer were turned round to see red first")
    with torch.device("meta"):
        network = build_model(COMPOSED, n_classes=description.n_classes, **options)
    network.load_state_dict(_complete(network, entries, checkpoint, notes), assign=True)
    mean, std = preparation.mean, preparation.std
    card = ModelCard(
        architecture=COMPOSED,
        classes=classes,
        options=options,
        mean=mean[::-1] if preparation.is_bgr else mean,
        std=std[::-1] if preparation.is_bgr else std,
        scaling=preparation.scaling,
        inference=preparation.inference,
        tta=tta,
        provenance=_provenance(checkpoint, read, meta, reduce_zero_label=preparation.reduce_zero_label),
    )
    return ImportedModel(network=network.eval(), card=card, notes=tuple(dict.fromkeys(notes)))


def _config_in(meta: Mapping[str, Any], checkpoint: Path) -> Config:
    text = next((meta[key] for key in ("cfg", "config") if isinstance(meta.get(key), str) and meta[key].strip()), None)
    if text is None:
        raise InvalidInputError(
            f"checkpoint {str(checkpoint)!r} holds no config, so the network it belongs to is unknown; "
            f"give the config too: glomseg import CONFIG.py {checkpoint}"
        )
    return parse_config(text, origin=f"in {checkpoint.name}")


def _without_absent_auxiliary(
    options: Mapping[str, Any], entries: Mapping[str, Tensor], notes: list[str]
) -> dict[str, Any]:
    """Return the options without auxiliary heads that the checkpoint has no entry of: prediction needs none."""
    if "auxiliary_head" in options and not any(name.startswith("auxiliary_head.") for name in entries):
        notes.append("the checkpoint has no auxiliary head, and the model is without it; only training would use it")
        return {name: value for name, value in options.items() if name != "auxiliary_head"}
    return dict(options)


def _complete(
    network: nn.Module, entries: Mapping[str, Tensor], checkpoint: Path, notes: list[str]
) -> dict[str, Tensor]:
    """Return the checkpoint's entry for every entry of the network; raise if one is missing or of another shape."""
    own = network.state_dict()
    chosen: dict[str, Tensor] = {}
    problems = {"missing in the checkpoint": [], "of another shape": []}  # type: dict[str, list[str]]
    for name, value in own.items():
        if name.endswith("num_batches_tracked"):  # a count that nothing depends on; old files lack it
            chosen[name] = torch.zeros((), dtype=torch.int64) if name not in entries else entries[name]
        elif name not in entries:
            problems["missing in the checkpoint"].append(name)
        elif entries[name].shape != value.shape:
            shapes = f"{tuple(entries[name].shape)} there, {tuple(value.shape)} here"
            problems["of another shape"].append(f"{name} ({shapes})")
        else:
            chosen[name] = entries[name].to(value.dtype)
    unexpected = [name for name in entries if name not in own]
    if any(problems.values()):
        found = {**problems, "in the checkpoint only": unexpected}
        raise InvalidInputError(
            f"checkpoint {str(checkpoint)!r} does not fit the network of the config: "
            + "; ".join(f"{len(names)} {what}: {_shortened(names)}" for what, names in found.items() if names)
            + ". The config is probably that of another model"
        )
    if unexpected:
        notes.append(f"{len(unexpected)} entries of the checkpoint are not used: {_shortened(unexpected)}")
    return chosen


def _provenance(
    checkpoint: Path, config: Config, meta: Mapping[str, Any], *, reduce_zero_label: bool
) -> dict[str, Any]:
    known = ("iter", "epoch", "time", "mmengine_version", "mmcv_version", "mmseg_version", "experiment_name", "seed")
    return {
        "glomseg": __version__,
        "imported_from": "MMSegmentation",
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": sha256_of(checkpoint),
        "config": Path(config.origin).name,
        "reduce_zero_label": reduce_zero_label,
        **{name: meta[name] for name in known if isinstance(meta.get(name), (str, int, float))},
    }


def _shortened(names: list[str]) -> str:
    rest = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "")
