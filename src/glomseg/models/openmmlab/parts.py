"""What the parts of OpenMMLab's networks are called here, and which of their options are known."""

from collections.abc import Mapping
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.families.sizes import CONVNEXT
from glomseg.models.openmmlab.mask2former import mask2former_config, mask2former_options
from glomseg.models.openmmlab.translation import Translation

Values = Mapping[str, Any]

_FOUR = ([0, 1, 2, 3],)


def _resnet(**fixed: Any) -> Translation:
    return Translation(
        name="resnet",
        kept=(
            *("depth", "base_channels", "stem_channels", "strides", "dilations", "contract_dilation", "multi_grid"),
            *("deep_stem", "avg_down", "zero_init_residual"),
        ),
        fixed=fixed,
        only={
            "in_channels": (3,),
            "num_stages": (4,),
            "out_indices": _FOUR,
            "style": ("pytorch",),
            "conv_cfg": (None,),
            "dcn": (None,),
            "plugins": (None,),
            "stage_with_dcn": ([False] * 4,),
        },
    )


_CONVNEXT_ARCHS = {"tiny": "t", "small": "s", "base": "b", "large": "l", "xlarge": "xl"}


def _convnext_widths(theirs: Values) -> dict[str, Any]:
    arch = theirs.get("arch", "tiny")
    if isinstance(arch, dict):
        return {"depths": list(arch["depths"]), "channels": list(arch["channels"])}
    if arch not in _CONVNEXT_ARCHS:
        raise InvalidInputError(f"ConvNeXt has the sizes {', '.join(_CONVNEXT_ARCHS)} here, not {arch!r}")
    return {name: list(value) for name, value in CONVNEXT[_CONVNEXT_ARCHS[arch]].items()}


def _vit_options(theirs: Values) -> dict[str, Any]:
    side = theirs.get("img_size", 224)
    indices = theirs.get("out_indices", -1)
    indices = [indices] if isinstance(indices, int) else list(indices)
    depth = theirs.get("num_layers", 12)
    norm = theirs.get("norm_cfg") or {}
    return {
        "img_size": [side, side] if isinstance(side, int) else list(side),
        "out_indices": [depth - 1 if index == -1 else index for index in indices],
        "eps": norm.get("eps", 1e-5),
    }


def _ham_options(theirs: Values) -> dict[str, Any]:
    ham = dict(theirs.get("ham_kwargs", {}))
    options = {"n_bases": ham.pop("MD_R", 64)}
    known = {"MD_S": (1,), "train_steps": (6,), "eval_steps": (7,), "inv_t": (1, 100), "rand_init": (True,)}
    for name, value in ham.items():
        if value not in known.get(name, ()):
            raise InvalidInputError(f"LightHamHead's ham_kwargs {name}={value!r} is not known here")
    return options


