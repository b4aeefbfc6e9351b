"""Train a model on a data set: from tiles and settings to a run folder."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from glomseg.config import Settings
from glomseg.data.advice import check_trainable
from glomseg.data.loader import WindowDataset
from glomseg.data.normalisation import TileNormaliser
from glomseg.data.record import (
    check_unchanged,
    hash_tiles,
    read_dataset_record,
    write_dataset_record,
)
from glomseg.data.split import PARTS, leaking_groups, make_split, read_split, write_split
from glomseg.data.statistics import TileStatistics, scan_masks
from glomseg.data.store import TileStore
from glomseg.export.plots import save_training_curves
from glomseg.files import read_json, sha256_of, write_json
from glomseg.memory import free_memory_bytes
from glomseg.models.build import build_model
from glomseg.models.segmentor import Segmentor
from glomseg.models.starting_weights import LoadReport, freeze_backbone, load_starting_weights
from glomseg.progress import OnMessage, ProgressBars, no_message, no_progress
from glomseg.runs import RunFolder, create_run, open_run, read_metrics, read_settings, write_settings
from glomseg.steps.before_training import (
    as_trained,
    explain_windows,
    say_advice,
    settle_choices,
    settle_reference,
)
from glomseg.training.hardware import Hardware, launch, on_first_process
from glomseg.training.parameters import unused_names
from glomseg.training.provenance import describe_model, describe_run, now
from glomseg.training.run import TrainJob, execute
from glomseg.types import Dataset, ModelCard, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """How a training run ended.

    Attributes
    ----------
    run
        The run folder.
    step
        Steps done.
    finished
        False if Ctrl-C ended the run; it can be resumed.
    validation
        The figures of the best model, as in its card; empty without a validation part.
    """

    run: Path
    step: int
    finished: bool
    validation: dict[str, Any]


def train_model(
    dataset: Dataset,
    settings: Settings,
    *,
    out: str | os.PathLike[str],
    split: Split | None = None,
    hardware: Hardware | None = None,
    progress: ProgressBars = no_progress,
    message: OnMessage = no_message,
) -> TrainResult:
    """Train a model and return where it is and how good it is on the validation part.

    Parameters
    ----------
    dataset
        Tiles with masks, from `glomseg.open_dataset`.
    settings
        From `glomseg.load_recipe`.
    out
        The run folder, made new.
    split
        Which tiles to train on and to choose the best step by; None draws one by group.
    hardware
        What to train on.
    progress, message
        Where to report.

    Raises
    ------
    InvalidInputError
        If there is nothing to learn from, or settings and data do not fit.
    NonFiniteLossError
        If the loss became NaN; the last good checkpoint is kept.
    OutputError
        If `out` already holds a run or cannot be written.
    """
    fabric, precision = launch(hardware or Hardware(), settings)
    with progress("reading masks", unit="tile") as bar:
        statistics = {item.name: item for item in scan_masks(dataset, progress=bar)}
    if split is None:
        split = make_split(dataset, seed=settings.run.seed, statistics=tuple(statistics.values()))
        message(f"no split given: {len(split.train)} tiles to train on, {len(split.val)} to validate, by group")
    split = replace(split, leaking_groups=leaking_groups(dataset, {part: split.part(part) for part in PARTS}))
    if split.leaking_groups:
        message(
            f"{len(split.leaking_groups)} groups have tiles in more than one part of the split: neighbouring tiles "
            "leak, and the validation figures will flatter"
        )
    train_statistics = [statistics[name] for name in split.train]
    check_trainable(dataset, train_statistics)
    network = _build_network(settings, dataset)  # before the folder is made, so that a wrong option leaves none
    n_processes = fabric.world_size
    settings = settle_choices(
        settings, dataset, train_statistics, network=network, device=fabric.device, n_processes=n_processes,
        message=message,
    )  # fmt: skip
    settings = fabric.broadcast(settings)  # the first process's, where another has less memory
    settings = settle_reference(settings, dataset, split, progress=progress)
    say_advice(settings, dataset, train_statistics, network=network, n_processes=n_processes, message=message)
    explain_windows(settings, size_divisor=network.size_divisor, message=message)
    unused = unused_names(network, settings.optimizer)
    if unused:
        message(f"optimizer.by_name: {', '.join(unused)} decides over no parameter of this network")
    report = _load_weights(network, settings, progress=progress, message=message)
    if report is not None:
        settings = as_trained(settings, report, message=message)
    with progress("hashing tiles", unit="tile") as bar:
        hashes = hash_tiles(dataset, progress=bar)

    def write_folder() -> None:
        run = create_run(folder)
        write_settings(run, settings)
        write_split(run.split, split)
        write_dataset_record(run.dataset, dataset, hashes)
        if report is not None:
            write_json(run.weights, asdict(report))
        manifest = describe_run(dataset, hashes, settings=settings, fabric=fabric, precision=precision)
        write_json(run.manifest, {**manifest, "split_sha256": sha256_of(run.split)})

    folder = Path(fabric.broadcast(str(out)))  # the first process's, where each has made a name of its own
    on_first_process(fabric, write_folder)
    return _run(
        fabric, RunFolder(folder), network=network, statistics=train_statistics, precision=precision, resume=False,
        progress=progress, message=message,
    )  # fmt: skip


def resume_training(
    run: str | os.PathLike[str],
    *,
    hardware: Hardware | None = None,
    progress: ProgressBars = no_progress,
    message: OnMessage = no_message,
) -> TrainResult:
    """Go on with a run that was interrupted or killed; it ends as if it had not been.

    Raises
    ------
    MissingInputError
        If `run` is no run folder.
    InvalidInputError
        If the tiles are no longer the ones the run was started on.
    """
    folder = open_run(run)
    hardware = hardware or Hardware()
    if hardware.precision == "auto":  # what the run began with, so that it ends with the same weights
        manifest = read_json(folder.manifest, what="manifest")
        hardware = replace(hardware, precision=manifest["machine"]["precision"])
    fabric, precision = launch(hardware, read_settings(folder))
    dataset, recorded = read_dataset_record(folder.dataset)
    with progress("checking tiles", unit="tile") as bar:
        check_unchanged(dataset, recorded, hash_tiles(dataset, progress=bar))
    settings = read_settings(folder)
    network = _build_network(settings, dataset)
    if not folder.checkpoint_steps():
        _load_weights(network, settings, progress=progress, message=message)
    elif settings.model.freeze == "backbone":
        network.freeze_backbone()
    train_part = replace(dataset, samples=dataset.select(read_split(folder.split).train))
    return _run(
        fabric, folder, network=network, statistics=scan_masks(train_part), precision=precision, resume=True,
        progress=progress, message=message,
    )  # fmt: skip


def repeat_training(
    like: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    hardware: Hardware | None = None,
    progress: ProgressBars = no_progress,
    message: OnMessage = no_message,
) -> TrainResult:
    """Train again with the settings, the data and the split of the run `like`, into a new folder."""
    folder = open_run(like)
    dataset, recorded = read_dataset_record(folder.dataset)
    with progress("checking tiles", unit="tile") as bar:
        check_unchanged(dataset, recorded, hash_tiles(dataset, progress=bar))
    return train_model(
        dataset,
        read_settings(folder),
        out=out,
        split=read_split(folder.split),
        hardware=hardware,
        progress=progress,
        message=message,
    )


def _build_network(settings: Settings, dataset: Dataset) -> Segmentor:
    torch.manual_seed(settings.run.seed)
    return build_model(settings.model.architecture, n_classes=len(dataset.classes), **settings.model.options)


def _load_weights(
    network: Segmentor, settings: Settings, *, progress: ProgressBars, message: OnMessage
) -> LoadReport | None:
    """Fill the network with the weights that the settings name, if any, and say which entries fitted."""
    if settings.model.weights is None:
        return None
    with progress("fetching weights", unit="byte") as bar:
        report = load_starting_weights(network, settings.model.weights, progress=bar)
    for line in report.lines():
        message(line)
    if settings.model.freeze == "backbone":
        freeze_backbone(network, report)
    return report


def _run(
    fabric: Fabric,
    run: RunFolder,
    *,
    network: Segmentor,
    statistics: Sequence[TileStatistics],
    precision: str,
    resume: bool,
    progress: ProgressBars,
    message: OnMessage,
) -> TrainResult:
    settings, split = read_settings(run), read_split(run.split)
    dataset, hashes = read_dataset_record(run.dataset)
    manifest = read_json(run.manifest, what="manifest")
    seen = read_json(run.weights, what="record of the weights").get("seen", ()) if run.weights.is_file() else ()
    card = describe_model(dataset, settings, split, hashes=hashes, manifest=manifest, seen=seen)
    memory_bytes = int(settings.run.cache_share * free_memory_bytes() / fabric.world_size)  # each process has its own
    windows = _windows(
        dataset, settings, split, card=card, statistics=statistics, memory_bytes=memory_bytes, progress=progress,
        message=message,
    )  # fmt: skip
    validation = TileStore(dataset, dataset.select(split.val), scaling=None, memory_bytes=memory_bytes // 2)
    job = TrainJob(
        run=run,
        settings=settings,
        network=network,
        card=card,
        windows=windows,
        validation=validation,
        workers=_workers(settings.run.workers),
        precision=precision,
    )
    started_s = time.monotonic()
    with progress("training", unit="step") as bar:
        outcome = execute(fabric, job, resume=resume, progress=bar, message=message)
    if fabric.is_global_zero:
        save_training_curves(run.curves, _curve_rows(run), kept_step=best_validation(run).get("step"))
        ending = {
            "finished": outcome.finished,
            "last_step": outcome.step,
            "ended_at": now(),
            "seconds_of_last_session": round(time.monotonic() - started_s, 1),
        }
        write_json(run.manifest, {**manifest, **ending})
    fabric.barrier()
    return TrainResult(run=run.path, step=outcome.step, finished=outcome.finished, validation=best_validation(run))


def _windows(
    dataset: Dataset,
    settings: Settings,
    split: Split,
    *,
    card: ModelCard,
    statistics: Sequence[TileStatistics],
    memory_bytes: int,
    progress: ProgressBars,
    message: OnMessage,
) -> WindowDataset:
    samples = dataset.select(split.train)
    stores_working_size = settings.crop.method == "centered"
    normaliser = None
    if card.stain is not None:
        normaliser = TileNormaliser(dataset=dataset, reference=card.stain, scaling=card.scaling)
    with progress("decoding tiles", unit="tile") as bar:
        store = TileStore(
            dataset,
            samples,
            scaling=card.scaling if stores_working_size else None,
            memory_bytes=memory_bytes,
            normaliser=normaliser,
            progress=bar,
        )
    if not store.in_memory:
        message(
            f"the {len(samples)} training tiles would fill {store.n_bytes() / 2**30:.1f} GB decoded, more than "
            "run.cache_share of the free memory allows: they are decoded as they are used"
        )
    return WindowDataset(
        store,
        foreground=[item.foreground_pixels > 0 for item in statistics],
        n_objects=[len(item.objects) for item in statistics],
        crop=settings.crop,
        augment=settings.augment,
        mean=card.mean,
        std=card.std,
        seed=settings.run.seed,
        fit_px=settings.scaling.fit_px,
    )


def _workers(requested: int | None) -> int:
    if requested is not None:
        return requested
    if sys.platform != "linux":
        return 0  # elsewhere processes are spawned and would each copy the decoded tiles
    return max(1, min(4, (os.cpu_count() or 1) - 1))


def _curve_rows(run: RunFolder) -> list[dict[str, Any]]:
    """Return the rows of the metrics file with the IoU of each class as a figure of its own."""
    rows = []
    for row in read_metrics(run):
        iou = {f"IoU {name}": value for name, value in row.get("iou", {}).items() if name != "background"}
        rows.append({key: row[key] for key in ("step", "loss", "lr") if key in row} | iou)
    return rows


def best_validation(run: RunFolder) -> dict[str, Any]:
    """Return the figures of the step whose model was kept; empty without a validation part."""
    rows = [row for row in read_metrics(run) if row.get("event") == "val"]
    return max(rows, key=lambda row: float(row["score"]), default={})
