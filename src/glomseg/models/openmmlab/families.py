"""The named families that OpenMMLab has, described part by part as `glomseg.models.compose.compose` takes them."""

from collections.abc import Mapping
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.families.on_resnet import DILATIONS, STRIDES

Options = Mapping[str, Any]


def composed_options(architecture: str, options: Options) -> dict[str, Any]:
    """Return the parts of a named family.

    Parameters
    ----------
    architecture
        A name in `glomseg.models.build.ARCHITECTURES`.
    options
        All of its options, those with their defaults too.

    Raises
    ------
    InvalidInputError
        If the family is one that OpenMMLab does not have.
    """
    family, _, backbone = architecture.partition("_")
    if backbone == "unet" and family in _UNET_HEADS:
        return _on_unet(family, options)
    if family in _RESNET_HEADS:
        return _on_resnet(family, options)
    raise InvalidInputError(f"a {architecture} cannot be written for MMSegmentation")


_RESNET_HEADS = {"fcn": "fcn", "pspnet": "psp", "deeplabv3": "aspp", "deeplabv3plus": "separable_aspp"}
_UNET_HEADS = {"fcn": "fcn", "pspnet": "psp", "deeplabv3": "aspp"}


def _on_resnet(family: str, options: Options) -> dict[str, Any]:
    expansion = 1 if options["depth"] < 50 else 4
    widths = [options["base_channels"] * 2**stage * expansion for stage in range(4)]
    backbone = {name: options[name] for name in ("depth", "base_channels", "stem_channels", "contract_dilation")}
    head = _head(_RESNET_HEADS[family], widths[3], options) | {"in_index": 3}
    if family == "deeplabv3plus":
        head |= {"c1_in_channels": widths[0], "c1_channels": options["c1_channels"]}
    return {
        "backbone": {
            "name": "resnet",
            **backbone,
            "deep_stem": options["variant"] != "v1",
            "avg_down": options["variant"] == "v1d",
            "strides": list(STRIDES[options["output_stride"]]),
            "dilations": list(DILATIONS[options["output_stride"]]),
        },
        "decode_head": head,
        "auxiliary_head": _auxiliary(widths[2], options) | {"in_index": 2},
    }


def _on_unet(family: str, options: Options) -> dict[str, Any]:
    width = options["base_channels"]
    head = _head(_UNET_HEADS[family], width, options) | {"in_index": -1}
    if family == "fcn":
        head |= {"num_convs": 1, "concat_input": False}
    return {
        "backbone": {"name": "unet", "base_channels": width},
        "decode_head": head,
        "auxiliary_head": _auxiliary(2 * width, options) | {"in_index": -2},
    }


def _head(name: str, in_channels: int, options: Options) -> dict[str, Any]:
    head = {
        "name": name,
        "in_channels": in_channels,
        "channels": options["head_channels"],
        "dropout": options["dropout"],
    }
    return head | ({"dilations": list(options["dilations"])} if "dilations" in options else {})


def _auxiliary(in_channels: int, options: Options) -> dict[str, Any]:
    auxiliary = {**options, "head_channels": options["auxiliary_channels"]}
    auxiliary.pop("dilations", None)
    return _head("fcn", in_channels, auxiliary) | {"num_convs": 1, "concat_input": False}
