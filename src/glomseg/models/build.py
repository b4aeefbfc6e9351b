"""Networks by name."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError, validate_call

from glomseg.errors import InvalidInputError, did_you_mean
from glomseg.models.compose import compose
from glomseg.models.families.fast_scnn import fast_scnn
from glomseg.models.families.mask2former import mask2former_resnet, mask2former_swin
from glomseg.models.families.on_resnet import deeplabv3, deeplabv3plus, fcn, pspnet
from glomseg.models.families.on_unet import deeplabv3_unet, fcn_unet, pspnet_unet
from glomseg.models.families.on_vit import segmenter, upernet_vit
from glomseg.models.families.segformer import segformer
from glomseg.models.families.segnext import segnext
from glomseg.models.families.small import fpn_resnet_small
from glomseg.models.families.upernet import upernet_convnext, upernet_resnet, upernet_swin
from glomseg.models.segmentor import Segmentor

ARCHITECTURES: dict[str, Callable[..., Segmentor]] = {
    "fpn_resnet_small": fpn_resnet_small,
    "fcn_r18": partial(fcn, depth=18, head_channels=128, auxiliary_channels=64),
    "fcn_r50": partial(fcn, depth=50),
    "fcn_r101": partial(fcn, depth=101),
    "pspnet_r18": partial(pspnet, depth=18, head_channels=128, auxiliary_channels=64),
    "pspnet_r50": partial(pspnet, depth=50),
    "pspnet_r101": partial(pspnet, depth=101),
    "deeplabv3_r18": partial(deeplabv3, depth=18, head_channels=128, auxiliary_channels=64),
    "deeplabv3_r50": partial(deeplabv3, depth=50),
    "deeplabv3_r101": partial(deeplabv3, depth=101),
    "deeplabv3plus_r18": partial(deeplabv3plus, depth=18, head_channels=128, auxiliary_channels=64, c1_channels=12),
    "deeplabv3plus_r50": partial(deeplabv3plus, depth=50),
    "deeplabv3plus_r101": partial(deeplabv3plus, depth=101),
    "fcn_unet": fcn_unet,
    "pspnet_unet": pspnet_unet,
    "deeplabv3_unet": deeplabv3_unet,
    "fast_scnn": fast_scnn,
    "segformer_mit_b0": partial(segformer, embed_dims=32, depths=(2, 2, 2, 2)),
    "segformer_mit_b1": partial(segformer, depths=(2, 2, 2, 2)),
    "segformer_mit_b2": partial(segformer, depths=(3, 4, 6, 3)),
    "segformer_mit_b3": partial(segformer, depths=(3, 4, 18, 3)),
    "segformer_mit_b4": partial(segformer, depths=(3, 8, 27, 3)),
    "segformer_mit_b5": partial(segformer, depths=(3, 6, 40, 3)),
    "upernet_r50": partial(upernet_resnet, depth=50),
    "upernet_r101": partial(upernet_resnet, depth=101),
    "upernet_swin_t": partial(upernet_swin, embed_dims=96, depths=(2, 2, 6, 2)),
    "upernet_swin_s": partial(upernet_swin, embed_dims=96, depths=(2, 2, 18, 2)),
    "upernet_swin_b": partial(upernet_swin, embed_dims=128, depths=(2, 2, 18, 2)),
    "upernet_swin_l": partial(upernet_swin, embed_dims=192, depths=(2, 2, 18, 2)),
    "upernet_convnext_t": partial(upernet_convnext, depths=(3, 3, 9, 3)),
    "upernet_convnext_s": partial(upernet_convnext, drop_path_rate=0.3),
    "upernet_convnext_b": partial(upernet_convnext, channels=(128, 256, 512, 1024)),
    "upernet_convnext_l": partial(upernet_convnext, channels=(192, 384, 768, 1536)),
    "upernet_convnext_xl": partial(upernet_convnext, channels=(256, 512, 1024, 2048)),
    "upernet_vit_b16": upernet_vit,
    "segmenter_vit_t": partial(segmenter, embed_dims=192),
    "segmenter_vit_s": partial(segmenter, embed_dims=384),
    "segmenter_vit_b": partial(segmenter, embed_dims=768),
    "segmenter_vit_l": partial(segmenter, embed_dims=1024, num_layers=24, image_side_px=640),
    "segnext_mscan_t": partial(segnext, embed_dims=(32, 64, 160, 256), depths=(3, 3, 5, 2)),
    "segnext_mscan_s": partial(segnext, depths=(2, 2, 4, 2)),
    "segnext_mscan_b": partial(segnext, depths=(3, 3, 12, 3), head_channels=512),
    "segnext_mscan_l": partial(segnext, depths=(3, 5, 27, 3), head_channels=1024, drop_path_rate=0.3),
    "mask2former_r50": partial(mask2former_resnet, depth=50),
    "mask2former_r101": partial(mask2former_resnet, depth=101),
    "mask2former_swin_t": mask2former_swin,
    "mask2former_swin_s": partial(mask2former_swin, depths=(2, 2, 18, 2)),
    "mask2former_swin_b": partial(mask2former_swin, embed_dims=128, depths=(2, 2, 18, 2), window_size=12),
    "mask2former_swin_l": partial(mask2former_swin, embed_dims=192, depths=(2, 2, 18, 2), window_size=12),
}
"""Builders of families by name; each takes ``n_classes`` and its own options by keyword."""

COMPOSED = "composed"
"""The architecture of networks that are described part by part; its options are those of `compose`."""


def build_model(architecture: str, *, n_classes: int, **options: Any) -> Segmentor:
    """Return a network with fresh weights.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`, or `COMPOSED`.
    n_classes
        Channels of the logits, at least 2.
    **options
        Further keyword arguments of the builder, checked for name, type and range.

    Raises
    ------
    InvalidInputError
        If there is no such architecture or option (the message names the nearest), or a value is wrong.

    Examples
    --------
    >>> model = build_model("pspnet_r18", n_classes=2, base_channels=16)
    """
    builder = _builder(architecture)
    if isinstance(n_classes, bool) or not isinstance(n_classes, int) or not 2 <= n_classes <= 255:
        raise InvalidInputError(f"a model needs 2 to 255 classes, background included, not {n_classes!r}")
    known = [name for name in inspect.signature(builder).parameters if name != "n_classes"]
    for name in options:
        if name not in known:
            raise InvalidInputError(f"{architecture} has no option {name!r}; {did_you_mean(name, known)}")
    try:
        return validate_call(builder)(n_classes=n_classes, **options)
    except ValidationError as error:
        reasons = "; ".join(
            f"option {'.'.join(map(str, item['loc']))} = {item['input']!r}: {item['msg']}" for item in error.errors()
        )
        raise InvalidInputError(f"{architecture} cannot be built: {reasons}") from error


def resolved_options(architecture: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the builder's defaults filled in, so that a later default changes no old model."""
    parameters = inspect.signature(_builder(architecture)).parameters
    defaults = {name: item.default for name, item in parameters.items() if item.default is not item.empty}
    return {**defaults, **options}


def _builder(architecture: str) -> Callable[..., Segmentor]:
    if architecture == COMPOSED:
        return compose
    if architecture not in ARCHITECTURES:
        raise InvalidInputError(
            f"there is no architecture {architecture!r}; {did_you_mean(architecture, list(ARCHITECTURES))}"
        )
    return ARCHITECTURES[architecture]
