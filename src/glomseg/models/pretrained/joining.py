"""Steps that several layouts share: parts that are one entry here, tokens and positions of a Vision Transformer."""

import math
import re

import torch
from torch import Tensor

from glomseg.errors import InvalidInputError
from glomseg.models.pretrained.layout import Entries

_QUERY = re.compile(r"(.*)\.query_weight")


def unchanged(entries: Entries) -> Entries:
    """Return the entries as they are."""
    return entries


def joined_attention(entries: Entries, *, into: str) -> Entries:
    """Return the entries with query, key and value of every attention in one.

    Parameters
    ----------
    entries
        Among them ``<attention>.query_weight``, ``.key_weight``, ``.value_weight`` and, each if there is one, the
        biases. A missing bias is the same as zeros.
    into
        What the joined entries are called: ``in_proj_`` or ``qkv.``, then ``weight`` or ``bias``.
    """
    joined = dict(entries)
    for name in entries:
        found = _QUERY.fullmatch(name)
        if found is None:
            continue
        attention = found[1]
        names = [f"{attention}.{part}_weight" for part in ("query", "key", "value")]
        weights = [joined.pop(part) for part in names if part in joined]
        if len(weights) != 3 or any(weight.shape != weights[0].shape or weight.ndim != 2 for weight in weights):
            raise InvalidInputError(f"query, key and value of {attention!r} do not fit each other; the file is damaged")
        biases = [
            joined.pop(f"{attention}.{part}_bias", torch.zeros(len(weight), dtype=weight.dtype))
            for part, weight in zip(("query", "key", "value"), weights, strict=True)
        ]
        if any(bias.shape != weights[0].shape[:1] for bias in biases):
            raise InvalidInputError(f"a bias of {attention!r} does not fit its weights; the file is damaged")
        joined[f"{attention}.{into}weight"] = torch.cat(weights)
        joined[f"{attention}.{into}bias"] = torch.cat(biases)
    return joined


def joined_gates(entries: Entries) -> Entries:
    """Return the entries with the two first layers of every gated feed-forward network in one, the gate first."""
    joined = dict(entries)
    for name, gate in entries.items():
        if ".gate." in name:
            value = joined.pop(name.replace(".gate.", ".passed."), None)
            if value is None or value.shape != gate.shape:
                raise InvalidInputError(f"the entry {name!r} has nothing to gate that fits it; the file is damaged")
            del joined[name]
            joined[name.replace(".gate.", ".layers.0.0.")] = torch.cat([gate, value])
    return joined


def vit_tokens(entries: Entries) -> Entries:
    """Return the entries of a ViT with registers in one entry, and positions of the class token and the patches.

    A distillation token is a register. Where the position embedding holds places of the registers, they are added to
    the registers themselves, and where it lacks that of the class token, that is zero: the sums are the same.

    Raises
    ------
    InvalidInputError
        If there is no class token, or the positions are not those of a square of patches.
    """
    entries = dict(entries)
    token = entries.get("cls_token")
    if token is None or token.ndim != 3:
        raise InvalidInputError("it has no class token, and the Vision Transformer here does not go without one")
    registers = [entries.pop(name) for name in ("dist_token", "register_tokens") if name in entries]
    if any(item.ndim != 3 or item.shape[-1] != token.shape[-1] for item in registers):
        raise InvalidInputError("its register tokens do not fit the class token; the file is damaged")
    if registers:
        entries["register_tokens"] = torch.cat(registers, dim=1)
    if "pos_embed" in entries:
        n_registers = sum(item.shape[1] for item in registers)
        positions = _positions(entries["pos_embed"], token, n_registers=n_registers)
        entries["pos_embed"] = torch.cat([positions[:, :1], positions[:, -_n_patches(positions, n_registers) :]], dim=1)
        if positions.shape[1] > entries["pos_embed"].shape[1]:
            entries["register_tokens"] = entries["register_tokens"] + positions[:, 1 : 1 + n_registers]
    return entries


def _positions(positions: Tensor, token: Tensor, *, n_registers: int) -> Tensor:
    """Return the positions with one of the class token at the beginning."""
    if positions.ndim == 2:  # mask tokens and positions of some files lack the axis of the batch
        positions = positions[None]
    if positions.ndim != 3 or positions.shape[-1] != token.shape[-1]:
        raise InvalidInputError(f"its position embedding has the shape {tuple(positions.shape)}; the file is damaged")
    n_prefix = positions.shape[1] - _n_patches(positions, n_registers)
    return torch.cat([torch.zeros_like(token), positions], dim=1) if n_prefix == 0 else positions


def _n_patches(positions: Tensor, n_registers: int) -> int:
    n_places = positions.shape[1]
    for n_prefix in (1, 0, 1 + n_registers):
        n_patches = n_places - n_prefix
        if n_patches > 0 and math.isqrt(n_patches) ** 2 == n_patches:
            return n_patches
    raise InvalidInputError(
        f"its position embedding has {n_places} places, which with one class token and {n_registers} registers are "
        "no square of patches"
    )
