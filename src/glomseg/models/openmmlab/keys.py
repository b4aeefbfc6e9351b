"""Entry names of older and of original checkpoints, brought to those of MMSegmentation 1.x."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from glomseg.errors import InvalidInputError

_SWIN_NAMES = (
    (r"^layers\.(\d+)\.", r"stages.\1."),
    (r"\.attn\.(?!w_msa\.)", ".attn.w_msa."),
    (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
    (r"\.mlp\.fc2\.", ".ffn.layers.1."),
    (r"^patch_embed\.proj\.", "patch_embed.projection."),
)
_MIT_NAMES = (
    (r"\.mlp\.fc1\.", ".ffn.layers.0."),
    (r"\.mlp\.dwconv\.dwconv\.", ".ffn.layers.1."),
    (r"\.mlp\.fc2\.", ".ffn.layers.4."),
    (r"\.attn\.proj\.", ".attn.attn.out_proj."),
)
_NOT_OF_THE_NETWORK = ("data_preprocessor.", "backbone.head.", "backbone.fc.", "ema_")


def current_names(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries under MMSegmentation 1.x's names, without those that are not of the network."""
    return renamed({name: value for name, value in entries.items() if not name.startswith(_NOT_OF_THE_NETWORK)})[0]


def renamed(entries: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Return the entries under MMSegmentation 1.x's names, and whose names they had; "" where they keep them.

    Known are the original names of Swin (``layers.0.blocks.0.mlp.fc1``) and MiT (``block1.0.attn.q``), with their
    own order of the numbers in a Swin's merging of patches.

    Raises
    ------
    InvalidInputError
        If entries that belong together (the query, key and value of an attention) do not fit.
    """
    backbone = {
        name.removeprefix("backbone."): value for name, value in entries.items() if name.startswith("backbone.")
    }
    if any(re.match(r"layers\.\d+\.blocks\.", name) for name in backbone):
        current, whose = _from_original_swin(backbone), "Swin's own repository"
    elif any(re.match(r"block\d\.\d+\.attn\.q\.", name) for name in backbone):
        current, whose = _from_original_mit(backbone), "SegFormer's own repository"
    else:
        return dict(entries), ""
    rest = {name: value for name, value in entries.items() if not name.startswith("backbone.")}
    return {f"backbone.{name}": value for name, value in current.items()} | rest, whose


def flip_input_channels(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of a network that sees blue first as those of the same network that sees red first."""
    first = next(name for name, value in entries.items() if value.ndim == 4 and value.shape[1] == 3)
    return {name: value.flip(1) if name == first else value for name, value in entries.items()}


def _from_original_swin(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    current = {}
    for name, value in entries.items():
        if name.endswith("attn_mask"):  # worked out from the size of the image
            continue
        if ".downsample." in name:
            value = columns_by_channel(value)
        for pattern, replacement in _SWIN_NAMES:
            name = re.sub(pattern, replacement, name)
        current[name] = value
    return current


def columns_by_channel(value: Tensor) -> Tensor:
    """Reorder the last axis of a merging of 2x2 patches: from patch by patch, columns first, to channel by channel."""
    last = value.shape[-1] if value.ndim else 0
    if last % 4:
        raise InvalidInputError(f"a Swin merges patches of 2 x 2, which {last} numbers are not; the file is damaged")
    patches = value.reshape(*value.shape[:-1], 2, 2, last // 4)  # (column, row, channel)
    return torch.einsum("...xyc->...cyx", patches).reshape(value.shape)


def _from_original_mit(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    current = {}
    for name, value in entries.items():
        if ".attn.kv." in name:
            continue  # joined with its query
        if ".attn.q." in name:
            key_value = entries.get(name.replace(".attn.q.", ".attn.kv."))
            if key_value is None or key_value.ndim == 0 or key_value.shape[1:] != value.shape[1:]:
                raise InvalidInputError(f"the entry {name!r} has no .kv. that fits it; the file is damaged")
            value = torch.cat([value, key_value])
            name = name.replace(".attn.q.", ".attn.attn.in_proj_")
        if re.search(r"\.mlp\.fc[12]\.weight$", name):
            value = value[..., None, None]
        for pattern, replacement in _MIT_NAMES:
            name = re.sub(pattern, replacement, name)
        current[_mit_stage(name)] = value
    return current


def _mit_stage(name: str) -> str:
    for start, place in (("patch_embed", 0), ("block", 1), ("norm", 2)):
        found = re.match(rf"{start}(\d)\.(.*)", name)
        if found:
            rest = found[2].replace("proj.", "projection.") if start == "patch_embed" else found[2]
            return f"layers.{int(found[1]) - 1}.{place}.{rest}"
    return name