BACKBONES: dict[str, Translation] = {
    "ResNet": _resnet(),
    "ResNetV1c": _resnet(deep_stem=True, avg_down=False),
    "ResNetV1d": _resnet(deep_stem=True, avg_down=True),
    "UNet": Translation(
        name="unet",
        kept=("base_channels", "num_stages"),
        only={
            "in_channels": (3,),
            "strides": ([1] * 5,),
            "enc_num_convs": ([2] * 5,),
            "dec_num_convs": ([2] * 4,),
            "downsamples": ([True] * 4,),
            "enc_dilations": ([1] * 5,),
            "dec_dilations": ([1] * 4,),
            "conv_cfg": (None,),
            "act_cfg": ({"type": "ReLU"},),
            "upsample_cfg": ({"type": "InterpConv"},),
            "dcn": (None,),
            "plugins": (None,),
        },
    ),
    "FastSCNN": Translation(
        name="fast_scnn",
        kept=(
            "downsample_dw_channels",
            "global_in_channels",
            "global_block_channels",
            "global_block_strides",
            "global_out_channels",
            "fusion_out_channels",
        ),
        only={
            "in_channels": (3,),
            "higher_in_channels": (64,),
            "lower_in_channels": (128,),
            "out_indices": ([0, 1, 2],),
            "conv_cfg": (None,),
            "act_cfg": ({"type": "ReLU"},),
            "dw_act_cfg": (None,),
            "align_corners": (False,),
        },
    ),
    "MobileNetV2": Translation(
        name="mobilenet_v2",
        kept=("widen_factor", "strides", "dilations", "out_indices"),
        only={"conv_cfg": (None,), "act_cfg": ({"type": "ReLU6"},)},
    ),
    "MixVisionTransformer": Translation(
        name="mit",
        kept=("embed_dims", "num_heads", "sr_ratios", "drop_path_rate"),
        renamed={"num_layers": "depths"},
        defaults={"num_heads": [1, 2, 4, 8], "drop_path_rate": 0.0},
        only={
            "in_channels": (3,),
            "num_stages": (4,),
            "patch_sizes": ([7, 3, 3, 3],),
            "strides": ([4, 2, 2, 2],),
            "out_indices": _FOUR,
            "mlp_ratio": (4,),
            "qkv_bias": (True,),
            "drop_rate": (0.0,),
            "attn_drop_rate": (0.0,),
            "act_cfg": ({"type": "GELU"},),
        },
        norms=("LN",),
        eps=1e-6,
    ),
    "SwinTransformer": Translation(
        name="swin",
        kept=("embed_dims", "depths", "num_heads", "window_size", "drop_path_rate"),
        defaults={"drop_path_rate": 0.1},
        only={
            "in_channels": (3,),
            "patch_size": (4,),
            "mlp_ratio": (4,),
            "strides": ([4, 2, 2, 2],),
            "out_indices": _FOUR,
            "qkv_bias": (True,),
            "qk_scale": (None,),
            "patch_norm": (True,),
            "use_abs_pos_embed": (False,),
            "drop_rate": (0.0,),
            "attn_drop_rate": (0.0,),
            "act_cfg": ({"type": "GELU"},),
        },
        norms=("LN",),
    ),
    "ConvNeXt": Translation(
        name="convnext",
        kept=("drop_path_rate", "layer_scale_init_value"),
        defaults={"drop_path_rate": 0.0, "layer_scale_init_value": 1e-6},
        only={
            "in_channels": (3,),
            "stem_patch_size": (4,),
            "out_indices": _FOUR,
            "gap_before_final_norm": (False,),
            "linear_pw_conv": (True,),
            "use_grn": (False,),
            "act_cfg": ({"type": "GELU"},),
        },
        norms=("LN2d",),
        eps=1e-6,
        more=_convnext_widths,
        more_reads=("arch",),
        back=lambda ours: {"arch": {"depths": list(ours["depths"]), "channels": list(ours["channels"])}},
        written={"out_indices": (0, 1, 2, 3), "gap_before_final_norm": False},
        scope="mmpretrain.",
    ),
    "VisionTransformer": Translation(
        name="vit",
        kept=("patch_size", "embed_dims", "num_layers", "num_heads", "final_norm", "drop_path_rate", "patch_bias"),
        fixed={"hidden_dims": None, "gated": False, "layer_scale": False, "n_registers": 0, "rotary": False},
        defaults={"patch_bias": False, "final_norm": False, "drop_path_rate": 0.0},
        only={
            "in_channels": (3,),
            "patch_pad": ("corner",),
            "mlp_ratio": (4,),
            "out_origin": (False,),
            "qkv_bias": (True,),
            "drop_rate": (0.0,),
            "attn_drop_rate": (0.0,),
            "with_cls_token": (True,),
            "output_cls_token": (False,),
            "patch_norm": (False,),
            "pre_norm": (False,),
            "interpolate_mode": ("bicubic",),
            "num_fcs": (2,),
            "act_cfg": ({"type": "GELU"},),
        },
        norms=("LN",),
        eps=None,
        more=_vit_options,
        more_reads=("img_size", "out_indices"),
        back=lambda ours: {
            "img_size": tuple(ours["img_size"]),
            "out_indices": tuple(ours["out_indices"]),
            "norm_cfg": {"type": "LN", "eps": ours["eps"], "requires_grad": True},
        },
    ),
    "MSCAN": Translation(
        name="mscan",
        kept=("embed_dims", "depths", "mlp_ratios", "drop_path_rate"),
        defaults={
            "embed_dims": [64, 128, 256, 512],
            "depths": [3, 4, 6, 3],
            "mlp_ratios": [4] * 4,
            "drop_path_rate": 0.0,
        },
        only={
            "in_channels": (3,),
            "num_stages": (4,),
            "drop_rate": (0.0,),
            "attention_kernel_sizes": ([5, [1, 7], [1, 11], [1, 21]],),
            "attention_kernel_paddings": ([2, [0, 3], [0, 5], [0, 10]],),
            "act_cfg": ({"type": "GELU"},),
        },
    ),
}

