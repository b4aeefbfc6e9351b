"""The training pipeline of an MMSegmentation config as settings of windows and colours."""

from collections.abc import Mapping, Sequence
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.steps.openmmlab.account import Account

Values = Mapping[str, Any]

_READING = {
    "LoadImageFromFile": "images are read as RGB",
    "LoadAnnotations": "masks are read as class indices; of an RGB mask with equal channels one is taken, a coloured "
    "mask "
    "is refused (MMSegmentation keeps its three channels and only warns)",
}
_PACKING = ("PackSegInputs", "DefaultFormatBundle", "Collect", "ImageToTensor", "Normalize")
_FLIPS = {"horizontal": (1.0, 0.0, 0.0), "vertical": (0.0, 1.0, 0.0), "diagonal": (0.0, 0.0, 1.0)}
_MAX_LONG_PX = 2**20


def describe_pipeline(steps: Sequence[Values], before: Values, account: Account) -> dict[str, dict[str, Any]]:
    """Return the sections ``crop`` and ``augment`` for the steps of a training pipeline.

    Parameters
    ----------
    steps
        Under the names of MMSegmentation 1.x.
    before
        The config's ``data_preprocessor``, for the padding.
    account
        Where to write down what each step becomes.

    Raises
    ------
    InvalidInputError
        If the size of the windows is unknown, or a step resizes in a way that glomseg does not have.
    """
    crop: dict[str, Any] = {"method": "resize_then_crop", "scale_range": (1.0, 1.0), "flip": "none", "rotate": False}
    augment: dict[str, Any] = {}
    flips = [0.0, 0.0, 0.0]
    for step in steps:
        kind = str(step.get("type")).rpartition(".")[2]
        where = f"train pipeline: {kind}"
        if kind in _READING:
            account.becomes(where, _READING[kind])
        elif kind in ("Resize", "RandomResize", "RandomChoiceResize", "ResizeShortestEdge"):
            resized = _resized(kind, step, account)
            crop |= resized
            account.becomes(where, f"crop {_call(resized)}; masks by OpenCV's nearest neighbour, as there")
        elif kind == "RandomCrop":
            cut = {"size_px": _sides(step.get("crop_size"), "RandomCrop.crop_size")}
            cut["cat_max_ratio"] = step.get("cat_max_ratio", 1.0)
            crop |= cut
            account.becomes(where, f"crop {_call(cut)}")
        elif kind == "RandomFlip":
            flips = _combined(flips, _flip_shares(step, account))
            account.becomes(where, f"windows are mirrored: {_flip_words(flips)}")
        elif kind == "RandomRotate":
            turned = _turned(step, "size_px" in crop, account)
            crop |= turned
            account.becomes(where, f"crop {_call(turned)}" if turned else "nothing")
        elif kind == "PhotoMetricDistortion":
            augment = _distortion(step)
            account.becomes(where, f"augment {_call(augment)}, draw for draw")
        elif kind == "Pad":
            _pad_step(step, crop, account, is_black=not any(item.get("type") == "Normalize" for item in steps))
        elif kind not in _PACKING:
            account.becomes(where, "nothing: not carried over")
            account.note(f"the step {kind} of the training pipeline is not carried over: windows are without it")
    crop["flip"] = _named_flip(flips)
    _size(crop, before, account)
    _padding(crop, before, account)
    if crop.get("cat_max_ratio", 1) < 1:
        account.note(
            f"cat_max_ratio={crop['cat_max_ratio']}: a window of one class only is drawn again up to ten times and "
            "then kept, so tiles without glomeruli cost ten more draws each and are trained on all the same"
        )
    if crop["size_px"][0] == crop["size_px"][1]:
        crop["size_px"] = crop["size_px"][0]
    return {"crop": crop, "augment": augment}


