"""Bringing the entries of a pretrained backbone to the shapes of a network's, and refusing those of another network."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.errors import InvalidInputError
from glomseg.models import compose
from glomseg.models.backbones.vit import resized_positions
from glomseg.models.build import ARCHITECTURES, describe_architecture
from glomseg.models.pretrained.layout import Entries
from glomseg.models.pretrained.sizes import Sizes, sizes_of

_FINAL_NORMS = {"convnext": r"norm[0-3]\..*", "swin": r"norm[0-3]\..*", "vit": r"ln1\..*"}
"""Normalisations of the features: a segmentation network has others than a classifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a backbone is filled with.

    Attributes
    ----------
    entries
        By their name in the backbone, each with its shape there.
    unused
        Entries of the source that the backbone does not have, which changes none of its features.
    notes
        What was changed, in words.
    """

    entries: Entries
    unused: tuple[str, ...]
    notes: tuple[str, ...]


def is_computed(name: str) -> bool:
    """Return whether an entry is worked out from the network, so that no file need have it."""
    return name.endswith(("relative_position_index", "num_batches_tracked"))


def kind_of(backbone: nn.Module) -> str:
    """Return the name of a backbone in `glomseg.models.compose.BACKBONES`; "" where it is none of them."""
    return next((name for name, builder in compose.BACKBONES.items() if type(backbone) is builder), "")


def check_sizes(backbone: nn.Module, entries: Mapping[str, Tensor]) -> None:
    """Raise `InvalidInputError` if entries under our names are of a backbone of other sizes; it names the options.

    Nothing is raised where the entries do not show what they are of.
    """
    kind = kind_of(backbone)
    found, own = sizes_of(kind, entries), sizes_of(kind, backbone.state_dict())
    if not found or found == own:
        return
    options = [name for name in found if found[name] != own.get(name)]
    theirs = ", ".join(f"{name} {_written(found[name])}" for name in options)
    ours = ", ".join(_written(own.get(name)) for name in options)
    settings = " ".join(f"--set model.options.{name}={_written(found[name])}" for name in options)
    fitting = _fitting(kind, entries)
    choice = f"; or choose {' or '.join(fitting)} (--set model.architecture=...)" if fitting else ""
    raise InvalidInputError(f"they are of a {kind} with {theirs}, and the network has {ours}: {settings}{choice}")


def fit(backbone: nn.Module, entries: Entries, *, kind: str) -> Fitted:
    """Return the entries of a pretrained backbone in the shapes of ours.

    Parameters
    ----------
    backbone
        Ours.
    entries
        Under our names, without ``backbone.``.
    kind
        What the entries are of, as in `kind_of`.

    Raises
    ------
    InvalidInputError
        If they are of another kind of network, of other sizes, or not complete.
    """
    if kind_of(backbone) != kind:
        raise InvalidInputError(
            f"they are of a {kind}, and the network stands on a {kind_of(backbone) or type(backbone).__name__}; choose "
            f"{' or '.join(_fitting(kind, entries) or _architectures_on(kind))} (--set model.architecture=...)"
        )
    check_sizes(backbone, entries)
    own = backbone.state_dict()
    notes: list[str] = []
    fitted: Entries = {}
    for name, value in entries.items():
        if name in own and not is_computed(name):
            fitted[name] = _resized(name, value, own[name], notes)
    unused = [name for name in entries if name not in own]
    final = _FINAL_NORMS.get(kind, "")
    foreign = [name for name in unused if not re.fullmatch(final, name)]
    lacking = [name for name in own if name not in fitted and not is_computed(name) and not re.fullmatch(final, name)]
    wrong = [name for name, value in fitted.items() if value.shape != own[name].shape]
    if foreign or lacking or wrong:
        raise InvalidInputError(f"they are not those of the network's {kind}: {_difference(foreign, lacking, wrong)}")
    odd = next((name for name, value in fitted.items() if not value.is_floating_point()), None)
    if odd is not None:
        raise InvalidInputError(f"{odd!r} holds {entries[odd].dtype}: quantised weights cannot start a training")
    return Fitted(entries=fitted, unused=tuple(unused), notes=tuple(dict.fromkeys(notes)))


def _resized(name: str, value: Tensor, own: Tensor, notes: list[str]) -> Tensor:
    """Return positions for the size of the network's own, where they are for another."""
    if value.shape == own.shape:
        return value
    if name == "pos_embed" and value.ndim == 3 and value.shape[-1] == own.shape[-1]:
        side, wanted = math.isqrt(value.shape[1] - 1), math.isqrt(own.shape[1] - 1)
        if wanted**2 + 1 == own.shape[1]:
            notes.append(f"the position embedding was resized from {side} x {side} to {wanted} x {wanted} patches")
            return resized_positions(_wide(value), (side, side), size=(wanted, wanted))
    if name.endswith(".relative_position_bias_table") and value.ndim == 2 and value.shape[1] == own.shape[1]:
        side, wanted = math.isqrt(len(value)), math.isqrt(len(own))
        if side**2 == len(value):
            window, own_window = (side + 1) // 2, (wanted + 1) // 2
            notes.append(
                f"the biases of relative positions were resized from windows of {window} to {own_window} tokens; "
                f"--set model.options.window_size={window} takes them as they are"
            )
            image = _wide(value).T.reshape(1, -1, side, side)
            resized = F.interpolate(image, size=(wanted, wanted), mode="bicubic", align_corners=False)
            return resized.flatten(2)[0].T
    return value


def _wide(value: Tensor) -> Tensor:
    return value if value.dtype == torch.float64 else value.float()


def _difference(foreign: list[str], lacking: list[str], wrong: list[str]) -> str:
    parts = [
        f"{len(names)} {what}, the first is {names[0]!r}"
        for names, what in ((foreign, "unknown"), (lacking, "missing"), (wrong, "of another shape"))
        if names
    ]
    return "; ".join(parts)


def _written(value: object) -> str:
    """Return a value as `--set` takes it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _architectures_on(kind: str) -> list[str]:
    return [name for name in ARCHITECTURES if describe_architecture(name, {})["backbone"]["name"] == kind]


def _fitting(kind: str, entries: Mapping[str, Tensor]) -> list[str]:
    """Return the architectures whose backbone has the sizes that the entries show."""
    sizes = sizes_of(kind, entries)
    return [name for name in _architectures_on(kind) if sizes and _sizes_of_architecture(name) == sizes]


def _sizes_of_architecture(name: str) -> Sizes:
    part = describe_architecture(name, {})["backbone"]
    options = {key: value for key, value in part.items() if key != "name"}
    with torch.device("meta"):
        backbone = compose.BACKBONES[part["name"]](**options)
    return sizes_of(part["name"], backbone.state_dict())
