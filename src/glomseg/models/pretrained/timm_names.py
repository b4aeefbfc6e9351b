"""Names of ``timm``, and of the repositories that its ViT follows: DINO, MAE, DINOv2, H-optimus, UNI, Virchow."""

import re

import torch
from torch import Tensor

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.keys import columns_by_channel
from glomseg.models.pretrained.joining import joined_gates, unchanged, vit_tokens
from glomseg.models.pretrained.layout import Entries, Layout

_HEADS = r"(head|head_dist|fc|fc_norm|attn_pool|norm_head)\..*|mask_token"

_RESNET_NAMES = (
    ("conv1.#.*", "stem.#.*"),
    ("bn1.*", "stem.7.*"),
    ("layer#.#.conv#.*", "layer#.#.conv#.*"),
    ("layer#.#.bn#.*", "layer#.#.bn#.*"),
    ("layer#.#.downsample.#.*", "layer#.#.downsample.#.*"),
)
_CONVNEXT_NAMES = (
    ("stem.#.*", "downsample_layers.0.#.*"),
    ("stages.#.downsample.#.*", "downsample_layers.#.#.*"),
    ("stages.#.blocks.#.gamma", "stages.#.#.gamma"),
    ("stages.#.blocks.#.conv_dw.*", "stages.#.#.depthwise_conv.*"),
    ("stages.#.blocks.#.norm.*", "stages.#.#.norm.*"),
    ("stages.#.blocks.#.mlp.fc#.*", "stages.#.#.pointwise_conv#.*"),
    ("head.norm.*", "norm3.*"),
    ("norm_pre.*", "norm3.*"),
)
_CONVNEXT_REPOSITORY_NAMES = (
    ("downsample_layers.#.#.*", "downsample_layers.#.#.*"),
    ("stages.#.#.gamma", "stages.#.#.gamma"),
    ("stages.#.#.dwconv.*", "stages.#.#.depthwise_conv.*"),
    ("stages.#.#.norm.*", "stages.#.#.norm.*"),
    ("stages.#.#.pwconv#.*", "stages.#.#.pointwise_conv#.*"),
    ("norm.*", "norm3.*"),
)
_SWIN_NAMES = (
    ("patch_embed.proj.*", "patch_embed.projection.*"),
    ("patch_embed.norm.*", "patch_embed.norm.*"),
    *(
        (f"layers.#.blocks.#.attn.{part}", f"stages.#.blocks.#.attn.w_msa.{part}")
        for part in ("relative_position_bias_table", "relative_position_index", "qkv.*", "proj.*")
    ),
    ("layers.#.blocks.#.norm#.*", "stages.#.blocks.#.norm#.*"),
    ("layers.#.blocks.#.mlp.fc1.*", "stages.#.blocks.#.ffn.layers.0.0.*"),
    ("layers.#.blocks.#.mlp.fc2.*", "stages.#.blocks.#.ffn.layers.1.*"),
    ("layers.#.downsample.*.*", "merging#.*.*"),
    ("norm.*", "norm3.*"),
)
_VIT_NAMES = (
    ("cls_token", "cls_token"),
    ("dist_token", "dist_token"),
    ("reg_token", "register_tokens"),
    ("register_tokens", "register_tokens"),
    ("pos_embed", "pos_embed"),
    ("patch_embed.proj.*", "patch_embed.projection.*"),
    ("blocks.#.norm#.*", "layers.#.ln#.*"),
    ("blocks.#.attn.qkv.*", "layers.#.attn.attn.in_proj_*"),
    ("blocks.#.attn.q_bias", "layers.#.attn.attn.q_bias"),
    ("blocks.#.attn.v_bias", "layers.#.attn.attn.v_bias"),
    ("blocks.#.attn.proj.*", "layers.#.attn.attn.out_proj.*"),
    ("blocks.#.ls#.gamma", "layers.#.gamma#"),
    ("blocks.#.gamma_#", "layers.#.gamma#"),
    ("blocks.#.mlp.fc1.*", "layers.#.ffn.layers.0.0.*"),
    ("blocks.#.mlp.w12.*", "layers.#.ffn.layers.0.0.*"),
    ("blocks.#.mlp.fc1_g.*", "layers.#.ffn.gate.*"),
    ("blocks.#.mlp.fc1_x.*", "layers.#.ffn.passed.*"),
    ("blocks.#.mlp.fc2.*", "layers.#.ffn.layers.1.*"),
    ("blocks.#.mlp.w3.*", "layers.#.ffn.layers.1.*"),
    ("norm.*", "ln1.*"),
)


def _convnext(entries: Entries) -> Entries:
    """Return the entries with linear layers where small networks have convolutions of one pixel."""
    return {
        name: value[..., 0, 0] if re.fullmatch(r".*\.pointwise_conv\d\.weight", name) and value.ndim == 4 else value
        for name, value in entries.items()
    }


def _swin(entries: Entries) -> Entries:
    """Return the entries with the merging of patches at the end of a stage, where timm has it at the beginning."""
    ours = {}
    for name, value in entries.items():
        found = re.fullmatch(r"merging(\d+)\.(.*)", name)
        if found:
            ours[f"stages.{int(found[1]) - 1}.downsample.{found[2]}"] = columns_by_channel(value)
        else:
            ours[name] = value
    return ours


def _vit(entries: Entries) -> Entries:
    if "pos_embed" in entries and any(".gate." in name for name in entries):
        raise InvalidInputError(
            "it is an EVA-02, which has rotary positions beside its position embedding; the network here has no such"
        )
    return vit_tokens(joined_gates(_with_biases(entries)))


def _with_biases(entries: Entries) -> Entries:
    """Return the entries with a bias for every attention: zeros where there is none for query, key or value."""
    ours = dict(entries)
    for name, weight in entries.items():
        if not name.endswith(".in_proj_weight"):
            continue
        attention = name.removesuffix("in_proj_weight")
        width = len(weight) // 3
        query, value = (ours.pop(f"{attention}{part}_bias", _zeros(width, like=weight)) for part in ("q", "v"))
        if f"{attention}in_proj_bias" not in ours:
            ours[f"{attention}in_proj_bias"] = torch.cat([query, _zeros(width, like=weight), value])
    return ours


def _zeros(width: int, *, like: Tensor) -> Tensor:
    return torch.zeros(width, dtype=like.dtype)


LAYOUTS = (
    Layout(
        whose="timm's ResNet",
        backbone="resnet",
        signature="conv1.0.weight",
        names=_RESNET_NAMES,
        heads=_HEADS,
        finish=unchanged,
    ),
    Layout(
        whose="timm's ConvNeXt",
        backbone="convnext",
        signature="stages.0.blocks.0.conv_dw.weight",
        names=_CONVNEXT_NAMES,
        heads=r"head\.(?!norm\.).*",
        finish=_convnext,
    ),
    Layout(
        whose="ConvNeXt's own repository",
        backbone="convnext",
        signature="stages.0.0.dwconv.weight",
        names=_CONVNEXT_REPOSITORY_NAMES,
        heads=r"head\..*",
        finish=unchanged,
    ),
    Layout(
        whose="timm's Swin",
        backbone="swin",
        signature="layers.3.downsample.reduction.weight",  # the original has it at the end of the stage before
        names=_SWIN_NAMES,
        heads=_HEADS,
        finish=_swin,
    ),
    Layout(
        whose="timm's ViT",
        backbone="vit",
        signature="blocks.0.attn.qkv.weight",
        names=_VIT_NAMES,
        heads=_HEADS,
        finish=_vit,
    ),
)
"""Every layout of timm, and those of repositories that have the same names."""
