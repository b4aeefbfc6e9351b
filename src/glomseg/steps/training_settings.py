"""Pipelines, optimizer, schedule and losses of an MMSegmentation config as sections of glomseg's settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.preparation import Preparation

Values = Mapping[str, Any]

_PASSIVE = ("LoadImageFromFile", "LoadAnnotations", "PackSegInputs", "Pad")
_OPTIMIZERS = {"SGD": "sgd", "AdamW": "adamw"}


def describe_training(values: Values, preparation: Preparation, notes: list[str]) -> dict[str, Any]:
    """Return sections of `glomseg.config.Settings`; what is done otherwise is added to `notes`.

    Raises
    ------
    InvalidInputError
        If the config trains by epochs, or with an optimizer, schedule or loss that glomseg does not have.
    """
    loop = values.get("train_cfg") or {}
    steps = loop.get("max_iters")
    if not isinstance(steps, int):
        raise InvalidInputError("the config does not train by iterations: train_cfg has no max_iters")
    wrapper = values.get("optim_wrapper") or {}
    optimizer = _optimizer(wrapper, notes)
    hooks = values.get("default_hooks") or {}
    loader = values.get("train_dataloader") or {}
    if (values.get("model") or {}).get("pretrained") or _init_checkpoint(values):
        notes.append(
            "the weights that the backbone starts from in the config are not fetched: give them with --weights, or "
            "the network starts from random numbers"
        )
    if values.get("custom_hooks"):
        notes.append("custom_hooks are not carried over")
    if values.get("resume"):
        notes.append("resume is not carried over; go on with a run by: glomseg train --resume RUN")
    scaling: dict[str, Any] = {"mpp": None, "factor": 1.0, "interpolation": "bilinear"}
    crop = _crop((loader.get("dataset") or {}).get("pipeline") or values.get("train_pipeline") or [], scaling, notes)
    if scaling.get("fit_px") != preparation.scaling.fit_px:
        notes.append(
            f"training resizes to {scaling.get('fit_px')} and testing to {preparation.scaling.fit_px}; "
            "the latter is used for both"
        )
        scaling["fit_px"] = preparation.scaling.fit_px
    return {
        "scaling": scaling,
        "crop": crop,
        "loss": _losses(values["model"], notes),
        "optimizer": optimizer,
        "schedule": _schedule(values.get("param_scheduler") or [], optimizer["lr"], steps, notes=notes),
        "run": {
            "steps": steps,
            "batch_size": loader.get("batch_size", 1),
            "val_every": loop.get("val_interval", steps),
            "save_every": (hooks.get("checkpoint") or {}).get("interval", steps),
            "log_every": (hooks.get("logger") or {}).get("interval", 10),
            "seed": (values.get("randomness") or {}).get("seed") or 0,
        },
    }


def _init_checkpoint(values: Values) -> bool:
    init = ((values.get("model") or {}).get("backbone") or {}).get("init_cfg") or {}
    return isinstance(init, Mapping) and bool(init.get("checkpoint"))


def _optimizer(wrapper: Values, notes: list[str]) -> dict[str, Any]:
    optimizer = wrapper.get("optimizer") or {}
    kind = optimizer.get("type")
    if kind not in _OPTIMIZERS:
        raise InvalidInputError(f"the optimizer {kind!r} is not known; glomseg has {', '.join(_OPTIMIZERS)}")
    if wrapper.get("paramwise_cfg"):
        notes.append("optim_wrapper.paramwise_cfg is not carried over: all parameters have one learning rate and decay")
    if wrapper.get("type") == "AmpOptimWrapper":
        notes.append("mixed precision is chosen by --precision, not by the config")
    if wrapper.get("accumulative_counts", 1) != 1:
        notes.append("gradients are not accumulated over iterations; give a larger batch with --set run.batch_size=...")
    known = {"type", "lr", "momentum", "weight_decay", "betas"}
    notes += [f"optimizer.{name} is not carried over" for name in sorted(set(optimizer) - known)]
    if tuple(optimizer.get("betas", (0.9, 0.999))) != (0.9, 0.999):
        notes.append(f"optimizer.betas={optimizer['betas']} is not carried over; they are (0.9, 0.999)")
    return {
        "name": _OPTIMIZERS[kind],
        "lr": optimizer.get("lr"),
        "momentum": optimizer.get("momentum", 0.0),
        "weight_decay": optimizer.get("weight_decay", 0.01 if kind == "AdamW" else 0.0),
        "clip_grad_norm": (wrapper.get("clip_grad") or {}).get("max_norm"),
    }


def _schedule(schedulers: Sequence[Values] | Values, lr: float, steps: int, *, notes: list[str]) -> dict[str, Any]:
    schedule: dict[str, Any] = {"power": 1.0, "min_lr": lr, "warmup_steps": 0}
    for scheduler in [schedulers] if isinstance(schedulers, Mapping) else schedulers:
        kind = scheduler.get("type")
        if kind == "LinearLR" and scheduler.get("begin", 0) == 0:
            schedule["warmup_steps"] = scheduler.get("end", 0)
        elif kind == "PolyLR":
            end = scheduler.get("end", steps)
            schedule |= {
                "power": scheduler.get("power", 1.0),
                "min_lr": scheduler.get("eta_min", 0.0),
                "end_step": None if end == steps else end,
            }
            if end != steps:
                notes.append(_poly_note(lr, schedule, end, steps))
        else:
            raise InvalidInputError(f"the schedule {kind!r} is not known; glomseg has LinearLR and then PolyLR")
    return schedule


def _poly_note(lr: float, schedule: Values, end: int, steps: int) -> str:
    left = max(0.0, 1 - (steps - 1) / max(end - 1, 1))
    last = schedule["min_lr"] + (lr - schedule["min_lr"]) * left ** schedule["power"]
    return (
        f"PolyLR ends at step {end:,} and the training at {steps:,}: the learning rate goes from {lr:g} to "
        f"{last:.3g} only. To let it fall to {schedule['min_lr']:g}: --set schedule.end_step={steps}"
    )


def _crop(steps: Sequence[Values], scaling: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    crop: dict[str, Any] = {"method": "resize_then_crop", "scale_range": (1.0, 1.0), "flip": "none", "rotate": False}
    for step in steps:
        kind = step.get("type")
        if kind in ("RandomResize", "Resize"):
            scaling["fit_px"] = _pair(step.get("scale"), f"{kind}.scale")
            crop["scale_range"] = tuple(step.get("ratio_range") or (1.0, 1.0))
        elif kind == "RandomCrop":
            sides = _pair(step.get("crop_size"), "RandomCrop.crop_size")
            if sides[0] != sides[1]:
                notes.append(f"windows are square here: {min(sides)} pixels instead of {sides[0]} x {sides[1]}")
            crop |= {"size_px": min(sides), "cat_max_ratio": step.get("cat_max_ratio", 1.0)}
        elif kind == "RandomFlip":
            direction = step.get("direction", "horizontal")
            crop["flip"] = "horizontal" if direction == "horizontal" else "both"
            if step.get("prob") not in (0.5, None):
                notes.append(f"windows are flipped with probability 0.5, not {step['prob']}")
        elif kind not in _PASSIVE:
            notes.append(f"the step {kind} of the training pipeline is not carried over")
    if "size_px" not in crop:
        raise InvalidInputError("the training pipeline has no RandomCrop, so the size of the windows is unknown")
    if crop["cat_max_ratio"] < 1:
        notes.append(
            f"cat_max_ratio={crop['cat_max_ratio']}: a window of one class only is drawn again up to ten times and "
            "then kept, so tiles without glomeruli are trained on all the same"
        )
    return crop


def _pair(value: Any, name: str) -> tuple[int, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise InvalidInputError(f"{name} is {value!r}; glomseg reads two numbers there")
    return int(value[0]), int(value[1])


def _losses(model: Values, notes: list[str]) -> dict[str, Any]:
    loss: dict[str, Any] = {"cross_entropy": 0.0, "dice": 0.0, "auxiliary": 0.0}
    for part in _listed(model["decode_head"].get("loss_decode", {"type": "CrossEntropyLoss"})):
        kind, weight = part.get("type"), part.get("loss_weight", 1.0)
        if kind == "CrossEntropyLoss":
            loss["cross_entropy"] += weight
            if part.get("class_weight") is not None:
                loss["class_weights"] = tuple(part["class_weight"])
                notes.append(
                    "the loss with class weights is divided by the number of all pixels, ignored ones and weights not "
                    "regarded: with the weights the whole loss grows or shrinks, as a learning rate does"
                )
            others = ("use_sigmoid", "use_mask", "avg_non_ignore")
            notes += [f"CrossEntropyLoss.{name} is not carried over" for name in others if part.get(name)]
        elif kind == "DiceLoss":
            loss["dice"] += weight
            notes.append("DiceLoss is glomseg's own: of the foreground classes, with a cost for empty windows")
        else:
            raise InvalidInputError(f"the loss {kind!r} is not known; glomseg has CrossEntropyLoss and DiceLoss")
    heads = _listed(model.get("auxiliary_head") or [])
    weights = {part.get("loss_weight", 1.0) for head in heads for part in _listed(head.get("loss_decode", {}))}
    if len(weights) > 1:
        notes.append(f"all auxiliary losses weigh {max(weights):g} here")
    if weights and loss["cross_entropy"]:
        loss["auxiliary"] = max(weights) / loss["cross_entropy"]
    return loss


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
