"""One training run in its folder: everything around the loop."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from glomseg.config import Settings
from glomseg.data.loader import WindowDataset, make_loader, window_numbers
from glomseg.data.normalisation import look_of_region
from glomseg.data.store import TileStore
from glomseg.inference.predictor import Predictor
from glomseg.metrics.evaluation import named_figures
from glomseg.metrics.pixels import PixelCounts, PixelMetrics, count_pixels, pixel_metrics
from glomseg.models.batchnorm import synchronize_batchnorm
from glomseg.models.model_files import save_model
from glomseg.models.winograd import use_winograd
from glomseg.optimization import OptimizerSettings
from glomseg.progress import OnMessage, Progress
from glomseg.runs import RunFolder, append_metrics, rewind_metrics
from glomseg.training.averaging import WeightAverage
from glomseg.training.checkpoint import load_checkpoint, save_checkpoint
from glomseg.training.loop import TrainHooks, TrainState, run_steps
from glomseg.training.parameters import parameter_groups
from glomseg.types import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """What a run works with, all of it ready.

    Attributes
    ----------
    network
        The model with its starting weights.
    card
        Describes it; the metrics are filled in as they are measured.
    windows
        The stream of training windows.
    validation
        Validation tiles at their own resolution; may be empty.
    workers
        Processes that prepare windows.
    precision
        What the network computes in, in Fabric's words.
    """

    run: RunFolder
    settings: Settings
    network: nn.Module
    card: ModelCard
    windows: WindowDataset
    validation: TileStore
    workers: int
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOutcome:
    """How a run ended."""

    step: int
    best_score: float
    finished: bool


_FEW_CHANNELS = 16


def _with_safe_layout(settings: Settings, network: nn.Module, device: torch.device) -> Settings:
    """Return the settings without the channels-last layout where it would crash the process.

    On processors torch 2.13 (oneDNN) writes beyond its memory in the backward pass of a strided 1 x 1 convolution of
    8 channels or fewer in that layout.
    """
    crashes = device.type == "cpu" and any(
        isinstance(part, nn.Conv2d)
        and part.kernel_size == (1, 1)
        and part.stride != (1, 1)
        and part.in_channels < _FEW_CHANNELS
        for part in network.modules()
    )
    if not (settings.run.channels_last and crashes):
        return settings
    return settings.model_copy(update={"run": settings.run.model_copy(update={"channels_last": False})})


def execute(fabric: Fabric, job: TrainJob, *, resume: bool, progress: Progress, message: OnMessage) -> TrainOutcome:
    """Train the job's network from the start, or from its newest checkpoint, to its last step."""
    settings = _with_safe_layout(job.settings, job.network, fabric.device)
    rhythm = settings.run.rhythm()
    network = synchronize_batchnorm(job.network) if fabric.world_size > 1 else job.network
    if settings.run.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    on_processor = fabric.device.type == "cpu"
    if on_processor and job.precision == "32-true":
        use_winograd(network)
    # On a GPU fused steps and fp16's scaled gradients do not go together with clipping.
    model, optimizer = fabric.setup(network, make_optimizer(network, settings.optimizer, fused=on_processor))
    decay = settings.run.average_decay
    average = None if decay is None else WeightAverage(network, decay=decay)
    state = TrainState(model=model, optimizer=optimizer, average=average)
    result = network if average is None else average.network
    if resume:
        _restore(fabric, job, state, message=message)
    writer = SummaryWriter(job.run.tensorboard, purge_step=state.step) if fabric.is_global_zero else None
    batches = make_loader(
        job.windows,
        window_numbers(
            first_step=state.step,
            last_step=rhythm.steps,
            batch_size=rhythm.batch_size,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
        ),
        workers=job.workers,
    )
    recorder = _Recorder(fabric=fabric, job=job, network=result, writer=writer, started_s=time.monotonic())
    hooks = TrainHooks(log=recorder.log, validate=recorder.validate, save=recorder.save)
    try:
        finished = run_steps(fabric, state, batches, settings=settings, hooks=hooks, progress=progress)
    finally:
        if writer is not None:
            writer.close()
    if finished and fabric.is_global_zero:
        save_model(job.run.last_model, result, job.card)
    return TrainOutcome(step=state.step, best_score=state.best_score, finished=finished)


