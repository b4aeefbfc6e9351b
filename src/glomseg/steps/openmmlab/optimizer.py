"""Optimizer and rules for parameters of an MMSegmentation config as settings."""

from collections.abc import Mapping
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.steps.openmmlab.account import Account

Values = Mapping[str, Any]

_OPTIMIZERS = {"SGD": "sgd", "AdamW": "adamw", "Adam": "adamw"}
_KNOWN = {
    "sgd": {"type", "lr", "momentum", "weight_decay"},
    "adamw": {"type", "lr", "betas", "weight_decay", "eps"},
}
_DECAYS = ("norm_decay_mult", "bias_decay_mult", "dwconv_decay_mult", "flat_decay_mult")
_LAYER_DECAY = "LearningRateDecayOptimizerConstructor"


def describe_optimizer(wrapper: Values, *, backbone: str, account: Account) -> dict[str, Any]:
    """Return the section ``optimizer`` for an ``optim_wrapper``.

    Parameters
    ----------
    wrapper
        The optimizer, its clipping and its rules for parameters.
    backbone
        The config's type of it, which decides whether there is layer decay.
    account
        Where to write down what each part becomes.

    Raises
    ------
    InvalidInputError
        If glomseg does not have such an optimizer, clipping or rule.
    """
    optimizer = wrapper.get("optimizer") or {}
    kind = optimizer.get("type")
    if kind not in _OPTIMIZERS:
        raise InvalidInputError(f"the optimizer {kind!r} is not known; glomseg has {', '.join(_OPTIMIZERS)}")
    name = _OPTIMIZERS[kind]
    if not isinstance(optimizer.get("lr"), (int, float)):
        raise InvalidInputError(f"the optimizer's lr is {optimizer.get('lr')!r}; glomseg reads a number there")
    decay = optimizer.get("weight_decay", 0.01 if kind == "AdamW" else 0.0)
    if kind == "Adam" and decay:
        raise InvalidInputError(
            f"Adam with weight_decay={decay} adds it to the gradient, which glomseg does not have; take AdamW in the "
            "config"
        )
    section: dict[str, Any] = {"name": name, "lr": optimizer["lr"], "weight_decay": decay}
    section |= {"momentum": optimizer.get("momentum", 0.0)} if name == "sgd" else {"betas": _betas(optimizer)}
    for other in sorted(set(optimizer) - _KNOWN[name]):
        if optimizer[other] not in (False, None, 0):
            account.note(f"optimizer.{other}={optimizer[other]!r} is not carried over: {kind} runs without it")
    if optimizer.get("eps", 1e-8) != 1e-8:
        account.note(f"optimizer.eps={optimizer['eps']} is not carried over; it is 1e-8")
    section["clip_grad_norm"] = _clipping(wrapper.get("clip_grad"))
    rules = _rules(wrapper, backbone=backbone, account=account)
    account.becomes(f"optim_wrapper: {kind}", ", ".join(f"{key}={value}" for key, value in section.items()))
    for key, value in rules.items():
        account.becomes(f"optim_wrapper: {key}", _words(value))
    if str(wrapper.get("type")).startswith("AmpOptimWrapper"):
        account.note(
            "mixed precision is chosen by --precision, not by the config: auto takes it where the device has it"
        )
    if wrapper.get("accumulative_counts", 1) != 1:
        account.note(
            f"gradients are not accumulated over {wrapper['accumulative_counts']} iterations: each is a step of its "
            "own. "
            "Give a larger batch with --set run.batch_size=..."
        )
    return {**section, **rules}


def _betas(optimizer: Values) -> tuple[float, ...]:
    return tuple(optimizer.get("betas") or (0.9, 0.999))


def _clipping(clip: Values | None) -> float | None:
    if not clip:
        return None
    if clip.get("type", "norm") != "norm" or clip.get("norm_type", 2) != 2 or "clip_value" in clip:
        raise InvalidInputError(f"optim_wrapper.clip_grad is {dict(clip)}; glomseg clips by the Euclidean norm only")
    return float(clip["max_norm"])


def _rules(wrapper: Values, *, backbone: str, account: Account) -> dict[str, Any]:
    """Return what holds for some parameters, as `glomseg.optimization.OptimizerSettings` takes it."""
    config = wrapper.get("paramwise_cfg") or {}
    constructor = str(wrapper.get("constructor") or "DefaultOptimWrapperConstructor").rpartition(".")[2]
    if constructor == _LAYER_DECAY:
        return {"layer_decay": _layer_decay(config, backbone)}
    if constructor == "LayerDecayOptimizerConstructor":
        raise InvalidInputError(
            f"{constructor} is for BEiT and MAE backbones, which glomseg does not have; MMSegmentation refuses it for "
            "others"
        )
    if constructor not in ("DefaultOptimWrapperConstructor", "DefaultOptimizerConstructor"):
        raise InvalidInputError(f"the optimizer's constructor {constructor} is not known to glomseg")
    rules: dict[str, Any] = {name: config[name] for name in _DECAYS if config.get(name) is not None}
    if config.get("bias_lr_mult") is not None:
        rules["bias_lr_mult"] = config["bias_lr_mult"]
    if config.get("custom_keys"):
        rules["by_name"] = {name: _rule(name, rule, account) for name, rule in config["custom_keys"].items()}
    known = {*_DECAYS, "bias_lr_mult", "custom_keys", "bypass_duplicate", "dcn_offset_lr_mult"}
    unknown = sorted(set(config) - known)
    if unknown:
        account.note(f"paramwise_cfg: {', '.join(unknown)} is not known, and MMEngine does not heed it either")
    return rules


def _rule(name: str, rule: Values, account: Account) -> dict[str, float]:
    other = sorted(set(rule) - {"lr_mult", "decay_mult"})
    if other:
        account.note(f"paramwise_cfg.custom_keys[{name!r}]: {', '.join(other)} is not carried over")
    return {key: float(value) for key, value in rule.items() if key in ("lr_mult", "decay_mult")}


def _layer_decay(config: Values, backbone: str) -> dict[str, Any]:
    if not backbone.endswith("ConvNeXt"):
        raise InvalidInputError(f"{_LAYER_DECAY} is not for a {backbone}: glomseg has it for ConvNeXt only")
    if "num_layers" not in config or "decay_rate" not in config:
        raise InvalidInputError(f"{_LAYER_DECAY} needs paramwise_cfg with num_layers and decay_rate")
    by = "stage" if config.get("decay_type", "layer_wise") == "stage_wise" else "layer"
    return {"rate": config["decay_rate"], "n_layers": config["num_layers"], "by": by}


def _words(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"{value:g} times"
    return "; ".join(
        f"{name}: {', '.join(f'{key}={number:g}' for key, number in rule.items())}"
        if isinstance(rule, Mapping)
        else f"{name}={rule}"
        for name, rule in value.items()
    )
