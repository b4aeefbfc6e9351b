"""What each part of a config becomes here, in words, and what is not carried over."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glomseg.models.openmmlab.config import read_config
from glomseg.models.openmmlab.network import NetworkDescription, describe_network
from glomseg.models.openmmlab.preparation import Preparation, describe_classes, describe_preparation
from glomseg.models.openmmlab.tta import describe_tta
from glomseg.types import Classes

_READ_FOR_MODELS = frozenset(
    {"model", "data_preprocessor", "img_norm_cfg", "test_pipeline", "test_dataloader", "data", "metainfo"}
    | {"tta_model", "tta_pipeline"}
)
_ONLY_NAMES = frozenset(
    {"norm_cfg", "crop_size", "img_scale", "img_ratios", "scale", "num_classes", "dataset_type", "data_root", "depths"}
    | {"checkpoint_file", "pretrained", "backbone_norm_cfg", "ham_norm_cfg", "checkpoint", "optimizer"}
)
"""Names that configs give to values which other parts then use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A config in words.

    Attributes
    ----------
    rows
        (what it is in the config, what it becomes here).
    not_carried
        Names in the config that have no place here.
    notes
        What is done otherwise than the config says, in sentences.
    """

    rows: tuple[tuple[str, str], ...]
    not_carried: tuple[str, ...]
    notes: tuple[str, ...]


def explain_config(path: str | Path) -> Explanation:
    """Return what each part of a config file becomes in glomseg.

    Raises
    ------
    InvalidInputError
        If the config is not plain, or its network is of a kind that glomseg does not have.
    """
    config = read_config(Path(path))
    network = describe_network(config.values.get("model"))
    preparation = describe_preparation(config.values, network)
    classes, class_notes = describe_classes(config.values, {}, n_classes=network.n_classes)
    tta, tta_notes = describe_tta(config.values)
    tta_rows = [] if tta is None else [("test-time augmentation", f"with --tta: {tta.describe()}")]
    known = _READ_FOR_MODELS | _ONLY_NAMES
    return Explanation(
        rows=(
            *_network_rows(config.values["model"], network),
            *_preparation_rows(preparation),
            *tta_rows,
            _class_row(classes),
        ),
        not_carried=tuple(name for name in config.values if name not in known),
        notes=(*config.notes, *preparation.notes, *class_notes, *tta_notes),
    )


def _network_rows(model: Mapping[str, Any], network: NetworkDescription) -> list[tuple[str, str]]:
    rows = []
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


def _preparation_rows(preparation: Preparation) -> list[tuple[str, str]]:
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


def _class_row(classes: Classes) -> tuple[str, str]:
    return "classes", f"{len(classes)}: {', '.join(classes.names[:12])}{', ...' if len(classes) > 12 else ''}"


def _listed(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
