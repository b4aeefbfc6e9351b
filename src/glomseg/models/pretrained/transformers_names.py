"""Names of ``transformers``, as the files of Hugging Face's hub have them: ResNet, ConvNeXt, MiT, Swin, ViT, DINO."""

import re

from glomseg.models.openmmlab.keys import columns_by_channel
from glomseg.models.pretrained.joining import joined_attention, joined_gates, unchanged, vit_tokens
from glomseg.models.pretrained.layout import Entries, Layout

_HEADS = r"(classifier|cls_classifier|distillation_classifier|pooler|decode_head|decoder|head|lm_head)\..*"
_MASK = r"embeddings\.mask_token"


def _resnet(entries: Entries) -> Entries:
    """Count what the blocks count from 0 from 1, as the names of convolutions and normalisations do."""
    return {_resnet_name(name): value for name, value in entries.items()}


def _resnet_name(name: str) -> str:
    found = re.fullmatch(r"stage(\d+)\.(\d+)\.part(\d+)\.(conv|bn)\.(\w+)", name)
    if found:
        return f"layer{int(found[1]) + 1}.{found[2]}.{found[4]}{int(found[3]) + 1}.{found[5]}"
    found = re.fullmatch(r"stage(\d+)\.(.*)", name)
    return f"layer{int(found[1]) + 1}.{found[2]}" if found else name


def _mit(entries: Entries) -> Entries:
    joined = joined_attention(entries, into="in_proj_")
    pointwise = re.compile(r".*\.ffn\.layers\.[04]\.weight")
    return {name: value[..., None, None] if pointwise.fullmatch(name) else value for name, value in joined.items()}


def _swin(entries: Entries) -> Entries:
    joined = joined_attention(entries, into="qkv.")
    return {name: columns_by_channel(value) if ".downsample." in name else value for name, value in joined.items()}


def _vit(entries: Entries) -> Entries:
    return vit_tokens(joined_gates(joined_attention(entries, into="in_proj_")))


