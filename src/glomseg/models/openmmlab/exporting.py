"""From a glomseg model to the config and checkpoint that MMSegmentation 1.x loads."""

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glomseg.errors import InvalidInputError
from glomseg.files import atomic_path, make_folder, write_text
from glomseg.models import compose
from glomseg.models.build import describe_architecture
from glomseg.models.openmmlab.network import describe_network
from glomseg.models.openmmlab.parts import BACKBONES, HEADS, NECKS
from glomseg.models.openmmlab.translation import Translation
from glomseg.types import ModelCard, Scaling

_TABLES: dict[str, tuple[Mapping[str, Translation], Mapping[str, Callable[..., nn.Module]]]] = {
    "backbone": (BACKBONES, compose.BACKBONES),
    "neck": (NECKS, compose.NECKS),
    "decode_head": (HEADS, compose.HEADS),
    "auxiliary_head": (HEADS, compose.HEADS),
}
"""What the parts at each place of a description are called there, and what builds them here."""


def save_openmmlab(
    folder: str | os.PathLike[str], model: nn.Module, card: ModelCard, *, name: str
) -> tuple[Path, Path]:
    """Write ``<name>.py`` and ``<name>.pth`` into a folder, and return their paths.

    The config holds what MMSegmentation needs to test with the model; it trains nothing. Entries of the checkpoint
    have the names that they have here, which are MMSegmentation's.

    Raises
    ------
    InvalidInputError
        If MMSegmentation does not have such a network.
    """
    values = config_values(card)
    text = "".join(f"{key} = {value!r}\n" for key, value in values.items())
    folder = make_folder(folder)
    config, checkpoint = folder / f"{name}.py", folder / f"{name}.pth"
    meta = {"dataset_meta": _metainfo(card), "cfg": text}
    entries = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
    with atomic_path(checkpoint) as temporary:
        torch.save({"meta": meta, "state_dict": entries}, temporary)
    write_text(config, text)
    return config, checkpoint


def config_values(card: ModelCard) -> dict[str, Any]:
    """Return the config that MMSegmentation tests a model with, by the names of its values.

    Raises
    ------
    InvalidInputError
        If MMSegmentation does not have such a network.
    """
    model = _model(card)
    dataset = {"type": "BaseSegDataset", "metainfo": _metainfo(card), "pipeline": _pipeline(card)}
    return {
        "default_scope": "mmseg",
        "model": model,
        "test_pipeline": dataset["pipeline"],
        "test_dataloader": {
            "batch_size": 1,
            "num_workers": 0,
            "dataset": dataset,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
        },
        **_tta_values(card),
    }


def _metainfo(card: ModelCard) -> dict[str, Any]:
    return {"classes": tuple(card.classes.names), "palette": [list(color) for color in card.classes.colors]}


def _model(card: ModelCard) -> dict[str, Any]:
    description = describe_architecture(card.architecture, card.options)
    head = description["decode_head"]
    has_corners = "align_corners" in inspect.signature(compose.HEADS[head["name"]]).parameters
    if has_corners and bool(head.get("align_corners", False)) != card.inference.align_corners:
        raise InvalidInputError("MMSegmentation has one align_corners for a head and its logits; here they differ")
    model = {
        "type": "EncoderDecoder",
        "data_preprocessor": _preprocessor(card, size_divisor=description.get("size_divisor", 1)),
        **_parts(card, description),
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
    }
    window, stride = card.inference.window_px, card.inference.stride_px
    if window is not None and stride is not None:
        model["test_cfg"] = {"mode": "slide", "crop_size": tuple(window), "stride": tuple(stride)}
    describe_network(model)  # what cannot be read back was not written right
    return model


def _preprocessor(card: ModelCard, *, size_divisor: int) -> dict[str, Any]:
    colors: dict[str, Any] = {
        "type": "SegDataPreProcessor",
        "mean": list(card.mean),
        "std": list(card.std),
        "bgr_to_rgb": True,
        "pad_val": 0,
        "seg_pad_val": 255,
    }
    return colors if size_divisor == 1 else colors | {"test_cfg": {"size_divisor": size_divisor}}


