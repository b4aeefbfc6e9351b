"""What network and preparation of a config become here, in words."""

from collections.abc import Mapping
from typing import Any

from glomseg.models.openmmlab.network import NetworkDescription
from glomseg.models.openmmlab.preparation import Preparation
from glomseg.types import Classes


def network_rows(values: Mapping[str, Any], network: NetworkDescription) -> list[tuple[str, str]]:
    """Return (what it is in the config, what it becomes here) for the parts of a ``model``."""
    model, rows = values["model"], []
    for place in ("backbone", "neck", "decode_head", "auxiliary_head"):
        if place not in network.options:
            continue
        ours, theirs = network.options[place], model[place]
        pairs = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]
        rows += [(f"{place}: {kind['type']}", _call(part)) for part, kind in pairs]
    if network.threshold is not None:
        rows.append(("a single logit", f"two classes; the second where its sigmoid is above {network.threshold:g}"))
    return rows


def _call(part: Mapping[str, Any]) -> str:
    options = ", ".join(f"{name}={value}" for name, value in part.items() if name != "name")
    return f"{part['name']}({options})"


def preparation_rows(preparation: Preparation) -> list[tuple[str, str]]:
    """Return what becomes of the ways in which a config prepares images and runs its network on them."""
    scaling, inference = preparation.scaling, preparation.inference
    order = "blue, green, red" if preparation.is_bgr else "red, green, blue"
    colors = f"{order}: mean {_listed(preparation.mean)}, standard deviation {_listed(preparation.std)}"
    if scaling.fit_px is not None:
        size = f"as large as fits into {max(scaling.fit_px)} x {min(scaling.fit_px)} pixels, bilinear"
    else:
        size = f"{scaling.factor:g} of its pixels" if scaling.factor != 1 else "its own pixels"
    if inference.window_px is None or inference.stride_px is None:
        mode = "the image whole"
    else:
        window, stride = inference.window_px, inference.stride_px
        mode = f"windows of {window[1]} x {window[0]} pixels, {stride[1]} x {stride[0]} apart, their logits averaged"
    if preparation.size_divisor > 1:
        mode += f", padded to a multiple of {preparation.size_divisor} pixels"
    if inference.align_corners:
        mode += ", logits enlarged with corners on corners"
    return [("colours", colors), ("input scale", size), ("test mode", mode)]


def class_row(classes: Classes) -> tuple[str, str]:
    """Return what the classes of a config are called."""
    return "classes", f"{len(classes)}: {', '.join(classes.names[:12])}{', ...' if len(classes) > 12 else ''}"


def _listed(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
