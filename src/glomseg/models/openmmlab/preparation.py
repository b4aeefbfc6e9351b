"""How a config prepares images for its network, and what its classes are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.network import NetworkDescription
from glomseg.types import IGNORE_INDEX, Classes, Inference, Scaling

Values = Mapping[str, Any]

PASSIVE_STEPS = (
    "LoadImageFromFile",
    "LoadAnnotations",
    "PackSegInputs",
    "ImageToTensor",
    "Collect",
    "DefaultFormatBundle",
)
"""Steps of a pipeline that change no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """From an image file to what the network sees, and back to a mask.

    Attributes
    ----------
    mean, std
        In the order of the channels that the network sees.
    is_bgr
        Whether the network sees blue first.
    scaling, inference
        As in the model card.
    size_divisor
        Of the padding, as ``compose`` takes it.
    reduce_zero_label
        Whether value 0 of the mask files is ignored and value i + 1 stands for class i.
    notes
        What is done otherwise than the config says, in sentences.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    is_bgr: bool
    scaling: Scaling
    inference: Inference
    size_divisor: int
    reduce_zero_label: bool
    notes: tuple[str, ...]


def describe_preparation(values: Values, network: NetworkDescription) -> Preparation:
    """Return how a config (of MMSegmentation 1.x or 0.x) prepares images when it tests."""
    notes: list[str] = []
    steps = test_pipeline(values)
    scaling = _scaling(steps, notes)
    model = values.get("model", {})
    before = model.get("data_preprocessor") or values.get("data_preprocessor") or _normalize_step(values, steps)
    if not before:
        notes.append("the config does not say how colours are normalised: they are taken as they are, from 0 to 255")
    mean, std = _three(before.get("mean"), "mean", 0.0), _three(before.get("std"), "std", 1.0)
    divisor = (before.get("test_cfg") or {}).get("size_divisor") or _padding_after_colors(steps)
    other = sorted(set(before.get("test_cfg") or {}) - {"size_divisor"})
    if other:
        notes.append(f"data_preprocessor.test_cfg: {', '.join(other)} is not carried over")
    if before.get("pad_val", 0) != 0 and divisor != 1:
        notes.append(f"images are padded with the mean colour, not with pad_val={before['pad_val']}")
    test_cfg = model.get("test_cfg") or {}
    if not test_cfg and (values.get("test_cfg") or {}).get("mode"):  # beside the model in the oldest configs
        test_cfg = values["test_cfg"]
    if divisor != 1 and test_cfg.get("mode") == "slide":
        notes.append("each window is padded to a multiple of size_divisor, not the image")
    inference = replace(
        _windows(test_cfg),
        align_corners=network.align_corners,
        threshold=network.threshold,
    )
    reduces = _reduces_zero_label(values)
    if reduces:
        notes.append(
            "reduce_zero_label: value 0 of the mask files is ignored and value 1 is the first class. glomseg's masks "
            "hold 0 for the first class, one less than MMSegmentation's files"
        )
    return Preparation(
        mean=mean,
        std=std,
        is_bgr=not before.get("bgr_to_rgb", before.get("to_rgb", False)) and bool(before),
        scaling=scaling,
        inference=inference,
        size_divisor=int(divisor),
        reduce_zero_label=reduces,
        notes=tuple(notes),
    )


def describe_classes(values: Values, meta: Values, *, n_classes: int) -> tuple[Classes, tuple[str, ...]]:
    """Return the classes that a checkpoint's `meta`, or else the config, names, and notes on them."""
    old = {"classes": meta.get("CLASSES"), "palette": meta.get("PALETTE")}
    own = test_dataset(values)
    sources = [meta.get("dataset_meta"), old, own.get("metainfo"), values.get("metainfo"), own]
    for source in sources:
        if not isinstance(source, Mapping):
            continue
        names = source.get("classes") or source.get("CLASSES")
        if isinstance(names, Sequence) and not isinstance(names, str) and len(names) == n_classes:
            palette = source.get("palette") or source.get("PALETTE")
            return Classes.of([str(name) for name in names], _colors(palette, n_classes)), ()
    names = [f"class {index}" for index in range(n_classes)]
    return Classes.of(names), (f"neither config nor checkpoint names the {n_classes} classes: they are numbered",)


def test_pipeline(values: Values) -> list[Values]:
    """Return the steps of the pipeline that images of the test set go through."""
    steps = test_dataset(values).get("pipeline") or values.get("test_pipeline") or []
    flat: list[Values] = []
    for step in steps:
        if isinstance(step, Mapping) and step.get("type") == "MultiScaleFlipAug":  # 0.x: a pipeline in the pipeline
            inner = [dict(item) for item in step.get("transforms", ())]
            for item in inner:
                if item.get("type") == "Resize":
                    item.setdefault("img_scale", step.get("img_scale"))
            flat += inner
        elif isinstance(step, Mapping):
            flat.append(step)
    return flat


