"""What ``config.json`` and ``preprocessor_config.json`` say about weights: what tensors do not show."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from glomseg.errors import InvalidInputError

Values = Mapping[str, Any]
Colors = tuple[tuple[float, float, float], tuple[float, float, float]]

_LEVELS = 255.0
_GATE = ("silu", "swish")
_USUAL_ACTIVATIONS = ("gelu", "gelu_python")
_ROTARY_BASE = 100


def check_description(config: Values, backbone: nn.Module, *, kind: str) -> tuple[str, ...]:
    """Return what differs a little between a network and what a config says of the weights for it.

    Parameters
    ----------
    config
        Of transformers or of timm; what it does not say is not checked.
    backbone
        Ours, of the kind `kind`, a name in `glomseg.models.compose.BACKBONES`.

    Raises
    ------
    InvalidInputError
        If the weights would give other features: other heads of attention, another activation, another stride.
    """
    _check_heads(config, backbone)
    activation = config.get("hidden_act")
    known = ("relu",) if kind == "resnet" else _GATE if config.get("use_gated_mlp") is True else _USUAL_ACTIVATIONS
    if isinstance(activation, str) and activation not in known:
        raise InvalidInputError(f"its activation is {activation!r}; the {kind} here has another")
    if config.get("downsample_in_bottleneck") is True:
        raise InvalidInputError("its bottlenecks have their stride in the first convolution; here it is in the second")
    base = _rope_base(config)
    if base is not None and base != _ROTARY_BASE:
        raise InvalidInputError(f"its rotary positions have the base {base}, not {_ROTARY_BASE}")
    theirs = config.get("layer_norm_eps")
    ours = next((part.eps for part in backbone.modules() if isinstance(part, nn.LayerNorm)), None)
    if isinstance(theirs, (int, float)) and ours is not None and not math.isclose(theirs, ours):
        return (f"its layer normalisations add {theirs:g} to the variance, those of the network {ours:g}",)
    return ()


def colors_of(config: Values, preprocessor: Values) -> Colors | None:
    """Return mean and standard deviation, from 0 to 255, of red, green and blue that weights were trained with.

    None where nothing is said.

    Raises
    ------
    InvalidInputError
        If what is said cannot be.
    """
    if "image_mean" in preprocessor or preprocessor.get("do_normalize") is False:
        step = preprocessor.get("rescale_factor", 1 / _LEVELS)
        if not _is_number(step) or not step > 0:
            raise InvalidInputError(f"rescale_factor is {step!r}, no positive number")
        if preprocessor.get("do_normalize", True) is False:
            return _checked([0.0] * 3, [1.0] * 3, levels=1 / step)
        return _checked(preprocessor["image_mean"], preprocessor.get("image_std"), levels=1 / step)
    described = config.get("pretrained_cfg", config)
    if isinstance(described, dict) and "mean" in described and "std" in described:
        return _checked(described["mean"], described["std"], levels=_LEVELS)
    return None


def _checked(mean: Any, std: Any, *, levels: float) -> Colors:
    for name, values in (("mean", mean), ("std", std)):
        if not (isinstance(values, list) and len(values) == 3 and all(map(_is_number, values))):
            raise InvalidInputError(f"{name} is {values!r}, not three numbers for red, green and blue")
    means, spreads = ([round(levels * value, 6) for value in values] for values in (mean, std))
    if not all(0 <= value <= _LEVELS for value in means) or not all(0 < value <= _LEVELS for value in spreads):
        raise InvalidInputError(f"mean {mean} and std {std} are not those of colours")
    return (means[0], means[1], means[2]), (spreads[0], spreads[1], spreads[2])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_heads(config: Values, backbone: nn.Module) -> None:
    arguments = config.get("model_args")
    options = {**config, **(arguments if isinstance(arguments, dict) else {})}
    said = options.get("num_attention_heads", options.get("num_heads"))
    theirs = [said] if isinstance(said, int) else said if isinstance(said, list) else []
    ours = {str(part.num_heads) for part in backbone.modules() if hasattr(part, "num_heads")}
    if theirs and ours and set(map(str, theirs)) != ours:
        width = getattr(backbone, "out_channels", (0,))[0]
        fix = ""
        if isinstance(said, int) and said > 0 and width % said == 0:
            fix = f": --set model.options.head_width={width // said}"
        raise InvalidInputError(
            f"its attention has {', '.join(map(str, theirs))} heads, and the network's has "
            f"{', '.join(sorted(ours, key=int))}{fix}"
        )


def _rope_base(config: Values) -> Any:
    nested = config.get("rope_parameters")
    return config.get("rope_theta", nested.get("rope_theta") if isinstance(nested, dict) else None)