NECKS: dict[str, Translation] = {
    "MultiLevelNeck": Translation(
        name="multilevel",
        kept=("in_channels", "out_channels", "scales"),
        defaults={"scales": [0.5, 1, 2, 4]},
        only={"norm_cfg": (None,), "act_cfg": (None,)},
        norms=(),
        back=lambda ours: {"in_channels": list(ours["in_channels"])},  # it takes no tuple
    ),
}


def _head(name: str, *kept: str, one_feature: bool = True, corners: bool = False, **others: Any) -> Translation:
    """Return the translation of a head, with the options that all heads have."""
    only: dict[str, tuple[Any, ...]] = {
        "input_transform": (None,) if one_feature else ("multiple_select",),
        "conv_cfg": (None,),
        "act_cfg": ({"type": "ReLU"},),
    }
    if one_feature:
        kept = ("in_index", *kept)
    else:
        only["in_index"] = _FOUR
        others.setdefault("written", {"in_index": (0, 1, 2, 3)})
    if corners:
        kept = ("align_corners", *kept)
    return Translation(
        **{
            "name": name,
            "kept": ("in_channels", "channels", *kept),
            "renamed": {"dropout_ratio": "dropout"},
            "only": {**only, **others.pop("only", {})},
            "needs_norm": True,
            **others,
        }
    )


_FCN_OPTIONS = ("num_convs", "kernel_size", "concat_input", "dilation")

HEADS: dict[str, Translation] = {
    "FCNHead": _head("fcn", *_FCN_OPTIONS),
    "DepthwiseSeparableFCNHead": _head("fcn", *_FCN_OPTIONS, fixed={"separable": True}, only={"dw_act_cfg": (None,)}),
    "PSPHead": _head("psp", "pool_scales", corners=True),
    "ASPPHead": _head("aspp", "dilations"),
    "DepthwiseSeparableASPPHead": _head("separable_aspp", "dilations", "c1_in_channels", "c1_channels", corners=True),
    "UPerHead": _head("uper", "pool_scales", one_feature=False, corners=True),
    "SegformerHead": _head("segformer", one_feature=False, corners=True, only={"interpolate_mode": ("bilinear",)}),
    "LightHamHead": _head(
        "ham",
        "ham_channels",
        "in_index",
        one_feature=False,
        corners=True,
        defaults={"ham_channels": 512},
        only={"in_index": ([1, 2, 3],)},
        written={},
        norms=("GN",),
        more=_ham_options,
        more_reads=("ham_kwargs",),
        back=lambda ours: {
            "ham_kwargs": {"MD_S": 1, "MD_R": ours["n_bases"], "train_steps": 6, "eval_steps": 7, "inv_t": 100},
        },
    ),
    "SegmenterMaskTransformerHead": Translation(
        name="segmenter",
        kept=("in_channels", "embed_dims", "num_layers", "num_heads", "in_index", "drop_path_rate"),
        only={
            "mlp_ratio": (4,),
            "drop_rate": (0.0,),
            "attn_drop_rate": (0.0,),
            "num_fcs": (2,),
            "qkv_bias": (True,),
            "act_cfg": ({"type": "GELU"},),
            "input_transform": (None,),
        },
        norms=("LN",),
        more_reads=("channels", "dropout_ratio", "align_corners"),  # without effect in this head
        back=lambda ours: {"channels": ours["embed_dims"], "dropout_ratio": 0.0},
    ),
    "Mask2FormerHead": Translation(
        name="mask2former",
        kept=("in_channels",),
        only={"strides": ([4, 8, 16, 32],), "enforce_decoder_input_project": (False,), "align_corners": (False,)},
        norms=(),
        more=mask2former_options,
        back=mask2former_config,
        more_reads=(
            *("feat_channels", "num_queries", "num_transformer_feat_level", "pixel_decoder", "transformer_decoder"),
            *("positional_encoding", "loss_cls", "loss_mask", "loss_dice", "train_cfg", "test_cfg"),
        ),
    ),
}
