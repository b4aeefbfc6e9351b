"""Vision Transformers with UPerNet's and Segmenter's heads: OpenMMLab's ``vit_*`` and ``segmenter_vit-*``."""

from typing import Annotated, Literal

from pydantic import Field

from glomseg.models.compose import Description
from glomseg.models.families.options import BlockCount, Dropout, DropPathRate, Width
from glomseg.models.families.parts import VIT_HEAD_WIDTH, vit
from glomseg.models.families.upernet import upernet

TokenWidth = Annotated[int, Field(ge=64, le=4096, multiple_of=VIT_HEAD_WIDTH)]
ImageSide = Annotated[int, Field(ge=16, le=4096)]


def upernet_vit(
    *,
    image_side_px: ImageSide = 512,
    embed_dims: TokenWidth = 768,
    final_norm: bool = False,
    multilevel_neck: bool = True,
    patch_bias: bool = False,
    head_channels: Width = 512,
    auxiliary_channels: Width = 256,
    drop_path_rate: DropPathRate = 0.0,
    dropout: Dropout = 0.1,
) -> Description:
    """Return UPerNet on a Vision Transformer of 12 layers: OpenMMLab's ``vit_vit-b16*`` and ``vit_deit-*16*``.

    Parameters
    ----------
    image_side_px
        Side of the images that the position embedding is for; others are taken too.
    embed_dims
        Channels of a token: 768 in ViT-B and DeiT-B, 384 in DeiT-S. Every attention head has 64.
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
    backbone = vit(embed_dims, image_side_px=image_side_px, patch_bias=patch_bias, drop_path_rate=drop_path_rate) | {
        "out_indices": (2, 5, 8, 11),
        "final_norm": final_norm,
    }
    neck = {"name": "multilevel", "in_channels": widths, "out_channels": embed_dims}
    return upernet(
        backbone,
        widths,
        neck=neck if multilevel_neck else None,
        head_channels=head_channels,
        auxiliary_channels=auxiliary_channels,
        auxiliary_index=3,
        dropout=dropout,
    )


def segmenter(
    *,
    head: Literal["mask", "linear"] = "mask",
    image_side_px: ImageSide = 512,
    embed_dims: TokenWidth = 768,
    num_layers: BlockCount = 12,
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
    embed_dims
        Channels of a token; every attention head has 64.
    num_layers
        Layers of the backbone.
    patch_bias
        Whether the embedding of the patches has a bias: in weights that were trained with MMSegmentation 0.x.
    drop_path_rate
        Of stochastic depth at the last layer.
    """
    backbone = vit(embed_dims, image_side_px=image_side_px, patch_bias=patch_bias, drop_path_rate=drop_path_rate) | {
        "num_layers": num_layers,
        "out_indices": (num_layers - 1,),
        "final_norm": True,
    }
    if head == "linear":
        part = {"name": "fcn", "channels": embed_dims, "num_convs": 0, "concat_input": False, "dropout": 0.0}
    else:
        part = {"name": "segmenter", "embed_dims": embed_dims, "num_layers": 2, "num_heads": backbone["num_heads"]}
    return {"backbone": backbone, "decode_head": {**part, "in_channels": embed_dims}}
