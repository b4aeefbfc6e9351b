"""Schedulers of an MMSegmentation config as phases of the learning rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from glomseg.config import AUTO, Settings
from glomseg.errors import InvalidInputError
from glomseg.optimization import ScheduleSettings
from glomseg.recipes import parse_settings
from glomseg.steps.openmmlab.account import Account
from glomseg.training.schedule import learning_rate

Values = Mapping[str, Any]

_KINDS = ("LinearLR", "PolyLR", "PolyLRRatio", "CosineAnnealingLR", "MultiStepLR", "ConstantLR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How long a training is.

    Attributes
    ----------
    steps
        Of the whole run.
    epoch_steps
        Steps of an epoch where the config counts in epochs; None where it counts in steps.
    """

    steps: int
    epoch_steps: int | None


def describe_schedule(values: Values, length: Length, *, lr: float, account: Account) -> dict[str, Any]:
    """Return the section ``schedule`` for ``param_scheduler`` (1.x) or ``lr_config`` (0.x).

    Raises
    ------
    InvalidInputError
        If a scheduler is not known, or two overlap in a way that has no closed form.
    """
    old = values.get("lr_config")
    if old is not None and not values.get("param_scheduler"):
        phases = _old_phases(old, length)
    else:
        schedulers = values.get("param_scheduler") or []
        schedulers = [schedulers] if isinstance(schedulers, Mapping) else list(schedulers)
        phases = sorted((_phase(item, length, account) for item in schedulers), key=lambda phase: phase["begin"])
        phases = [phase for phase in phases if phase["begin"] * phase.get("every", 1) < length.steps]
        _check_apart(phases)
    section = _simple(phases, length) or {"phases": phases}
    schedule = parse_settings({"schedule": section}, origin="the schedule of the config").schedule
    account.becomes("learning rate", _words(phases, schedule, length, lr=lr))
    return section