def make_optimizer(network: nn.Module, settings: OptimizerSettings, *, fused: bool) -> torch.optim.Optimizer:
    """Return the optimizer; its learning rates are set anew at every step.

    `fused` updates all weights in one pass: on a processor several times as fast, and the same up to rounding.
    """
    groups = [
        {"params": group.parameters, "lr": group.lr, "initial_lr": group.lr, "weight_decay": group.weight_decay}
        for group in parameter_groups(network, settings)
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=fused)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, fused=fused)


def validate(fabric: Fabric, predictor: Predictor, tiles: TileStore) -> PixelCounts:
    """Return the counts of all validation tiles, shared out among the processes of the run."""
    n_classes = len(predictor.card.classes)
    counts = PixelCounts.zero(n_classes)
    for index in range(fabric.global_rank, len(tiles), fabric.world_size):
        image, mask = tiles[index]
        look = look_of_region(tiles.dataset, tiles.samples[index], predictor.card)
        prediction = predictor.predict(image, mpp=tiles.dataset.mpp, look=look)
        counts += count_pixels(target=mask, prediction=prediction.mask, n_classes=n_classes)
    total = fabric.all_reduce(torch.tensor(counts.matrix, device=fabric.device), reduce_op="sum")
    assert isinstance(total, Tensor)
    return PixelCounts(matrix=total.cpu().numpy())


def score_of(metrics: PixelMetrics, name: str) -> float:
    """Return the figure that "best" is judged by; undefined figures lose against every other."""
    if name == "foreground_iou":
        defined = [value for value in metrics.iou[1:] if value == value]
        return float(np.mean(defined)) if defined else -1.0
    value = float(getattr(metrics, name))
    return value if value == value else -1.0


def _averaged(state: TrainState) -> nn.Module | None:
    return None if state.average is None else state.average.network


def _restore(fabric: Fabric, job: TrainJob, state: TrainState, *, message: OnMessage) -> None:
    steps = job.run.checkpoint_steps()
    if not steps:
        message("no checkpoint was written yet: starting from the first step")
    else:
        path = job.run.checkpoint(steps[-1])
        state.step, state.best_score = load_checkpoint(
            path,
            model=state.model,
            optimizer=state.optimizer,
            average=_averaged(state),
            device=fabric.device,
        )
        message(f"resuming after step {state.step} of {job.settings.run.rhythm().steps}")
    if fabric.is_global_zero:
        rewind_metrics(job.run, state.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorder:
    """Writes down what the loop reports."""

    fabric: Fabric
    job: TrainJob
    network: nn.Module
    writer: SummaryWriter | None
    started_s: float

    def log(self, state: TrainState, loss: float, lr: float) -> None:
        if self.writer is None:
            return
        row = {"event": "train", "step": state.step, "loss": loss, "lr": lr, "seconds": self._seconds()}
        append_metrics(self.job.run, row)
        self.writer.add_scalar("train/loss", loss, state.step)
        self.writer.add_scalar("train/lr", lr, state.step)

    def validate(self, state: TrainState) -> None:
        if len(self.job.validation) == 0:
            return
        predictor = Predictor(self.network, self.job.card, device=str(self.fabric.device), precision=self.job.precision)
        metrics = pixel_metrics(validate(self.fabric, predictor, self.job.validation))
        score = score_of(metrics, self.job.settings.run.best_metric)
        improved = score > state.best_score
        state.best_score = max(score, state.best_score)
        if self.writer is None:
            return
        names = self.job.card.classes.names
        figures = {"part": "val", "step": state.step, **named_figures(metrics, names)}
        append_metrics(self.job.run, {"event": "val", **figures, "score": score, "seconds": self._seconds()})
        for name, value in zip(names, metrics.iou, strict=True):
            self.writer.add_scalar(f"val/iou/{name}", value, state.step)
        self.writer.add_scalar("val/mean_iou", metrics.mean_iou, state.step)
        if improved:
            save_model(self.job.run.best_model, self.network, replace(self.job.card, metrics=figures))

    def save(self, state: TrainState) -> None:
        if self.fabric.is_global_zero:
            save_checkpoint(
                self.job.run,
                step=state.step,
                model=state.model,
                optimizer=state.optimizer,
                average=_averaged(state),
                best_score=state.best_score,
                keep=self.job.settings.run.keep_checkpoints,
            )
        self.fabric.barrier()

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started_s, 3)