def _parts(card: ModelCard, description: compose.Description) -> dict[str, Any]:
    n_classes, is_single = len(card.classes), description.get("single_logit", False)
    of_heads: dict[str, Any] = {"num_classes": n_classes, "align_corners": card.inference.align_corners}
    if is_single:
        of_heads |= {"out_channels": 1, "threshold": card.inference.threshold or 0.5}

    def written(place: str, part: compose.Part | list[compose.Part]) -> Any:
        if isinstance(part, list):
            return [written(place, item) for item in part]
        if not place.endswith("head"):
            return _theirs(place, part, architecture=card.architecture)
        head = part | {"n_classes": 1 if is_single else n_classes}
        return _theirs(place, head, architecture=card.architecture) | of_heads

    return {place: written(place, description[place]) for place in _TABLES if description.get(place) is not None}


def _theirs(place: str, part: compose.Part, *, architecture: str) -> dict[str, Any]:
    """Return OpenMMLab's description of a part, with every option written out."""
    translations, constructors = _TABLES[place]
    parameters = inspect.signature(constructors[part["name"]]).parameters
    options = {name: item.default for name, item in parameters.items() if item.default is not item.empty}
    options |= {name: value for name, value in part.items() if name != "name"}
    fitting = {
        type_: known
        for type_, known in translations.items()
        if known.name == part["name"] and all(options.get(name) == value for name, value in known.fixed.items())
    }
    type_ = max(fitting, key=lambda name: len(fitting[name].fixed), default=None)
    if type_ is None or (fitting[type_].more is not None and fitting[type_].back is None):
        raise InvalidInputError(
            f"a {architecture} cannot be written for MMSegmentation, which has nothing like its "
            f"{place} {part['name']!r}"
        )
    known = fitting[type_]
    theirs: dict[str, Any] = {"type": known.scope + type_}
    theirs |= {name: _tuples(options[name]) for name in known.kept if name in options.keys() - known.fixed}
    theirs |= {name: _tuples(options[ours]) for name, ours in known.renamed.items() if ours in options}
    theirs |= known.written
    if known.norms:
        theirs["norm_cfg"] = _norm(known)
    if known.back is not None:
        theirs |= known.back(options)
    return theirs


def _norm(known: Translation) -> dict[str, Any]:
    kind = known.norms[0]
    if kind == "GN":
        return {"type": kind, "num_groups": 32}
    norm: dict[str, Any] = {"type": kind, "requires_grad": True}
    if known.eps not in (None, 1e-5):
        norm["eps"] = known.eps
    return norm


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value


def _pipeline(card: ModelCard) -> list[dict[str, Any]]:
    is_resized = card.scaling.fit_px is not None or card.scaling.factor != 1
    return [
        {"type": "LoadImageFromFile"},
        *([_resize(card.scaling)] if is_resized else []),
        {"type": "LoadAnnotations"},
        {"type": "PackSegInputs"},
    ]


def _resize(scaling: Scaling) -> dict[str, Any]:
    resize: dict[str, Any] = {"type": "Resize", "interpolation": scaling.interpolation}
    if scaling.fit_px is not None:
        return resize | {"keep_ratio": True, "scale": tuple(scaling.fit_px)}
    return resize | {"keep_ratio": scaling.boxed, "scale_factor": scaling.factor}


def _tta_values(card: ModelCard) -> dict[str, Any]:
    """Return what ``tools/test.py --tta`` needs; nothing where MMSegmentation cannot flip like that."""
    if card.tta is None or "both" in card.tta.flips:
        return {}
    flips = [
        {"type": "RandomFlip", "prob": 0.0}
        if flip == "none"
        else {"type": "RandomFlip", "prob": 1.0, "direction": flip}
        for flip in card.tta.flips
    ]
    resizes = [_resize(scaling) for scaling in card.tta.scalings(card.scaling)]
    transforms = [resizes, flips, [{"type": "LoadAnnotations"}], [{"type": "PackSegInputs"}]]
    return {
        "tta_model": {"type": "SegTTAModel"},
        "tta_pipeline": [{"type": "LoadImageFromFile"}, {"type": "TestTimeAug", "transforms": transforms}],
    }
