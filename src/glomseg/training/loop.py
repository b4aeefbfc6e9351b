"""The training loop: straight code on Lightning Fabric, in the order in which things happen."""

import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from glomseg.config import Settings
from glomseg.errors import NonFiniteLossError
from glomseg.progress import Progress
from glomseg.training.averaging import WeightAverage
from glomseg.training.losses import TrainingLoss
from glomseg.training.schedule import learning_rate


@dataclass(slots=True)
class TrainState:
    """What changes while a run goes on."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None = None
    step: int = 0
    best_score: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainHooks:
    """What the loop calls at its appointed steps; each gets the state after the step."""

    log: Callable[[TrainState, float, float], None]
    """With the mean loss since the last call and the highest learning rate of any parameter."""
    validate: Callable[[TrainState], None]
    save: Callable[[TrainState], None]


def run_steps(
    fabric: Fabric,
    state: TrainState,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    settings: Settings,
    hooks: TrainHooks,
    progress: Progress,
) -> bool:
    """Train until the last step of the settings; return False if Ctrl-C ended it earlier.

    `batches` starts at the window batch of step `state.step`. Raises NonFiniteLossError, saving
    nothing, when the loss is no longer a number.
    """
    run, rhythm = settings.run, settings.run.rhythm()
    loss_of = TrainingLoss(settings.loss, align_corners=settings.inference.align_corners)
    losses = torch.zeros((), device=fabric.device)
    checked_step, n_losses, note = state.step, 0, ""
    state.model.train()
    with _stop_on_interrupt() as stop_requested:
        for batch in batches:
            for group in state.optimizer.param_groups:
                group["lr"] = learning_rate(
                    state.step, lr=group["initial_lr"], schedule=settings.schedule, n_steps=rhythm.steps
                )
            lr = max(group["lr"] for group in state.optimizer.param_groups)
            torch.manual_seed(_step_seed(run.seed, state.step, fabric.global_rank))  # for dropout

            images, masks = fabric.to_device(batch)  # (B, 3, H, W) float32, (B, H, W) int64
            if run.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            outputs = state.model(images)
            loss = loss_of(outputs.main, outputs.auxiliary, masks, queries=outputs.queries)
            fabric.backward(loss)
            if settings.optimizer.clip_grad_norm is not None:
                fabric.clip_gradients(
                    state.model,
                    state.optimizer,
                    max_norm=settings.optimizer.clip_grad_norm,
                    error_if_nonfinite=False,
                )
            state.optimizer.step()
            state.optimizer.zero_grad(set_to_none=True)
            state.step += 1
            if state.average is not None:
                state.average.update(state.model, step=state.step)
            losses += loss.detach()
            n_losses += 1

            is_last = state.step == rhythm.steps
            stop = _stops(fabric, stop_requested(), step=state.step)
            logs = state.step % run.log_every == 0 or is_last
            validates = state.step % rhythm.val_every == 0 or is_last
            saves = state.step % run.save_every == 0 or is_last or stop
            if logs or validates or saves:
                total = fabric.all_reduce(losses.clone(), reduce_op="mean")
                assert isinstance(total, Tensor)
                mean_loss = float(total) / n_losses
                if not math.isfinite(mean_loss):
                    raise NonFiniteLossError(_not_finite(checked_step, state.step, lr))
                checked_step = state.step
            if logs:
                hooks.log(state, mean_loss, lr)
                losses, n_losses = torch.zeros_like(losses), 0
            if validates:
                hooks.validate(state)
                state.model.train()
            if saves:
                hooks.save(state)
            if logs or fabric.device.type == "cpu":  # on a GPU reading the loss every step would stall it
                note = f"loss {float(loss.detach()):.4f}"
            progress(state.step, rhythm.steps, note)
            if stop:
                return False
    return True


def _stops(fabric: Fabric, requested: bool, *, step: int) -> bool:
    """Return whether to stop now; several processes ask one another at every tenth step."""
    if fabric.world_size == 1:
        return requested
    if step % _ASK_EVERY:
        return False
    asked = fabric.all_reduce(torch.tensor(float(requested), device=fabric.device), reduce_op="sum")
    assert isinstance(asked, Tensor)
    return bool(asked > 0)


_ASK_EVERY = 10


def _step_seed(seed: int, step: int, rank: int) -> int:
    # A seed of its own for each step makes a resumed run repeat what was not saved.
    return (seed * 1_000_003 + step) * 1_009 + rank


def _not_finite(after: int, until: int, lr: float) -> str:
    return (
        f"the loss became NaN or infinite between step {after} and step {until} (learning rate {lr:.2g}); nothing "
        "of it was saved. Usual causes: a learning rate that is too high, fp16 overflow, or a damaged starting model. "
        "Start a new run with --set optimizer.lr=... or --precision 32-true; --weights RUN/best.safetensors begins it "
        "with the best model so far, if there is one"
    )


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop after the step; the second one interrupts at once."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set  # only the main thread may handle signals
        return

    def request(signum: int, frame: FrameType | None) -> None:
        requested.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, request)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
