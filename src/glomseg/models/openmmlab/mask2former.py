"""The options of OpenMMLab's Mask2Former head, which are spread over nested parts."""

from collections.abc import Mapping
from typing import Any

from glomseg.errors import InvalidInputError

Values = Mapping[str, Any]


def mask2former_options(theirs: Values) -> dict[str, Any]:
    """Return the options of the head here from those of OpenMMLab's, which has them in nested parts."""
    pixels, decoder = theirs["pixel_decoder"], theirs["transformer_decoder"]
    encoder_layer, decoder_layer = pixels["encoder"]["layer_cfg"], decoder["layer_cfg"]
    attention = encoder_layer["self_attn_cfg"]
    levels = (theirs.get("num_transformer_feat_level", 3), attention["num_levels"], pixels.get("num_outs", 3))
    if levels != (3, 3, 3) or not decoder_layer["self_attn_cfg"]["num_heads"] == attention["num_heads"]:
        raise InvalidInputError(
            f"a Mask2FormerHead with {levels} levels, or with other heads in each part, is not known"
        )
    return {
        "feat_channels": theirs.get("feat_channels", 256),
        "out_channels": theirs.get("out_channels", 256),
        "num_queries": theirs.get("num_queries", 100),
        "num_heads": attention["num_heads"],
        "num_points": attention["num_points"],
        "encoder_layers": pixels["encoder"]["num_layers"],
        "encoder_feedforward": encoder_layer["ffn_cfg"]["feedforward_channels"],
        "decoder_layers": decoder["num_layers"],
        "decoder_feedforward": decoder_layer["ffn_cfg"]["feedforward_channels"],
    }


def mask2former_config(ours: Values) -> dict[str, Any]:
    """Return OpenMMLab's nested options from those of the head here; `mask2former_options` is the way back."""
    width, heads = ours["feat_channels"], ours["num_heads"]
    positions = {"num_feats": width // 2, "normalize": True}
    attention = {"embed_dims": width, "num_heads": heads, "batch_first": True}
    relu = {"type": "ReLU", "inplace": True}

    def feed_forward(inner: int) -> dict[str, Any]:
        return {"embed_dims": width, "feedforward_channels": inner, "num_fcs": 2, "act_cfg": relu}

    class_weight = [1.0] * ours["n_classes"] + [0.1]  # the last is "no object"
    encoder_layer = {
        "self_attn_cfg": {**attention, "num_levels": 3, "num_points": ours["num_points"], "dropout": 0.0},
        "ffn_cfg": feed_forward(ours["encoder_feedforward"]),
    }
    decoder_layer = {
        "self_attn_cfg": attention,
        "cross_attn_cfg": attention,
        "ffn_cfg": {**feed_forward(ours["decoder_feedforward"]), "add_identity": True},
    }
    return {
        "strides": [4, 8, 16, 32],
        "feat_channels": width,
        "out_channels": ours["out_channels"],
        "num_queries": ours["num_queries"],
        "num_transformer_feat_level": 3,
        "enforce_decoder_input_project": False,
        "pixel_decoder": {
            "type": "mmdet.MSDeformAttnPixelDecoder",
            "num_outs": 3,
            "norm_cfg": {"type": "GN", "num_groups": 32},
            "act_cfg": {"type": "ReLU"},
            "encoder": {"num_layers": ours["encoder_layers"], "layer_cfg": encoder_layer},
            "positional_encoding": positions,
        },
        "positional_encoding": positions,
        "transformer_decoder": {
            "return_intermediate": True,
            "num_layers": ours["decoder_layers"],
            "layer_cfg": decoder_layer,
        },
        # Only training uses the losses, but OpenMMLab does not build the head without them.
        "loss_cls": {"type": "mmdet.CrossEntropyLoss", "loss_weight": 2.0, "class_weight": class_weight},
        "loss_mask": {"type": "mmdet.CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 5.0},
        "loss_dice": {"type": "mmdet.DiceLoss", "naive_dice": True, "eps": 1.0, "loss_weight": 5.0},
    }
