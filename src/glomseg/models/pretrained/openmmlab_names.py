"""Names of OpenMMLab's MMPretrain where they are not those of MMSegmentation: its Vision Transformer."""

from glomseg.models.pretrained.joining import vit_tokens
from glomseg.models.pretrained.layout import Layout

_VIT_NAMES = (
    ("cls_token", "cls_token"),
    ("pos_embed", "pos_embed"),
    ("patch_embed.projection.*", "patch_embed.projection.*"),
    ("layers.#.ln#.*", "layers.#.ln#.*"),
    ("layers.#.attn.qkv.*", "layers.#.attn.attn.in_proj_*"),
    ("layers.#.attn.proj.*", "layers.#.attn.attn.out_proj.*"),
    ("layers.#.attn.gamma1.weight", "layers.#.gamma1"),
    ("layers.#.ffn.gamma2.weight", "layers.#.gamma2"),
    ("layers.#.ffn.layers.0.0.*", "layers.#.ffn.layers.0.0.*"),
    ("layers.#.ffn.layers.1.*", "layers.#.ffn.layers.1.*"),
    ("layers.#.ffn.w12.*", "layers.#.ffn.layers.0.0.*"),
    ("layers.#.ffn.w3.*", "layers.#.ffn.layers.1.*"),
    ("ln1.*", "ln1.*"),
)

LAYOUTS = (
    Layout(
        whose="MMPretrain's ViT",
        backbone="vit",
        signature="layers.0.attn.qkv.weight",
        names=_VIT_NAMES,
        heads=r"(head|neck)\..*|mask_token",
        finish=vit_tokens,
    ),
)
"""Every layout of MMPretrain that is not MMSegmentation's."""
