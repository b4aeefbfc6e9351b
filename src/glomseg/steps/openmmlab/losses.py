"""Losses of an MMSegmentation config as settings."""

from collections.abc import Mapping
from types import NoneType
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.network import NetworkDescription
from glomseg.steps.openmmlab.account import Account
from glomseg.steps.openmmlab.pipeline import listed

Values = Mapping[str, Any]

_MASK_WEIGHTS = {"loss_cls": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}


def describe_losses(model: Values, network: NetworkDescription, account: Account) -> dict[str, Any]:
    """Return the section ``loss`` for the heads of a ``model``.

    Raises
    ------
    InvalidInputError
        If a head has a loss that glomseg does not have, or that would fail in MMSegmentation.
    """
    head, heads = model["decode_head"], listed(model.get("auxiliary_head") or [])
    for part in [head, *heads]:
        if part.get("ignore_index", 255) != 255:
            raise InvalidInputError(f"a head ignores the label {part['ignore_index']}; glomseg ignores 255")
        if part is not head and part.get("sampler"):
            account.note("the sampler of an auxiliary head is not carried over: all pixels count in its loss")
    if str(head.get("type")).endswith("Mask2FormerHead"):
        loss = _of_masks(head, account)
    else:
        is_single = network.threshold is not None
        loss = {**_of_pixels(head, is_single=is_single, account=account), **_mining(head.get("sampler"), account)}
    loss["auxiliary"] = _auxiliary(heads, head, scale=loss["cross_entropy"], account=account)
    return loss


def _of_pixels(head: Values, *, is_single: bool, account: Account) -> dict[str, Any]:
    loss: dict[str, Any] = {"cross_entropy": 0.0, "dice": 0.0}
    options: dict[str, Any] | None = None
    for part in _losses(head):
        kind, weight = str(part.get("type")).rpartition(".")[2], part.get("loss_weight", 1.0)
        if kind == "CrossEntropyLoss":
            own = _entropy_options(part, is_single=is_single)
            if options is not None and own != options:
                raise InvalidInputError("two CrossEntropyLoss of one head differ in their options; glomseg has one")
            options = own
            loss["cross_entropy"] += weight
            account.becomes("decode_head: CrossEntropyLoss", _entropy_words(own, weight))
        elif kind == "DiceLoss":
            loss["dice"] += weight
            account.becomes("decode_head: DiceLoss", f"glomseg's own, times {weight:g}")
            account.note(
                "DiceLoss is glomseg's own: of the foreground classes, with a cost for empty windows; MMSegmentation's "
                "takes the background too and costs nearly nothing there"
            )
        else:
            raise InvalidInputError(f"the loss {kind!r} is not known; glomseg has CrossEntropyLoss and DiceLoss")
    if is_single and loss["dice"]:
        account.note(
            "DiceLoss on a single logit is of its sigmoid here; MMSegmentation's needs use_sigmoid=True for that"
        )
    if "class_weights" in (options or {}) and not is_single:
        account.note(
            "class weights: the loss is divided by the sum of the weights of the labelled pixels. MMSegmentation "
            "stops with "
            "an IndexError at the first ignored pixel (255) of such a loss; here ignored pixels are left out"
        )
    return {**loss, **(options or {})}


def _entropy_options(part: Values, *, is_single: bool) -> dict[str, Any]:
    sigmoid, weights = bool(part.get("use_sigmoid")), part.get("class_weight")
    if part.get("use_mask") or part.get("reduction", "mean") != "mean":
        raise InvalidInputError(
            "CrossEntropyLoss with use_mask, or with a reduction other than mean, is not known to glomseg"
        )
    if isinstance(weights, str):
        raise InvalidInputError(f"class_weight is the file {weights!r}; write its numbers into the config")
    if is_single and not sigmoid:
        raise InvalidInputError(
            "the head has a single logit and its CrossEntropyLoss no use_sigmoid=True, which fails in MMSegmentation "
            "as soon "
            "as a pixel is of class 1; write use_sigmoid=True into it"
        )
    options: dict[str, Any] = {"divide_by": "labelled" if part.get("avg_non_ignore") else "pixels"}
    if sigmoid and not is_single:
        options["sigmoid"] = True
    if weights is None:
        return options
    weights = tuple(float(weight) for weight in weights)
    if is_single and len(weights) == 1:
        return {**options, "class_weights": (1.0, weights[0])}
    if sigmoid:
        raise InvalidInputError(
            f"CrossEntropyLoss has use_sigmoid=True and class_weight={list(weights)}, which fails in MMSegmentation; "
            "for a "
            "single logit write one number, that of the second class"
        )
    return {"divide_by": "weights", "class_weights": weights}


