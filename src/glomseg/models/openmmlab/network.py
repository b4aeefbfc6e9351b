"""OpenMMLab's ``model`` as the description of a network here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.parts import BACKBONES, HEADS, NECKS
from glomseg.models.openmmlab.translation import translate
from glomseg.types import IGNORE_INDEX

_DEFAULT_THRESHOLD = 0.3
"""MMSegmentation's, where a head has a single logit and the config gives no threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDescription:
    """A network as `glomseg.models.compose.compose` takes it, and what else its heads say.

    Attributes
    ----------
    n_classes
        Number of classes, at least 2.
    options
        Keyword arguments of ``compose`` beyond the number of classes.
    align_corners
        Of the enlarging of the logits.
    threshold
        Of a single logit; None where every class has its own.
    """

    n_classes: int
    options: dict[str, Any]
    align_corners: bool
    threshold: float | None


def describe_network(model: Any) -> NetworkDescription:
    """Return what the ``model`` of a config is here.

    Raises
    ------
    InvalidInputError
        If it is of a kind that glomseg does not have; the message names the part and the option.
    """
    if not isinstance(model, Mapping):
        raise InvalidInputError("the config has no model")
    kind = str(model.get("type")).rpartition(".")[2]
    if kind != "EncoderDecoder":
        raise InvalidInputError(f"model is a {kind}; glomseg reads EncoderDecoder")
    head = _part(model, "decode_head")
    options: dict[str, Any] = {
        "backbone": translate(_part(model, "backbone"), BACKBONES, where="model.backbone"),
        "decode_head": translate(head, HEADS, where="model.decode_head"),
    }
    if model.get("neck") is not None:
        options["neck"] = translate(_part(model, "neck"), NECKS, where="model.neck")
    n_classes, is_single = _logits(head, where="model.decode_head")
    auxiliary = model.get("auxiliary_head")
    if auxiliary is not None:
        heads = auxiliary if isinstance(auxiliary, (list, tuple)) else [auxiliary]
        places = [f"model.auxiliary_head[{index}]" for index in range(len(heads))]
        for item, where in zip(heads, places, strict=True):
            if _logits(item, where=where) != (n_classes, is_single):
                raise InvalidInputError(f"{where} has another number of classes than model.decode_head")
        parts = [translate(item, HEADS, where=where) for item, where in zip(heads, places, strict=True)]
        options["auxiliary_head"] = parts if isinstance(auxiliary, (list, tuple)) else parts[0]
    threshold = None
    if is_single:
        options["single_logit"] = True
        threshold = float(head.get("threshold") or _DEFAULT_THRESHOLD)
    return NetworkDescription(
        n_classes=n_classes, options=options, align_corners=bool(head.get("align_corners", False)), threshold=threshold
    )


def _part(model: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = model.get(name)
    if not isinstance(part, Mapping):
        raise InvalidInputError(f"model.{name} is {part!r}; glomseg reads one part with a type there")
    return part


def _logits(head: Any, *, where: str) -> tuple[int, bool]:
    """Return the number of classes of a head, and whether it has a single logit for two of them."""
    n_classes = head.get("num_classes") if isinstance(head, Mapping) else None
    if not isinstance(n_classes, int):
        raise InvalidInputError(f"{where} does not say num_classes")
    if n_classes > IGNORE_INDEX:
        raise InvalidInputError(f"{where} has {n_classes} classes, more than the {IGNORE_INDEX} that a mask can hold")
    n_logits = head.get("out_channels") or n_classes
    if str(head.get("type")).endswith("Mask2FormerHead"):  # whose out_channels are those of its masks' features
        n_logits = n_classes
    if n_logits == 1 and n_classes in (1, 2):
        return 2, True
    if n_logits != n_classes or n_classes < 2:
        raise InvalidInputError(f"{where} has {n_classes} classes and {n_logits} logits, which do not fit each other")
    return n_classes, False
