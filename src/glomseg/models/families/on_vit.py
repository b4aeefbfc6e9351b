"""Vision Transformers with UPerNet's and Segmenter's heads: OpenMMLab's ``vit_*`` and ``segmenter_vit-*``."""

from typing import Annotated, Literal

from pydantic import Field

from glomseg.errors import InvalidInputError
from glomseg.models.compose import Description
from glomseg.models.families.options import BlockCount, Dropout, DropPathRate, Width
from glomseg.models.families.parts import VIT_HEAD_WIDTH, vit
from glomseg.models.families.upernet import upernet

TokenWidth = Annotated[int, Field(ge=64, le=4096, multiple_of=16)]
ImageSide = Annotated[int, Field(ge=16, le=4096)]
PatchSide = Annotated[int, Field(ge=4, le=64)]
HeadWidth = Annotated[int, Field(ge=16, le=256, multiple_of=4)]
HiddenWidth = Annotated[int, Field(ge=64, le=16384)]
RegisterCount = Annotated[int, Field(ge=0, le=64)]
Epsilon = Annotated[float, Field(gt=0, le=1e-3)]

_USUAL_PATCH = 16


def upernet_vit(
    *,
    image_side_px: ImageSide = 512,
    patch_size: PatchSide = 16,
    embed_dims: TokenWidth = 768,
    num_layers: BlockCount = 12,
    head_width: HeadWidth = VIT_HEAD_WIDTH,
    hidden_dims: HiddenWidth | None = None,
    gated: bool = False,
    layer_scale: bool = False,
    n_registers: RegisterCount = 0,
    rotary: bool = False,
    eps: Epsilon = 1e-6,
    final_norm: bool = False,
    multilevel_neck: bool = True,
    patch_bias: bool = False,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    drop_path_rate: DropPathRate = 0.0,
    dropout: Dropout = 0.1,
) -> Description:
    """Return UPerNet on a Vision Transformer: OpenMMLab's ``vit_vit-b16*`` and ``vit_deit-*16*``, DINOv2 and its kin.

    The features are those after each quarter of the layers.

    Parameters
    ----------
    image_side_px
        Side of the images that the position embedding is for; others are taken too.
    patch_size
        Side of a patch in pixels. Where it is not 16, images are padded to multiples of it for prediction.
    embed_dims
        Channels of a token: 768 in ViT-B and DeiT-B, 384 in DeiT-S.
    num_layers
        Layers of the backbone, four or more.
    head_width
        Channels of each attention head.
    hidden_dims, gated, layer_scale, n_registers, rotary, eps
        As in `glomseg.models.backbones.vit.VisionTransformer`: for pretrained networks that have these.
    final_norm
        Whether the tokens of the last layer are normalised (``-ln`` in the names of OpenMMLab's configs).
    multilevel_neck
        Whether the features are brought to strides 4, 8, 16 and 32 (``_mln``); else all have stride 16.
    patch_bias
        Whether the embedding of the patches has a bias: in weights that were trained with MMSegmentation 0.x.
    head_channels, auxiliary_channels
        Widths of the heads.
    drop_path_rate
        Of stochastic depth at the last layer; OpenMMLab takes 0.1 for most of these.
    dropout
        Probability that a channel is dropped before the classifiers in training.
    """
    widths = (embed_dims,) * 4
    if num_layers < len(widths):
        raise InvalidInputError(f"UPerNet takes four features, for which {num_layers} layers (num_layers) are too few")
    body = vit(
        embed_dims,
        image_side_px=image_side_px,
        patch_bias=patch_bias,
        drop_path_rate=drop_path_rate,
        num_layers=num_layers,
        patch_size=patch_size,
        head_width=head_width,
        hidden_dims=hidden_dims,
        gated=gated,
        layer_scale=layer_scale,
        n_registers=n_registers,
        rotary=rotary,
        eps=eps,
    )
    ends = tuple(num_layers * quarter // 4 - 1 for quarter in range(1, 5))
    backbone = body | {"out_indices": ends, "final_norm": final_norm}
    neck = {"name": "multilevel", "in_channels": widths, "out_channels": embed_dims}
    description = upernet(
        backbone,
        widths,
        neck=neck if multilevel_neck else None,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        auxiliary_index=3,
        dropout=dropout,
    )
    return description | _padding(patch_size)


def segmenter(
    *,
    head: Literal["mask", "linear"] = "mask",
    image_side_px: ImageSide = 512,
    patch_size: PatchSide = 16,
    embed_dims: TokenWidth = 768,
    num_layers: BlockCount = 12,
    head_width: HeadWidth = VIT_HEAD_WIDTH,
    hidden_dims: HiddenWidth | None = None,
    gated: bool = False,
    layer_scale: bool = False,
    n_registers: RegisterCount = 0,
    rotary: bool = False,
    eps: Epsilon = 1e-6,
    patch_bias: bool = False,
    drop_path_rate: DropPathRate = 0.1,
) -> Description:
    """Return a Segmenter: OpenMMLab's ``segmenter_vit-*_mask`` and ``segmenter_vit-*_fcn``.

    Parameters
    ----------
    head
        "mask": a transformer of two layers in which classes are tokens; "linear": only a classifier.
    image_side_px
        Side of the images that the position embedding is for; others are taken too.
    patch_size, embed_dims, head_width, hidden_dims, gated, layer_scale, n_registers, rotary, eps
        As for `upernet_vit`. The mask transformer has heads of the same width.
    num_layers
        Layers of the backbone.
    patch_bias
        Whether the embedding of the patches has a bias: in weights that were trained with MMSegmentation 0.x.
    drop_path_rate
        Of stochastic depth at the last layer.
    """
    body = vit(
        embed_dims,
        image_side_px=image_side_px,
        patch_bias=patch_bias,
        drop_path_rate=drop_path_rate,
        num_layers=num_layers,
        patch_size=patch_size,
        head_width=head_width,
        hidden_dims=hidden_dims,
        gated=gated,
        layer_scale=layer_scale,
        n_registers=n_registers,
        rotary=rotary,
        eps=eps,
    )
    backbone = body | {"out_indices": (num_layers - 1,), "final_norm": True}
    if head == "linear":
        part = {"name": "fcn", "channels": embed_dims, "num_convs": 0, "concat_input": False, "dropout": 0.0}
    else:
        part = {"name": "segmenter", "embed_dims": embed_dims, "num_layers": 2, "num_heads": backbone["num_heads"]}
    return {"backbone": backbone, "decode_head": {**part, "in_channels": embed_dims}} | _padding(patch_size)


def _padding(patch_size: int) -> Description:
    """Return what keeps the logits in place where patches do not cover an image; with 16 OpenMMLab lets them shift."""
    return {} if patch_size == _USUAL_PATCH else {"size_divisor": patch_size}