def test_dataset(values: Values) -> Values:
    """Return the description of the test set, or that of the validation set, from inside its wrappers."""
    for name in ("test", "val"):
        loader = values.get(f"{name}_dataloader") or {}
        dataset = loader.get("dataset") or (values.get("data") or {}).get(name) or {}
        for _ in range(8):
            if isinstance(dataset, Mapping) and "dataset" in dataset:
                dataset = dataset["dataset"]
            elif isinstance(dataset, Mapping) and dataset.get("datasets"):
                dataset = dataset["datasets"][0]
            elif isinstance(dataset, (list, tuple)) and dataset:
                dataset = dataset[0]
        if isinstance(dataset, Mapping) and dataset:
            return dataset
    return {}


def _scaling(steps: Sequence[Values], notes: list[str]) -> Scaling:
    scaling = Scaling(factor=1.0, interpolation="bilinear")
    for step in steps:
        kind = str(step.get("type"))
        if kind == "Resize":
            scaling = resize_scaling(step, notes, place="the test pipeline")
        elif kind == "Pad" and _padding_after_colors(steps) != 1:
            continue
        elif kind not in (*PASSIVE_STEPS, "Normalize", "RandomFlip"):
            notes.append(f"the step {kind} of the test pipeline is not carried over")
    return scaling


def _padding_after_colors(steps: Sequence[Values]) -> int:
    """Return what the pipeline pads to a multiple of after it has normalised, as configs of 0.x do; else 1."""
    kinds = [step.get("type") for step in steps]
    if "Normalize" not in kinds or "Pad" not in kinds[kinds.index("Normalize") :]:
        return 1
    return int(steps[len(kinds) - 1 - kinds[::-1].index("Pad")].get("size_divisor") or 1)


def resize_scaling(step: Values, notes: list[str], *, place: str) -> Scaling:
    """Return how a ``Resize`` of a config scales images; `place` names the pipeline in messages."""
    factor, scale = step.get("scale_factor"), step.get("scale") or step.get("img_scale")
    # Left out, it is True in 0.x, which calls the scale img_scale, and False in 1.x.
    keeps_ratio = bool(step.get("keep_ratio", "img_scale" in step))
    interpolation = step.get("interpolation", "bilinear")
    if interpolation not in ("area", "bilinear"):
        notes.append(f"Resize in {place} has interpolation={interpolation!r}; here it is bilinear")
        interpolation = "bilinear"
    if scale is None and isinstance(factor, (int, float)):
        if not 0 < factor < 1e4:
            raise InvalidInputError(f"Resize in {place} has scale_factor={factor!r}, which is not a positive number")
        return Scaling(factor=float(factor), interpolation=interpolation, boxed=keeps_ratio)
    if isinstance(scale, list) and len(scale) == 1:
        scale = scale[0]
    if not isinstance(scale, (list, tuple)) or len(scale) != 2 or not all(isinstance(side, int) for side in scale):
        raise InvalidInputError(f"Resize in {place} has scale={scale!r}; glomseg reads (width, height)")
    if not keeps_ratio:
        notes.append(
            f"Resize brings every image to {scale[0]}x{scale[1]} whatever its shape; here its shape is kept, which is "
            f"the same only for images as wide and high as {scale[0]}:{scale[1]}"
        )
    return Scaling(fit_px=(int(scale[0]), int(scale[1])), interpolation=interpolation)


def _normalize_step(values: Values, steps: Sequence[Values]) -> Values:
    """Return the normalisation of a config of 0.x, which is a step of its pipeline."""
    step = next((step for step in steps if step.get("type") == "Normalize"), None)
    return step if step is not None else values.get("img_norm_cfg") or {}


def _three(numbers: Any, name: str, default: float) -> tuple[float, float, float]:
    if numbers is None:
        return default, default, default
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 3:
        raise InvalidInputError(f"the {name} of the colours is {numbers!r}, not three numbers")
    first, second, third = (float(number) for number in numbers)
    return first, second, third


def _windows(test_cfg: Values) -> Inference:
    mode = test_cfg.get("mode", "whole")
    if mode == "whole":
        return Inference()
    if mode != "slide":
        raise InvalidInputError(f"model.test_cfg.mode is {mode!r}; glomseg knows whole and slide")
    return Inference(window_px=_pair(test_cfg, "crop_size"), stride_px=_pair(test_cfg, "stride"))


def _pair(test_cfg: Values, name: str) -> tuple[int, int]:
    value = test_cfg.get(name)
    if isinstance(value, int):
        return value, value
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return int(value[0]), int(value[1])
    raise InvalidInputError(f"model.test_cfg.{name} is {value!r}; slide mode needs (height, width)")


def _reduces_zero_label(values: Values) -> bool:
    dataset = test_dataset(values)
    steps = [step for step in test_pipeline(values) if step.get("type") == "LoadAnnotations"]
    return any(bool(item.get("reduce_zero_label")) for item in (dataset, dataset.get("metainfo") or {}, *steps))


def _colors(palette: Any, n_classes: int) -> list[tuple[int, int, int]] | None:
    if not isinstance(palette, (list, tuple)) or len(palette) != n_classes:
        return None
    colors = []
    for color in palette:
        if not isinstance(color, (list, tuple)) or len(color) != 3:
            return None
        red, green, blue = (min(IGNORE_INDEX, max(0, int(channel))) for channel in color)
        colors.append((red, green, blue))
    return colors
