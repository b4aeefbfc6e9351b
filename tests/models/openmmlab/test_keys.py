"""Names of original checkpoints become those of MMSegmentation 1.x."""

import torch
from torch import nn

from glomseg.models.openmmlab.keys import current_names, flip_input_channels


def names(*entries: str) -> set[str]:
    return set(current_names({name: torch.zeros(4, 4) for name in entries}))


def test_current_names_stay():
    current = {
        "backbone.stem.0.weight",
        "decode_head.conv_seg.bias",
        "backbone.stages.0.blocks.0.attn.w_msa.qkv.weight",
    }
    assert names(*current, "data_preprocessor.mean", "backbone.fc.weight", "ema_backbone_x") == current


def test_swin():
    assert names(
        "backbone.patch_embed.proj.weight",
        "backbone.layers.0.blocks.1.attn.qkv.weight",
        "backbone.layers.0.blocks.1.attn.relative_position_bias_table",
        "backbone.layers.0.blocks.1.attn_mask",
        "backbone.layers.0.blocks.1.mlp.fc1.bias",
        "backbone.layers.0.blocks.1.mlp.fc2.bias",
        "backbone.layers.0.blocks.1.norm1.bias",
        "backbone.layers.0.downsample.reduction.weight",
        "backbone.norm3.weight",
        "decode_head.conv_seg.bias",
    ) == {
        "backbone.patch_embed.projection.weight",
        "backbone.stages.0.blocks.1.attn.w_msa.qkv.weight",
        "backbone.stages.0.blocks.1.attn.w_msa.relative_position_bias_table",
        "backbone.stages.0.blocks.1.ffn.layers.0.0.bias",
        "backbone.stages.0.blocks.1.ffn.layers.1.bias",
        "backbone.stages.0.blocks.1.norm1.bias",
        "backbone.stages.0.downsample.reduction.weight",
        "backbone.norm3.weight",
        "decode_head.conv_seg.bias",
    }


def test_the_merging_of_patches_computes_the_same():
    """The original joins the patches one after the other, columns first; the current one as an unfolding does."""
    x = torch.randn(1, 3, 4, 6)
    patches = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    original = torch.cat(patches, dim=1).permute(0, 2, 3, 1)  # (1, 2, 3, 12)
    unfolded = nn.functional.unfold(x, 2, stride=2).transpose(1, 2).view(1, 2, 3, 12)
    norm, reduction = torch.randn(12), torch.randn(5, 12)
    start = "backbone.layers.0.downsample."
    entries = {
        "backbone.layers.0.blocks.0.norm1.bias": torch.zeros(3),
        f"{start}norm.weight": norm,
        f"{start}reduction.weight": reduction,
    }
    current = current_names(entries)
    new_norm = current["backbone.stages.0.downsample.norm.weight"]
    new_reduction = current["backbone.stages.0.downsample.reduction.weight"]
    torch.testing.assert_close((unfolded * new_norm) @ new_reduction.T, (original * norm) @ reduction.T)


def test_mit():
    block = "backbone.block2.3."
    entries = {
        "backbone.patch_embed1.proj.weight": torch.zeros(2, 3, 7, 7),
        "backbone.patch_embed1.norm.bias": torch.zeros(2),
        f"{block}attn.q.weight": torch.ones(2, 2),
        f"{block}attn.kv.weight": torch.zeros(4, 2),
        f"{block}attn.proj.bias": torch.zeros(2),
        f"{block}attn.sr.weight": torch.zeros(2, 2, 4, 4),
        f"{block}mlp.fc1.weight": torch.zeros(8, 2),
        f"{block}mlp.dwconv.dwconv.weight": torch.zeros(8, 1, 3, 3),
        f"{block}mlp.fc2.bias": torch.zeros(2),
        f"{block}norm2.bias": torch.zeros(2),
        "backbone.norm4.weight": torch.zeros(2),
    }
    current = current_names(entries)
    new = "backbone.layers.1.1.3."
    assert set(current) == {
        "backbone.layers.0.0.projection.weight",
        "backbone.layers.0.0.norm.bias",
        f"{new}attn.attn.in_proj_weight",
        f"{new}attn.attn.out_proj.bias",
        f"{new}attn.sr.weight",
        f"{new}ffn.layers.0.weight",
        f"{new}ffn.layers.1.weight",
        f"{new}ffn.layers.4.bias",
        f"{new}norm2.bias",
        "backbone.layers.3.2.weight",
    }
    assert current[f"{new}attn.attn.in_proj_weight"].shape == (6, 2)
    assert current[f"{new}attn.attn.in_proj_weight"][:2].all()  # the query first
    assert current[f"{new}ffn.layers.0.weight"].shape == (8, 2, 1, 1)


def test_input_channels_are_turned_round_once():
    entries = {"a.weight": torch.arange(24.0).view(2, 3, 2, 2), "b.weight": torch.arange(24.0).view(2, 3, 2, 2)}
    flipped = flip_input_channels(entries)
    assert torch.equal(flipped["a.weight"][:, 0], entries["a.weight"][:, 2])
    assert torch.equal(flipped["b.weight"], entries["b.weight"])