def _entropy_words(options: Values, weight: float) -> str:
    kind = "of sigmoids, each logit by itself" if options.get("sigmoid") else "cross-entropy"
    divisor = {
        "pixels": "divided by all pixels, ignored ones too (torch divides by the labelled ones)",
        "labelled": "divided by the pixels that are not ignored",
        "weights": f"with class weights {options.get('class_weights')}, divided by the sum of the weights of labelled "
        "pixels",
    }[options["divide_by"]]
    return f"{kind}, times {weight:g}, {divisor}"


def _mining(sampler: Values | None, account: Account) -> dict[str, Any]:
    if not sampler:
        return {}
    kind = str(sampler.get("type")).rpartition(".")[2]
    if kind != "OHEMPixelSampler":
        account.note(f"the sampler {kind} is not carried over: all pixels count in the loss")
        return {}
    threshold, min_kept = sampler.get("thresh"), sampler.get("min_kept", 100_000)
    if not isinstance(threshold, (int, float, NoneType)) or not isinstance(min_kept, int):
        raise InvalidInputError(f"{kind} has thresh={threshold!r} and min_kept={min_kept!r}: numbers are needed")
    hard = "the hardest" if threshold is None else f"those whose true class has a probability below {threshold:g}"
    account.becomes(
        f"decode_head: {kind}", f"the cross-entropy of {hard}, at least {min_kept:,} pixels a window, over the batch"
    )
    return {"ohem_threshold": 0.0 if threshold is None else threshold, "ohem_min_kept": min_kept}


def _of_masks(head: Values, account: Account) -> dict[str, Any]:
    for name, weight in _MASK_WEIGHTS.items():
        given = (head.get(name) or {}).get("loss_weight", weight)
        if given != weight:
            account.note(f"decode_head.{name} weighs {weight:g} here, as in the paper, not {given:g}")
    no_object = [*((head.get("loss_cls") or {}).get("class_weight") or [0.1])]
    if no_object[-1] != 0.1 or any(weight != 1 for weight in no_object[:-1]):
        account.note("decode_head.loss_cls.class_weight is not carried over: 1 for all classes, 0.1 for no object")
    account.becomes("decode_head: losses of masks", "classes, masks and Dice at the paper's weights, 2, 5 and 5")
    return {"cross_entropy": 1.0, "dice": 0.0}


def _auxiliary(heads: list[Values], main: Values, *, scale: float, account: Account) -> float | tuple[float, ...]:
    """Return the weights of the auxiliary heads, which multiply `scale`, that of the main head's cross-entropy."""
    options = _shared_options(main)
    weights: list[float] = []
    for index, head in enumerate(heads):
        parts = _losses(head)
        others = [part for part in parts if str(part.get("type")).rpartition(".")[2] != "CrossEntropyLoss"]
        if others:
            raise InvalidInputError(
                f"auxiliary_head has the loss {others[0].get('type')!r}; glomseg has CrossEntropyLoss there"
            )
        weight = sum(part.get("loss_weight", 1.0) for part in parts)
        if _shared_options(head) != options:
            account.note(
                "auxiliary_head: its cross-entropy is of the decode head's kind and with its class weights here"
            )
        account.becomes(f"auxiliary_head[{index}]: CrossEntropyLoss", f"cross-entropy, times {weight:g}")
        weights.append(weight / scale if scale else 0.0)
    if weights and not scale:
        account.note("the decode head has no CrossEntropyLoss, so auxiliary heads have none here either")
    return weights[0] if len(set(weights)) == 1 else tuple(weights) or 0.0


def _shared_options(head: Values) -> list[tuple[bool, bool, list[float] | None]]:
    return [
        (
            bool(part.get("use_sigmoid")),
            bool(part.get("avg_non_ignore")),
            part.get("class_weight") and [*part["class_weight"]],
        )
        for part in _losses(head)
        if str(part.get("type")).endswith("CrossEntropyLoss")
    ]


def _losses(head: Values) -> list[Values]:
    return listed(head.get("loss_decode") or {"type": "CrossEntropyLoss"})
