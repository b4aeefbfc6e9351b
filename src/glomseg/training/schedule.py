"""The learning rate as a pure function of the step."""

import math

from glomseg.optimization import SchedulePhase, ScheduleSettings


def poly_lr(step: int, *, lr: float, min_lr: float, power: float, end_step: int) -> float:
    """Return the polynomially decayed learning rate of step `step`, counted from 0.

    ``min_lr + (lr - min_lr) (1 - t / (T - 1))^power`` up to t = T - 1, then `min_lr`: the closed form
    of MMEngine's PolyLR with T = `end_step`.
    """
    remaining = max(0.0, 1 - step / max(end_step - 1, 1))
    return min_lr + (lr - min_lr) * float(remaining**power)


def learning_rate(step: int, *, lr: float, schedule: ScheduleSettings, n_steps: int) -> float:
    """Return the learning rate of a step for parameters whose highest rate is `lr`.

    Either the phases of the schedule one after the other, or a linear rise over the warm-up and then polynomial
    decay, which is counted from the end of the warm-up to `schedule.end_step`, or to the last step.
    """
    if schedule.phases is not None:
        rate = lr
        for phase in schedule.phases:
            if step >= phase.begin * phase.every:
                rate = _after(phase, step, rate=rate, first=lr)
        return rate
    warmup = min(schedule.warmup_steps, n_steps - 1)
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    end = n_steps if schedule.end_step is None else schedule.end_step
    return poly_lr(step - warmup, lr=lr, min_lr=schedule.min_lr, power=schedule.power, end_step=max(end - warmup, 1))


def _after(phase: SchedulePhase, step: int, *, rate: float, first: float) -> float:
    """Return what a phase that has begun makes of the rate that it found; see `SchedulePhase`."""
    length = phase.end - phase.begin
    passed = min(step // phase.every - phase.begin, length - 1)
    lowest = phase.min_lr if phase.min_share is None else first * phase.min_share
    match phase.kind:
        case "linear":
            share = passed / max(length - 1, 1)
            return rate * (phase.start_factor + (phase.end_factor - phase.start_factor) * share)
        case "poly":
            return poly_lr(passed, lr=rate, min_lr=lowest, power=phase.power, end_step=length)
        case "cosine":
            return lowest + (rate - lowest) * (1 + math.cos(math.pi * passed / length)) / 2
        case "steps":
            return rate * float(phase.gamma ** sum(passed >= milestone for milestone in phase.milestones))
        case "constant":
            return rate if passed == length - 1 and passed > 0 else rate * phase.start_factor
