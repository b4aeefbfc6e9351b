"""Networks by name."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError, validate_call

from glomseg.errors import InvalidInputError, did_you_mean
from glomseg.models.compose import Description, check_known, compose, composed, reasons
from glomseg.models.families.fast_scnn import fast_scnn
from glomseg.models.families.mask2former import mask2former_resnet, mask2former_swin
from glomseg.models.families.on_mobilenet import (
    deeplabv3_mobilenet,
    deeplabv3plus_mobilenet,
    fpn_mobilenet_v2,
    on_mobilenet,
)
from glomseg.models.families.on_resnet import deeplabv3, deeplabv3plus, on_resnet
from glomseg.models.families.on_unet import deeplabv3_unet, fcn_unet, pspnet_unet
from glomseg.models.families.on_vit import segmenter, upernet_vit
from glomseg.models.families.segformer import segformer
from glomseg.models.families.segnext import segnext
from glomseg.models.families.sizes import CONVNEXT, DINOV2, DINOV3, MIT, MSCAN, PATHOLOGY, SWIN, VIT
from glomseg.models.families.small import fpn_resnet_small
from glomseg.models.families.upernet import upernet_convnext, upernet_resnet, upernet_swin
from glomseg.models.segmentor import Segmentor

_R18: dict[str, Any] = {"depth": 18, "head_channels": 128, "auxiliary_channels": 64}

ARCHITECTURES: dict[str, Callable[..., Description]] = {
    "fpn_resnet_small": fpn_resnet_small,
    "fpn_mobilenet_v2": fpn_mobilenet_v2,
    "fcn_r18": partial(on_resnet, "fcn", **_R18),
    "fcn_r50": partial(on_resnet, "fcn", depth=50),
    "fcn_r101": partial(on_resnet, "fcn", depth=101),
    "pspnet_r18": partial(on_resnet, "psp", **_R18),
    "pspnet_r50": partial(on_resnet, "psp", depth=50),
    "pspnet_r101": partial(on_resnet, "psp", depth=101),
    "deeplabv3_r18": partial(deeplabv3, **_R18),
    "deeplabv3_r50": partial(deeplabv3, depth=50),
    "deeplabv3_r101": partial(deeplabv3, depth=101),
    "deeplabv3plus_r18": partial(deeplabv3plus, **_R18, c1_channels=12),
    "deeplabv3plus_r50": partial(deeplabv3plus, depth=50),
    "deeplabv3plus_r101": partial(deeplabv3plus, depth=101),
    "fcn_unet": fcn_unet,
    "pspnet_unet": pspnet_unet,
    "deeplabv3_unet": deeplabv3_unet,
    "fast_scnn": fast_scnn,
    "fcn_mobilenet_v2": partial(on_mobilenet, "fcn"),
    "pspnet_mobilenet_v2": partial(on_mobilenet, "psp"),
    "deeplabv3_mobilenet_v2": deeplabv3_mobilenet,
    "deeplabv3plus_mobilenet_v2": deeplabv3plus_mobilenet,
    "segformer_mit_b0": partial(segformer, **MIT["b0"]),
    "segformer_mit_b1": partial(segformer, **MIT["b1"]),
    "segformer_mit_b2": partial(segformer, **MIT["b2"]),
    "segformer_mit_b3": partial(segformer, **MIT["b3"]),
    "segformer_mit_b4": partial(segformer, **MIT["b4"]),
    "segformer_mit_b5": partial(segformer, **MIT["b5"]),
    "upernet_r50": partial(upernet_resnet, depth=50),
    "upernet_r101": partial(upernet_resnet, depth=101),
    "upernet_swin_t": partial(upernet_swin, **SWIN["t"]),
    "upernet_swin_s": partial(upernet_swin, **SWIN["s"]),
    "upernet_swin_b": partial(upernet_swin, **SWIN["b"]),
    "upernet_swin_l": partial(upernet_swin, **SWIN["l"]),
    "upernet_convnext_t": partial(upernet_convnext, **CONVNEXT["t"]),
    "upernet_convnext_s": partial(upernet_convnext, **CONVNEXT["s"], drop_path_rate=0.3),
    "upernet_convnext_b": partial(upernet_convnext, **CONVNEXT["b"]),
    "upernet_convnext_l": partial(upernet_convnext, **CONVNEXT["l"]),
    "upernet_convnext_xl": partial(upernet_convnext, **CONVNEXT["xl"]),
    "upernet_vit_b16": partial(upernet_vit, **VIT["b"]),
    "upernet_dinov2_s": partial(upernet_vit, **DINOV2["s"]),
    "upernet_dinov2_b": partial(upernet_vit, **DINOV2["b"]),
    "upernet_dinov2_l": partial(upernet_vit, **DINOV2["l"]),
    "upernet_dinov2_g": partial(upernet_vit, **DINOV2["g"]),
    "upernet_dinov3_s": partial(upernet_vit, **DINOV3["s"]),
    "upernet_dinov3_b": partial(upernet_vit, **DINOV3["b"]),
    "upernet_dinov3_l": partial(upernet_vit, **DINOV3["l"]),
    "upernet_uni": partial(upernet_vit, **PATHOLOGY["uni"]),
    "upernet_uni2_h": partial(upernet_vit, **PATHOLOGY["uni2_h"]),
    "upernet_h_optimus": partial(upernet_vit, **PATHOLOGY["h_optimus"]),
    "upernet_virchow2": partial(upernet_vit, **PATHOLOGY["virchow2"]),
    "segmenter_vit_t": partial(segmenter, **VIT["t"]),
    "segmenter_vit_s": partial(segmenter, **VIT["s"]),
    "segmenter_vit_b": partial(segmenter, **VIT["b"]),
    "segmenter_vit_l": partial(segmenter, **VIT["l"], image_side_px=640),
    "segmenter_dinov2_s": partial(segmenter, **DINOV2["s"]),
    "segmenter_dinov2_b": partial(segmenter, **DINOV2["b"]),
    "segmenter_dinov2_l": partial(segmenter, **DINOV2["l"]),
    "segnext_mscan_t": partial(segnext, **MSCAN["t"]),
    "segnext_mscan_s": partial(segnext, **MSCAN["s"]),
    "segnext_mscan_b": partial(segnext, **MSCAN["b"], head_channels=512),
    "segnext_mscan_l": partial(segnext, **MSCAN["l"], head_channels=1024, drop_path_rate=0.3),
    "mask2former_r50": partial(mask2former_resnet, depth=50),
    "mask2former_r101": partial(mask2former_resnet, depth=101),
    "mask2former_swin_t": partial(mask2former_swin, **SWIN["t"]),
    "mask2former_swin_s": partial(mask2former_swin, **SWIN["s"]),
    "mask2former_swin_b": partial(mask2former_swin, **SWIN["b"], window_size=12),
    "mask2former_swin_l": partial(mask2former_swin, **SWIN["l"], window_size=12),
}
"""What describes each network, by name: a family with some of its options chosen, which takes the others by keyword."""

COMPOSED = "composed"
"""The architecture of networks that are described part by part; its options are those of `composed`."""


def build_model(architecture: str, *, n_classes: int, **options: Any) -> Segmentor:
    """Return a network with fresh weights.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`, or `COMPOSED`.
    n_classes
        Channels of the logits, at least 2.
    **options
        Keyword arguments of what describes it, checked for name, type and range.

    Raises
    ------
    InvalidInputError
        If there is no such architecture or option (the message names the nearest), or a value is wrong.

    Examples
    --------
    >>> model = build_model("pspnet_r18", n_classes=2, base_channels=16)
    """
    if isinstance(n_classes, bool) or not isinstance(n_classes, int) or not 2 <= n_classes <= 255:
        raise InvalidInputError(f"a model needs 2 to 255 classes, background included, not {n_classes!r}")
    return compose(describe_architecture(architecture, options), n_classes=n_classes)


def describe_architecture(architecture: str, options: Mapping[str, Any]) -> Description:
    """Return the parts of a network as `compose` takes them, after checking the options; parameters as `build_model`.

    Raises
    ------
    InvalidInputError
        If there is no such architecture or option, or a value is wrong.
    """
    describe = _describer(architecture)
    check_known(options, describe, owner=architecture)
    try:
        return validate_call(describe)(**options)
    except ValidationError as error:
        raise InvalidInputError(f"{architecture} cannot be built: {reasons(error)}") from error


def resolved_options(architecture: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the defaults filled in, so that a later default changes no old model."""
    parameters = inspect.signature(_describer(architecture)).parameters
    defaults = {name: item.default for name, item in parameters.items() if item.default is not item.empty}
    return {**defaults, **options}


def _describer(architecture: str) -> Callable[..., Description]:
    if architecture == COMPOSED:
        return composed
    if architecture not in ARCHITECTURES:
        raise InvalidInputError(
            f"there is no architecture {architecture!r}; {did_you_mean(architecture, list(ARCHITECTURES))}"
        )
    return ARCHITECTURES[architecture]