def _resized(kind: str, step: Values, account: Account) -> dict[str, Any]:
    scale, ratios = step.get("scale"), step.get("ratio_range")
    if kind == "ResizeShortestEdge" or step.get("resize_type") == "ResizeShortestEdge":
        shorts = listed(step.get("scales")) if kind == "RandomChoiceResize" else [scale]
        longest = int(step.get("max_size") or _MAX_LONG_PX)
        return {"fit_choices_px": tuple((longest, _short(item)) for item in shorts)}
    factor = step.get("scale_factor")
    if kind == "Resize" and scale is None and isinstance(factor, (int, float)):
        return {"scale_range": (float(factor), float(factor))}
    if kind == "RandomChoiceResize" and step.get("resize_type", "Resize") != "Resize":
        raise InvalidInputError(f"RandomChoiceResize by {step['resize_type']} is not known to glomseg")
    if not step.get("keep_ratio", False):
        account.note(
            f"{kind} of the training pipeline has no keep_ratio=True: MMSegmentation brings every tile to one shape, "
            "whatever its own. Here its shape is kept, which is the same only for tiles of that shape"
        )
    if kind == "RandomChoiceResize":
        return {"fit_choices_px": tuple(_pair(item, f"{kind}.scales") for item in listed(step.get("scales")))}
    if isinstance(scale, (list, tuple)) and scale and isinstance(scale[0], (list, tuple)):
        raise InvalidInputError(
            f"{kind} draws both sides from {scale[0]} to {scale[-1]} by themselves; glomseg has one factor for both: "
            "write scale=(width, height) and ratio_range=(low, high)"
        )
    low, high = ratios if ratios is not None else (1.0, 1.0)
    resized: dict[str, Any] = {"scale_range": (float(low), float(high))}
    return resized if scale is None else {"fit_px": _pair(scale, f"{kind}.scale"), **resized}


def _short(value: Any) -> int:
    return int(min(value)) if isinstance(value, (list, tuple)) else int(value)


def _turned(step: Values, is_cut: bool, account: Account) -> dict[str, Any]:
    degree = step.get("degree", 0)
    low, high = (-degree, degree) if isinstance(degree, (int, float)) else degree
    if not is_cut:
        account.note("RandomRotate comes before RandomCrop there, here after it: more windows have empty corners")
    if step.get("auto_bound") or step.get("center") is not None:
        account.note(
            "RandomRotate: windows keep their size and turn about their centre, whatever auto_bound and center"
        )
    if step.get("pad_val", 0) != 0 or step.get("seg_pad_val", 255) != 255:
        account.note("RandomRotate: the corners of turned windows are black and ignored, whatever its paddings")
    return {"turn_share": float(step.get("prob", 0)), "turn_range_deg": (float(low), float(high))}


def _distortion(step: Values) -> dict[str, Any]:
    return {
        "brightness_delta": step.get("brightness_delta", 32),
        "contrast_range": tuple(step.get("contrast_range", (0.5, 1.5))),
        "saturation_range": tuple(step.get("saturation_range", (0.5, 1.5))),
        "hue_delta": step.get("hue_delta", 18),
    }


def _flip_shares(step: Values, account: Account) -> list[float]:
    """Return the probabilities of a mirror left to right, upside down, and both at once."""
    directions = listed(step.get("direction", "horizontal"))
    if step.get("prob") is None:
        account.note("RandomFlip has no prob, which MMSegmentation refuses; here it is 0.5")
    prob: Any = 0.5 if step.get("prob") is None else step["prob"]
    each = list(prob) if isinstance(prob, (list, tuple)) else [float(prob) / len(directions)] * len(directions)
    unknown = [item for item in directions if item not in _FLIPS]
    if unknown or len(each) != len(directions):
        raise InvalidInputError(f"RandomFlip has direction={step.get('direction')!r} and prob={step.get('prob')!r}")
    return [sum(_FLIPS[item][i] * share for item, share in zip(directions, each, strict=True)) for i in range(3)]


