"""Any backbone with any heads, from a description in plain values.

The named families are compositions with names; this is the way for networks that were put together elsewhere.
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
from glomseg.models.backbones.mscan import MSCAN
from glomseg.models.backbones.resnet import ResNet
from glomseg.models.backbones.swin import SwinTransformer
from glomseg.models.backbones.unet import UNet
from glomseg.models.backbones.vit import VisionTransformer
from glomseg.models.heads.aspp import ASPPHead, DepthwiseSeparableASPPHead
from glomseg.models.heads.fcn import FCNHead
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

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "convnext": ConvNeXt,
    "fast_scnn": FastSCNN,
    "mit": MixVisionTransformer,
    "mscan": MSCAN,
    "resnet": ResNet,
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
    "ham": LightHamHead,
    "mask2former": Mask2FormerHead,
    "psp": PSPHead,
    "segformer": SegFormerHead,
    "segmenter": SegmenterMaskTransformerHead,
    "separable_aspp": DepthwiseSeparableASPPHead,
    "uper": UPerHead,
}

_MAX_NUMBER = 8192
_MAX_LENGTH = 64


def compose(
    *,
    n_classes: int,
    backbone: Part,
    decode_head: Part,
    neck: Part | None = None,
    auxiliary_head: Part | list[Part] | None = None,
    single_logit: bool = False,
    size_divisor: Annotated[int, Field(ge=1, le=1024)] = 1,
) -> Segmentor:
    """Return a network made of the parts that are described.

    Parameters
    ----------
    n_classes
        Channels of the logits.
    backbone, neck, decode_head
        Each the ``name`` of a part, from `BACKBONES`, `NECKS` and `HEADS`, with its options; the heads' number of
        classes is given by this function.
    auxiliary_head
        A head, or a list of heads.
    single_logit
        Whether the heads give one logit for two classes, that of the second.
    size_divisor
        In evaluation mode images are padded until their sides are multiples of this many pixels.

    Raises
    ------
    InvalidInputError
        If there is no such part or option (the message names the nearest), or a value is wrong.

    Examples
    --------
    >>> network = compose(
    ...     n_classes=2,
    ...     backbone={"name": "resnet", "depth": 18, "base_channels": 8},
    ...     decode_head={"name": "fcn", "in_channels": 64, "channels": 16},
    ... )
    """
    if single_logit and n_classes != 2:
        raise InvalidInputError(f"a single logit tells two classes apart, not {n_classes}")
    n_logits = 1 if single_logit else n_classes

    def head(part: Part) -> nn.Module:
        return _build("head", HEADS, {**part, "n_classes": n_logits})

    auxiliary: nn.Module | None = None
    if isinstance(auxiliary_head, list):
        auxiliary = nn.ModuleList(head(part) for part in auxiliary_head)
    elif auxiliary_head is not None:
        auxiliary = head(auxiliary_head)
    return Segmentor(
        _build("backbone", BACKBONES, backbone),
        head(decode_head),
        auxiliary,
        neck=None if neck is None else _build("neck", NECKS, neck),
        size_divisor=size_divisor,
    )


def _build(kind: str, table: Mapping[str, Callable[..., nn.Module]], part: Part) -> nn.Module:
    name = part.get("name")
    if not isinstance(name, str) or name not in table:
        raise InvalidInputError(f"there is no {kind} {name!r}; {did_you_mean(str(name), list(table))}")
    options = {key: value for key, value in part.items() if key != "name"}
    if any(abs(number) > _MAX_NUMBER for number in _numbers(options)):
        raise InvalidInputError(f"{kind} {name!r} cannot be built: a number in {options} is above {_MAX_NUMBER}")
    known = list(inspect.signature(table[name]).parameters)
    for option in options:
        if option not in known:
            raise InvalidInputError(f"{kind} {name!r} has no option {option!r}; {did_you_mean(option, known)}")
    try:
        checked = _options_model(table[name]).model_validate(options)
        return table[name](**{option: getattr(checked, option) for option in options})
    except ValidationError as error:
        reasons = "; ".join(
            f"option {'.'.join(map(str, item['loc']))} = {item['input']!r}: {item['msg']}" for item in error.errors()
        )
        raise InvalidInputError(f"{kind} {name!r} cannot be built: {reasons}") from error
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