def _phase(scheduler: Values, length: Length, account: Account) -> dict[str, Any]:
    kind = str(scheduler.get("type")).rpartition(".")[2]
    if kind not in _KINDS:
        raise InvalidInputError(f"the schedule {kind!r} is not known; glomseg has {', '.join(_KINDS)}")
    by_epoch = scheduler.get("by_epoch", True)
    every = length.epoch_steps or 1
    n_units = -(-length.steps // every) if by_epoch else length.steps
    if by_epoch and length.epoch_steps is None:
        # In a loop over iterations there is one epoch, after which nothing is left to do.
        every, n_units = length.steps, 1
        account.note(
            f"{kind} has no by_epoch=False, so it counts epochs, of which a training by iterations has one: as in "
            "MMEngine "
            "the learning rate does not move"
        )
    phase: dict[str, Any] = {"begin": scheduler.get("begin", 0), "end": scheduler.get("end", n_units)}
    phase["end"] = min(phase["end"], 2**40)
    if by_epoch:
        phase["every"] = every
    if by_epoch and scheduler.get("convert_to_iter_based"):
        if length.epoch_steps is None:
            raise InvalidInputError(
                f"{kind} has convert_to_iter_based in a training by iterations, which has no epochs"
            )
        phase = {"begin": phase["begin"] * every, "end": phase["end"] * every}
    span = phase["end"] - phase["begin"]
    if kind == "LinearLR":
        factors = {"start_factor": scheduler.get("start_factor", 1 / 3), "end_factor": scheduler.get("end_factor", 1.0)}
        return {"kind": "linear", **phase, **factors}
    if kind == "ConstantLR":
        return {"kind": "constant", **phase, "start_factor": scheduler.get("factor", 1 / 3)}
    if kind == "MultiStepLR":
        milestones = tuple(scheduler.get("milestones") or ())
        return {"kind": "steps", **phase, "milestones": milestones, "gamma": scheduler.get("gamma", 0.1)}
    lowest: dict[str, Any] = {"min_lr": scheduler.get("eta_min") or 0.0}
    if scheduler.get("eta_min_ratio") is not None:
        lowest = {"min_share": scheduler["eta_min_ratio"]}
    if kind == "CosineAnnealingLR":
        if scheduler.get("T_max") not in (None, span):
            raise InvalidInputError(
                f"CosineAnnealingLR has T_max={scheduler['T_max']} and lasts from {phase['begin']} to {phase['end']}; "
                "glomseg "
                "has half a cosine over the whole of it"
            )
        return {"kind": "cosine", **phase, **lowest}
    return {"kind": "poly", **phase, "power": scheduler.get("power", 1.0), **lowest}


def _old_phases(config: Values, length: Length) -> list[dict[str, Any]]:
    """Return the phases of an ``lr_config``, where the warm-up multiplies what the policy gives."""
    policy, by_epoch = str(config.get("policy")).lower(), config.get("by_epoch", True)
    if by_epoch and length.epoch_steps is None:
        raise InvalidInputError("lr_config counts epochs in a training by iterations; write by_epoch=False into it")
    every = (length.epoch_steps or 1) if by_epoch else 1
    n_units = -(-length.steps // every)
    span = {"begin": 0, "every": every}
    if policy in ("poly", "cosineannealing"):
        lowest: dict[str, Any] = {"min_lr": config.get("min_lr") or 0.0}
        if config.get("min_lr_ratio") is not None:
            lowest = {"min_share": config["min_lr_ratio"]}
        kind = {"kind": "poly", "power": config.get("power", 1.0)} if policy == "poly" else {"kind": "cosine"}
        # The rate of 0.x would reach its end one step after the last.
        phases = [{**kind, **span, "end": n_units + (policy == "poly"), **lowest}]
    elif policy == "step":
        steps = config.get("step")
        if isinstance(steps, int) and steps > 0:
            steps = range(steps, n_units, steps)
        milestones = tuple(steps or ())
        phases = [
            {"kind": "steps", **span, "end": n_units, "milestones": milestones, "gamma": config.get("gamma", 0.1)}
        ]
    elif policy == "fixed":
        phases = []
    else:
        raise InvalidInputError(
            f"lr_config has the policy {policy!r}; glomseg has poly, cosineannealing, step and fixed"
        )
    warmup, n_warm = config.get("warmup"), config.get("warmup_iters", 0)
    if warmup is None:
        return phases
    if warmup not in ("linear", "constant") or config.get("warmup_by_epoch"):
        raise InvalidInputError(f"lr_config warms up by {warmup!r}; glomseg has linear and constant, counted in steps")
    ratio = config.get("warmup_ratio", 0.1)
    return [*phases, {"kind": warmup, "begin": 0, "end": n_warm + 1, "start_factor": ratio}]


def _check_apart(phases: Sequence[Values]) -> None:
    """Raise if two phases overlap of which one falls to a rate above 0: then the order within a step matters."""
    for one, other in pairwise(phases):
        overlap = other["begin"] * other.get("every", 1) < one["end"] * one.get("every", 1)
        if overlap and any(phase.get("min_lr") or phase.get("min_share") for phase in (one, other)):
            raise InvalidInputError(
                f"two schedulers of the config overlap ({one['kind']} until {one['end']}, {other['kind']} from "
                f"{other['begin']}) and one falls to a rate above 0; let the second begin where the first ends"
            )


def _simple(phases: Sequence[Values], length: Length) -> dict[str, Any] | None:
    """Return the section without phases, where one polynomial decay is all there is."""
    if len(phases) != 1 or phases[0]["kind"] != "poly" or phases[0]["begin"] != 0 or phases[0].get("every", 1) != 1:
        return None
    (phase,) = phases
    if "min_lr" not in phase or phase["end"] < 2:
        return None
    end = None if phase["end"] == length.steps else phase["end"]
    return {"power": phase["power"], "min_lr": phase["min_lr"], "warmup_steps": 0, "end_step": end}


def _words(phases: Sequence[Values], schedule: ScheduleSettings, length: Length, *, lr: float) -> str:
    rates = [learning_rate(step, lr=lr, schedule=schedule, n_steps=length.steps) for step in (0, length.steps - 1)]
    parts = [f"{phase['kind']} from {phase['begin']:,} to {phase['end']:,}" for phase in phases] or ["unchanged"]
    return f"{', then '.join(parts)}: from {rates[0]:.3g} at the first step to {rates[1]:.3g} at the last"


def note_the_end(settings: Settings, account: Account) -> None:
    """Warn where the last decay of the rate does not end with the training, all settings being final."""
    schedule, steps, lr = settings.schedule, settings.run.steps, settings.optimizer.lr
    if steps == AUTO:  # then it is long enough for the data, whatever the config says
        return
    if schedule.phases is None:
        kind, end, every, lowest = "PolyLR", schedule.end_step or steps, 1, schedule.min_lr
    else:
        last = max(schedule.phases, key=lambda phase: phase.end * phase.every, default=None)
        if last is None or last.kind not in ("poly", "cosine"):
            return
        kind = "PolyLR" if last.kind == "poly" else "CosineAnnealingLR"
        end, every = last.end * last.every, last.every
        lowest = last.min_lr if last.min_share is None else last.min_share * lr
    if end > steps + every:
        left = learning_rate(steps - 1, lr=lr, schedule=schedule, n_steps=steps)
        mend = f"--set schedule.end_step={steps}" if schedule.phases is None else "change its end in the config"
        account.note(
            f"{kind} ends at step {end:,} and the training at {steps:,}: the learning rate goes from {lr:g} to "
            f"{left:.4g} only. To let it fall to {lowest:g}: {mend}"
        )
    elif end < steps - 1:
        account.note(
            f"{kind} ends at step {end:,} and the training at {steps:,}: the last {steps - end:,} steps are at the "
            f"lowest learning rate, {lowest:g}"
        )
