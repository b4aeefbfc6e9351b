"""The learning rate as a pure function of the step."""

from glomseg.config import OptimizerSettings, ScheduleSettings


def poly_lr(step: int, *, lr: float, min_lr: float, power: float, end_step: int) -> float:
    """Return the polynomially decayed learning rate of step `step`, counted from 0.

    ``min_lr + (lr - min_lr) (1 - t / (T - 1))^power`` up to t = T - 1, then `min_lr`: the closed form
    of MMEngine's PolyLR with T = `end_step`.
    """
    remaining = max(0.0, 1 - step / max(end_step - 1, 1))
    return min_lr + (lr - min_lr) * float(remaining**power)


def learning_rate(step: int, *, optimizer: OptimizerSettings, schedule: ScheduleSettings, n_steps: int) -> float:
    """Return the learning rate of a step: a linear rise over the warm-up, then polynomial decay.

    The decay is counted from the end of the warm-up to `schedule.end_step`, or to the last step.
    """
    warmup = min(schedule.warmup_steps, n_steps - 1)
    if step < warmup:
        return optimizer.lr * (step + 1) / (warmup + 1)
    end = n_steps if schedule.end_step is None else schedule.end_step
    return poly_lr(
        step - warmup, lr=optimizer.lr, min_lr=schedule.min_lr, power=schedule.power, end_step=max(end - warmup, 1)
    )