_RESNET_NAMES = (
    ("embedder.embedder.convolution.*", "conv1.*"),
    ("embedder.embedder.normalization.*", "bn1.*"),
    ("encoder.stages.#.layers.#.layer.#.convolution.*", "stage#.#.part#.conv.*"),
    ("encoder.stages.#.layers.#.layer.#.normalization.*", "stage#.#.part#.bn.*"),
    ("encoder.stages.#.layers.#.shortcut.convolution.*", "stage#.#.downsample.0.*"),
    ("encoder.stages.#.layers.#.shortcut.normalization.*", "stage#.#.downsample.1.*"),
)
_CONVNEXT_NAMES = (
    ("embeddings.patch_embeddings.*", "downsample_layers.0.0.*"),
    ("embeddings.layernorm.*", "downsample_layers.0.1.*"),
    ("encoder.stages.#.downsampling_layer.#.*", "downsample_layers.#.#.*"),
    ("encoder.stages.#.layers.#.dwconv.*", "stages.#.#.depthwise_conv.*"),
    ("encoder.stages.#.layers.#.layernorm.*", "stages.#.#.norm.*"),
    ("encoder.stages.#.layers.#.pwconv1.*", "stages.#.#.pointwise_conv1.*"),
    ("encoder.stages.#.layers.#.pwconv2.*", "stages.#.#.pointwise_conv2.*"),
    ("encoder.stages.#.layers.#.layer_scale_parameter", "stages.#.#.gamma"),
    ("layernorm.*", "norm3.*"),
)
_MIT_NAMES = (
    ("encoder.patch_embeddings.#.proj.*", "layers.#.0.projection.*"),
    ("encoder.patch_embeddings.#.layer_norm.*", "layers.#.0.norm.*"),
    *(
        (f"encoder.block.#.#.attention.self.{part}.*", f"layers.#.1.#.attn.attn.{part}_*")
        for part in ("query", "key", "value")
    ),
    ("encoder.block.#.#.attention.self.sr.*", "layers.#.1.#.attn.sr.*"),
    ("encoder.block.#.#.attention.self.layer_norm.*", "layers.#.1.#.attn.norm.*"),
    ("encoder.block.#.#.attention.output.dense.*", "layers.#.1.#.attn.attn.out_proj.*"),
    ("encoder.block.#.#.layer_norm_1.*", "layers.#.1.#.norm1.*"),
    ("encoder.block.#.#.layer_norm_2.*", "layers.#.1.#.norm2.*"),
    ("encoder.block.#.#.mlp.dense1.*", "layers.#.1.#.ffn.layers.0.*"),
    ("encoder.block.#.#.mlp.dwconv.dwconv.*", "layers.#.1.#.ffn.layers.1.*"),
    ("encoder.block.#.#.mlp.dense2.*", "layers.#.1.#.ffn.layers.4.*"),
    ("encoder.layer_norm.#.*", "layers.#.2.*"),
)
_SWIN_NAMES = (
    ("embeddings.patch_embeddings.projection.*", "patch_embed.projection.*"),
    ("embeddings.norm.*", "patch_embed.norm.*"),
    *(
        (f"encoder.layers.#.blocks.#.attention.self.{part}.*", f"stages.#.blocks.#.attn.w_msa.{part}_*")
        for part in ("query", "key", "value")
    ),
    *(
        (f"encoder.layers.#.blocks.#.attention.self.{table}", f"stages.#.blocks.#.attn.w_msa.{table}")
        for table in ("relative_position_bias_table", "relative_position_index")
    ),
    ("encoder.layers.#.blocks.#.attention.output.dense.*", "stages.#.blocks.#.attn.w_msa.proj.*"),
    ("encoder.layers.#.blocks.#.layernorm_before.*", "stages.#.blocks.#.norm1.*"),
    ("encoder.layers.#.blocks.#.layernorm_after.*", "stages.#.blocks.#.norm2.*"),
    ("encoder.layers.#.blocks.#.intermediate.dense.*", "stages.#.blocks.#.ffn.layers.0.0.*"),
    ("encoder.layers.#.blocks.#.output.dense.*", "stages.#.blocks.#.ffn.layers.1.*"),
    ("encoder.layers.#.downsample.norm.*", "stages.#.downsample.norm.*"),
    ("encoder.layers.#.downsample.reduction.*", "stages.#.downsample.reduction.*"),
    ("layernorm.*", "norm3.*"),
)
_VIT_TOKENS = (
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.distillation_token", "dist_token"),
    ("embeddings.register_tokens", "register_tokens"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.patch_embeddings.projection.*", "patch_embed.projection.*"),
)
_VIT_ATTENTION = (
    *(
        (f"encoder.layer.#.attention.attention.{part}.*", f"layers.#.attn.attn.{part}_*")
        for part in ("query", "key", "value")
    ),
    ("encoder.layer.#.attention.output.dense.*", "layers.#.attn.attn.out_proj.*"),
    ("layernorm.*", "ln1.*"),
)
_VIT_NAMES = (
    *_VIT_TOKENS,
    *_VIT_ATTENTION,
    ("encoder.layer.#.layernorm_before.*", "layers.#.ln1.*"),
    ("encoder.layer.#.layernorm_after.*", "layers.#.ln2.*"),
    ("encoder.layer.#.intermediate.dense.*", "layers.#.ffn.layers.0.0.*"),
    ("encoder.layer.#.output.dense.*", "layers.#.ffn.layers.1.*"),
)
_DINOV2_NAMES = (
    *_VIT_TOKENS,
    *_VIT_ATTENTION,
    ("encoder.layer.#.norm1.*", "layers.#.ln1.*"),
    ("encoder.layer.#.norm2.*", "layers.#.ln2.*"),
    ("encoder.layer.#.layer_scale1.lambda1", "layers.#.gamma1"),
    ("encoder.layer.#.layer_scale2.lambda1", "layers.#.gamma2"),
    ("encoder.layer.#.mlp.fc1.*", "layers.#.ffn.layers.0.0.*"),
    ("encoder.layer.#.mlp.fc2.*", "layers.#.ffn.layers.1.*"),
    ("encoder.layer.#.mlp.weights_in.*", "layers.#.ffn.layers.0.0.*"),
    ("encoder.layer.#.mlp.weights_out.*", "layers.#.ffn.layers.1.*"),
)
_DINOV3_NAMES = (
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.register_tokens", "register_tokens"),
    ("embeddings.patch_embeddings.*", "patch_embed.projection.*"),
    *((f"layer.#.attention.{part[0]}_proj.*", f"layers.#.attn.attn.{part}_*") for part in ("query", "key", "value")),
    ("layer.#.attention.o_proj.*", "layers.#.attn.attn.out_proj.*"),
    ("layer.#.norm1.*", "layers.#.ln1.*"),
    ("layer.#.norm2.*", "layers.#.ln2.*"),
    ("layer.#.layer_scale1.lambda1", "layers.#.gamma1"),
    ("layer.#.layer_scale2.lambda1", "layers.#.gamma2"),
    ("layer.#.mlp.gate_proj.*", "layers.#.ffn.gate.*"),
    ("layer.#.mlp.up_proj.*", "layers.#.ffn.passed.*"),
    ("layer.#.mlp.down_proj.*", "layers.#.ffn.layers.1.*"),
    ("norm.*", "ln1.*"),
)


def _dinov3(entries: Entries) -> Entries:
    if not any(".gate." in name for name in entries):
        entries = {name.replace(".passed.", ".layers.0.0."): value for name, value in entries.items()}
    return _vit(entries)


LAYOUTS = (
    Layout(
        whose="transformers' ResNet",
        backbone="resnet",
        signature="embedder.embedder.convolution.weight",
        names=_RESNET_NAMES,
        heads=_HEADS,
        finish=_resnet,
    ),
    Layout(
        whose="transformers' ConvNeXt",
        backbone="convnext",
        signature="encoder.stages.0.layers.0.dwconv.weight",
        names=_CONVNEXT_NAMES,
        heads=_HEADS,
        finish=unchanged,
    ),
    Layout(
        whose="transformers' SegFormer",
        backbone="mit",
        signature="encoder.patch_embeddings.0.proj.weight",
        names=_MIT_NAMES,
        heads=_HEADS,
        finish=_mit,
    ),
    Layout(
        whose="transformers' Swin",
        backbone="swin",
        signature="encoder.layers.0.blocks.0.attention.self.query.weight",
        names=_SWIN_NAMES,
        heads=rf"{_HEADS}|{_MASK}",
        finish=_swin,
    ),
    Layout(
        whose="transformers' ViT",
        backbone="vit",
        signature="encoder.layer.0.layernorm_before.weight",
        names=_VIT_NAMES,
        heads=rf"{_HEADS}|{_MASK}",
        finish=_vit,
    ),
    Layout(
        whose="transformers' DINOv2",
        backbone="vit",
        signature="encoder.layer.0.norm1.weight",
        names=_DINOV2_NAMES,
        heads=rf"{_HEADS}|{_MASK}",
        finish=_vit,
    ),
    Layout(
        whose="transformers' DINOv3",
        backbone="vit",
        signature="layer.0.attention.q_proj.weight",
        names=_DINOV3_NAMES,
        heads=rf"{_HEADS}|{_MASK}",
        finish=_dinov3,
    ),
)
"""Every layout of ``transformers`` that is known."""
