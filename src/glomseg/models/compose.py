"""Any backbone with any heads, from a description in plain values.

Every network here is made so: the named ones, whose families say how they are put together, and those that were put
together elsewhere.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from torch import nn

from glomseg.errors import InvalidInputError, did_you_mean
from glomseg.models.backbones.convnext import ConvNeXt
from glomseg.models.backbones.fast_scnn import FastSCNN
from glomseg.models.backbones.mit import MixVisionTransformer
from glomseg.models.backbones.mobilenet_v2 import MobileNetV2
from glomseg.models.backbones.mscan import MSCAN
from glomseg.models.backbones.resnet import ResNet
from glomseg.models.backbones.small_resnet import SmallResNet
from glomseg.models.backbones.swin import SwinTransformer
from glomseg.models.backbones.unet import UNet
from glomseg.models.backbones.vit import VisionTransformer
from glomseg.models.heads.aspp import ASPPHead, DepthwiseSeparableASPPHead
from glomseg.models.heads.fcn import FCNHead
from glomseg.models.heads.fpn import FPNHead
from glomseg.models.heads.ham import LightHamHead
from glomseg.models.heads.mask2former.head import Mask2FormerHead
from glomseg.models.heads.psp import PSPHead
from glomseg.models.heads.segformer import SegFormerHead
from glomseg.models.heads.segmenter import SegmenterMaskTransformerHead
from glomseg.models.heads.uper import UPerHead
from glomseg.models.necks.multilevel import MultiLevelNeck
from glomseg.models.segmentor import Segmentor

Part = dict[str, Any]
"""Description of a part: its ``name`` in one of the tables here, and the keyword arguments of its constructor."""

Description = dict[str, Any]
"""Description of a network: its parts and further options as `composed` takes them."""

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "convnext": ConvNeXt,
    "fast_scnn": FastSCNN,
    "mit": MixVisionTransformer,
    "mobilenet_v2": MobileNetV2,
    "mscan": MSCAN,
    "resnet": ResNet,
    "small_resnet": SmallResNet,
    "swin": SwinTransformer,
    "unet": UNet,
    "vit": VisionTransformer,
}
NECKS: dict[str, Callable[..., nn.Module]] = {
    "multilevel": MultiLevelNeck,
}
HEADS: dict[str, Callable[..., nn.Module]] = {
    "aspp": ASPPHead,
    "fcn": FCNHead,
    "fpn": FPNHead,
    "ham": LightHamHead,
    "mask2former": Mask2FormerHead,
    "psp": PSPHead,
    "segformer": SegFormerHead,
    "segmenter": SegmenterMaskTransformerHead,
    "separable_aspp": DepthwiseSeparableASPPHead,
    "uper": UPerHead,
}

_KINDS: dict[str, tuple[str, Mapping[str, Callable[..., nn.Module]]]] = {
    "backbone": ("backbone", BACKBONES),
    "neck": ("neck", NECKS),
    "decode_head": ("head", HEADS),
    "auxiliary_head": ("head", HEADS),
}
"""What stands at each place of a description."""

_MAX_NUMBER = 8192
_MAX_LENGTH = 64


def compose(description: Mapping[str, Any], *, n_classes: int) -> Segmentor:
    """Return the network that is described, with fresh weights.

    Parameters
    ----------
    description
        What `composed` or a family returns. The weights are drawn in the order in which the parts stand in it.
    n_classes
        Channels of the logits.

    Raises
    ------
    InvalidInputError
        If there is no such part or option (the message names the nearest), or a value is wrong.

    Examples
    --------
    >>> network = compose(
    ...     {
    ...         "backbone": {"name": "resnet", "depth": 18, "base_channels": 8},
    ...         "decode_head": {"name": "fcn", "in_channels": 64, "channels": 16},
    ...     },
    ...     n_classes=2,
    ... )
    """
    single_logit = description.get("single_logit", False)
    if single_logit and n_classes != 2:
        raise InvalidInputError(f"a single logit tells two classes apart, not {n_classes}")
    of_heads = {"n_classes": 1 if single_logit else n_classes}

    def built(place: str, part: Part | list[Part]) -> nn.Module:
        if isinstance(part, list):
            return nn.ModuleList(built(place, item) for item in part)
        kind, table = _KINDS[place]
        return _build(kind, table, part | of_heads if kind == "head" else part)

    parts = {place: built(place, part) for place, part in description.items() if place in _KINDS and part is not None}
    return Segmentor(**parts, size_divisor=description.get("size_divisor", 1))


def composed(
    *,
    backbone: Part,
    decode_head: Part,
    neck: Part | None = None,
    auxiliary_head: Part | list[Part] | None = None,
    single_logit: bool = False,
    size_divisor: Annotated[int, Field(ge=1, le=1024)] = 1,
) -> Description:
    """Return the description of a network whose parts are given one by one.

    Parameters
    ----------
    backbone, neck, decode_head
        Each the ``name`` of a part, from `BACKBONES`, `NECKS` and `HEADS`, with its options; the heads' number of
        classes is given by `compose`.
    auxiliary_head
        A head, or a list of heads.
    single_logit
        Whether the heads give one logit for two classes, that of the second.
    size_divisor
        In evaluation mode images are padded until their sides are multiples of this many pixels.

    Raises
    ------
    InvalidInputError
        If a number of a part is larger than that of any real network.
    """
    places = {"auxiliary_head": auxiliary_head, "backbone": backbone, "decode_head": decode_head, "neck": neck}
    for place, part in places.items():
        for item in part if isinstance(part, list) else [part or {}]:
            options = {key: value for key, value in item.items() if key != "name"}
            if any(abs(number) > _MAX_NUMBER for number in _numbers(options)):
                raise InvalidInputError(
                    f"{_KINDS[place][0]} {item.get('name')!r} cannot be built: "
                    f"a number in {options} is above {_MAX_NUMBER}"
                )
    return {**places, "single_logit": single_logit, "size_divisor": size_divisor}


def check_known(options: Mapping[str, Any], function: Callable[..., Any], *, owner: str) -> None:
    """Raise `InvalidInputError` if an option is not a parameter of the function; the message names the nearest."""
    known = list(inspect.signature(function).parameters)
    for option in options:
        if option not in known:
            raise InvalidInputError(f"{owner} has no option {option!r}; {did_you_mean(option, known)}")


def reasons(error: ValidationError) -> str:
    """Return what is wrong with options, option by option."""
    return "; ".join(
        f"option {'.'.join(map(str, item['loc']))} = {item['input']!r}: {item['msg']}" for item in error.errors()
    )


def _build(kind: str, table: Mapping[str, Callable[..., nn.Module]], part: Part) -> nn.Module:
    name = part.get("name")
    if not isinstance(name, str) or name not in table:
        raise InvalidInputError(f"there is no {kind} {name!r}; {did_you_mean(str(name), list(table))}")
    options = {key: value for key, value in part.items() if key != "name"}
    check_known(options, table[name], owner=f"{kind} {name!r}")
    try:
        checked = _options_model(table[name]).model_validate(options)
        return table[name](**{option: getattr(checked, option) for option in options})
    except ValidationError as error:
        raise InvalidInputError(f"{kind} {name!r} cannot be built: {reasons(error)}") from error
    except InvalidInputError:  # which says what is wrong already
        raise
    except (TypeError, ValueError, LookupError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise InvalidInputError(f"{kind} {name!r} cannot be built with {options}: {error}") from error


def _options_model(builder: Callable[..., nn.Module]) -> type[BaseModel]:
    """Return a record of the builder's parameters that checks their types."""
    hints = get_type_hints(builder.__init__ if inspect.isclass(builder) else builder)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if item.default is item.empty else item.default)
        for name, item in inspect.signature(builder).parameters.items()
    }
    return create_model("Options", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)


def _numbers(value: Any) -> Iterator[float]:
    """Yield all numbers in nested options; long lists count as too large a number."""
    if isinstance(value, (int, float)):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _numbers(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > _MAX_LENGTH:
            yield float("inf")
        for item in value:
            yield from _numbers(item)