def _combined(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the probabilities of two independent flips one after the other."""
    shares = [0.0] * 4
    # As bits: left to right is 1, upside down 2, both 3; two flips are the exclusive or.
    for i, one in enumerate((1 - sum(first), *first)):
        for j, other in enumerate((1 - sum(second), *second)):
            shares[i ^ j] += one * other
    return shares[1:]


def _named_flip(shares: Sequence[float]) -> str | tuple[float, ...]:
    names = {"none": (0.0, 0.0, 0.0), "horizontal": (0.5, 0.0, 0.0), "both": (0.25, 0.25, 0.25)}
    rounded = tuple(round(share, 12) for share in shares)
    return next((name for name, known in names.items() if known == rounded), rounded)


def _flip_words(shares: Sequence[float]) -> str:
    ways = zip(("left to right", "upside down", "both ways"), shares, strict=True)
    return ", ".join(f"{way} {share:g}" for way, share in ways if share) + " of them" if any(shares) else "never"


def _size(crop: dict[str, Any], before: Values, account: Account) -> None:
    """Settle the size of the windows where no RandomCrop does."""
    if "size_px" in crop:
        return
    box = before.get("size") or (crop["fit_px"][::-1] if "fit_px" in crop else None)
    if box is None:
        raise InvalidInputError(
            "the training pipeline has no RandomCrop and no Resize to one size, so the size of the windows is unknown"
        )
    crop["size_px"] = _sides(box, "data_preprocessor.size")
    account.note(
        f"the training pipeline has no RandomCrop: windows are the tiles themselves, up to {crop['size_px'][0]} x "
        f"{crop['size_px'][1]} pixels (height x width); of larger tiles a random part"
    )


def _pad_step(step: Values, crop: dict[str, Any], account: Account, *, is_black: bool) -> None:
    size = step.get("size")
    if size is None and step.get("size_divisor") is None:
        account.note("the step Pad of the training pipeline is not carried over: it has neither size nor size_divisor")
        return
    padded = {"padded_px": _pair(size, "Pad.size")} if size is not None else {"size_divisor": step["size_divisor"]}
    crop |= padded
    account.becomes("train pipeline: Pad", f"windows are padded: {_call(padded)}")
    if is_black:
        account.note("Pad: padding has the mean colour here, not black; it is ignored by the loss all the same")


def _padding(crop: dict[str, Any], before: Values, account: Account) -> None:
    divisor = crop.pop("size_divisor", before.get("size_divisor"))
    height, width = crop["size_px"]
    least = _sides(before["size"], "data_preprocessor.size") if before.get("size") else crop.pop("padded_px", None)
    if divisor:
        least = (-(-height // divisor) * divisor, -(-width // divisor) * divisor)
    if least is not None and (least[0] > height or least[1] > width):
        crop["padded_px"] = least
    if before.get("size") or before.get("size_divisor"):
        size = crop.get("padded_px", crop["size_px"])
        account.becomes(
            "data_preprocessor: padding", f"every window is padded to {size[0]} x {size[1]} pixels (height x width)"
        )
    if before.get("pad_val", 0) != 0 or before.get("seg_pad_val", 255) != 255:
        account.note("data_preprocessor: padding has the mean colour and is ignored, whatever pad_val and seg_pad_val")
    if before.get("batch_augments"):
        account.note("data_preprocessor.batch_augments is not carried over: windows are not mixed")


def _sides(value: Any, name: str) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else _pair(value, name)


def _pair(value: Any, name: str) -> tuple[int, int]:
    numbers = isinstance(value, (list, tuple)) and all(isinstance(item, (int, float)) for item in value)
    if not numbers or len(value) != 2:
        raise InvalidInputError(f"{name} is {value!r}; glomseg reads two numbers there")
    return int(value[0]), int(value[1])


def listed(value: Any) -> list[Any]:
    """Return what configs write as one value or as several, as a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _call(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())
