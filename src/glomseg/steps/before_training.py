"""What a training settles and says before it begins, from its tiles and its starting weights."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from glomseg.box import BOX, box_model
from glomseg.config import AUTO, ModelSettings, Settings
from glomseg.data.advice import advise
from glomseg.data.choices import N_CLASSES_OF_BOX, Room, settle
from glomseg.data.normalisation import reference_look
from glomseg.data.statistics import TileStatistics
from glomseg.devices import free_device_bytes
from glomseg.errors import InvalidInputError
from glomseg.files import json_text
from glomseg.models.build import resolved_options
from glomseg.models.model_files import read_card
from glomseg.models.pretrained.hub import PREFIX
from glomseg.models.profile import training_bytes
from glomseg.models.segmentor import Segmentor
from glomseg.models.starting_weights import LoadReport
from glomseg.progress import OnMessage, ProgressBars
from glomseg.types import Dataset, Split

_STEP_SHARE = 0.5
"""Of the free memory, for a step: operations need more while they work, and the decoded tiles want theirs."""


def settle_choices(
    settings: Settings,
    dataset: Dataset,
    statistics: Sequence[TileStatistics],
    *,
    network: Segmentor,
    device: torch.device,
    n_processes: int = 1,
    n_tiles: int | None = None,
    message: OnMessage,
) -> Settings:
    """Return the settings with numbers where the recipe leaves them to the data, after saying why these.

    Parameters
    ----------
    settings
        Of the training.
    dataset
        What is trained on.
    statistics
        Of the tiles to choose by.
    network
        Of `settings`, as it was built.
    device
        To train on.
    n_processes
        That share a batch, each with a GPU or its part of the machine's memory.
    n_tiles
        How many tiles are trained on; None is as many as there are statistics.
    message
        Told a sentence on each choice.

    Raises
    ------
    InvalidInputError
        If there are not as many class weights as classes, or what is to be frozen has nothing to start from.
    """
    weights = settings.loss.class_weights
    if weights is not None and len(weights) != len(dataset.classes):
        raise InvalidInputError(
            f"loss.class_weights has {len(weights)} values but the data have {len(dataset.classes)} classes "
            f"({', '.join(dataset.classes.names)})"
        )

    def step_bytes(height: int, width: int, n_windows: int) -> int:
        return training_bytes(network, height=height, width=width, batch_size=n_windows)

    if settings.model.weights == AUTO:
        start, reason = choose_weights(settings.model, n_classes=len(dataset.classes))
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"weights": start})})
        if start is None and settings.model.freeze != "none":
            raise InvalidInputError(
                f"model.freeze = {settings.model.freeze} needs weights to start from, and {reason}: name some with "
                "--weights"
            )
        message(f"model.weights={start or 'none'}: {reason}")
    free_bytes = free_device_bytes(device) if device.type == "cuda" else free_device_bytes(device) / n_processes
    room = Room(
        size_divisor=network.size_divisor,
        step_bytes=step_bytes,
        memory_bytes=int(_STEP_SHARE * free_bytes),
        n_processes=n_processes,
    )
    n_tiles = len(statistics) if n_tiles is None else n_tiles
    n_classes = len(dataset.classes)
    settled, reasons = settle(settings, statistics, mpp=dataset.mpp, n_tiles=n_tiles, n_classes=n_classes, room=room)
    for reason in reasons:
        message(reason)
    return settled


def choose_weights(model: ModelSettings, *, n_classes: int) -> tuple[str | None, str]:
    """Return what a network starts from where that is left open, and the reason: the model in the box if it fits."""
    card = read_card(box_model())
    if model.architecture == card.architecture and _options_of(model) == card.options:
        known = "knows glomeruli already"
        if n_classes != N_CLASSES_OF_BOX:
            known = f"knows kidney tissue already; its classifier is new, for {n_classes} classes"
        return BOX, f"it has this network and {known}; none would start from random numbers"
    return None, f"the model in the box is a {card.architecture} as it is by default, and this network is another"


def _options_of(model: ModelSettings) -> dict[str, Any]:
    """Return all options of a network as a model card has them, those that are left at their defaults too."""
    options: dict[str, Any] = json.loads(json_text(resolved_options(model.architecture, model.options)))
    return options


def say_advice(
    settings: Settings,
    dataset: Dataset,
    statistics: Sequence[TileStatistics],
    *,
    network: Segmentor,
    n_processes: int,
    message: OnMessage,
) -> None:
    """Say what the masks tell about the training that is about to begin, and what memory a step of it will take.

    `statistics` are those of the training tiles; the scaling in `settings` is settled.
    """
    scaling = settings.scaling.scaling(factor=settings.scaling.factor or 1.0)
    if scaling.fit_px is None and scaling.mpp is not None and dataset.mpp is not None:
        ratio = dataset.mpp / scaling.mpp
        message(f"working at {scaling.mpp:g} um per pixel: tiles are used at {ratio:.3g} of their size")
    advice = advise(statistics, settings, scaling=scaling, mpp=dataset.mpp)
    for fact in advice.facts:
        message(fact)
    height, width = settings.crop.input_px
    batch_size = settings.run.rhythm().batch_size // n_processes
    n_bytes = training_bytes(network, height=height, width=width, batch_size=batch_size)
    message(f"a step holds about {n_bytes / 2**30:.2g} GB for the network, in fp32; the decoded tiles come on top")
    for warning in advice.warnings:
        message(f"warning: {warning}")


def settle_reference(settings: Settings, dataset: Dataset, split: Split, *, progress: ProgressBars) -> Settings:
    """Return the settings with the look that stains are brought to, where the recipe wants one and names none.

    Raises
    ------
    InvalidInputError
        If no training tile shows stains.
    """
    colors = settings.colors
    if colors.normalise == "none" or colors.reference is not None:
        return settings
    with progress("looking at stains", unit="tile") as bar:
        look = reference_look(
            dataset,
            dataset.select(split.train),
            method=colors.normalise,
            scaling=settings.scaling.scaling(factor=settings.scaling.factor or 1.0),
            progress=bar,
        )
    return settings.model_copy(update={"colors": colors.model_copy(update={"reference": look})})


def as_trained(settings: Settings, report: LoadReport, *, message: OnMessage) -> Settings:
    """Return the settings with the colours that the starting weights know, and the very revision that was fetched.

    Parameters
    ----------
    settings
        Colours that are set there are kept.
    report
        What `load_starting_weights` said.
    message
        Told where the colours change, and where they are others than those of the weights.
    """
    if report.source.startswith(PREFIX):
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"weights": report.source})})
    if report.colors is None:
        if report.renamed_from:
            message("nothing says with which mean and std the weights were trained: those of the settings are used")
        return settings
    mean, std = report.colors
    if np.allclose((settings.colors.mean, settings.colors.std), report.colors, rtol=0, atol=1e-3):
        return settings
    trained = f"mean {list(mean)} and std {list(std)}"
    if settings.colors.model_fields_set & {"mean", "std"}:
        message(f"the weights were trained with {trained}; colors.mean and colors.std say otherwise and are kept")
        return settings
    message(f"colours: {trained}, with which the weights were trained")
    return settings.model_copy(update={"colors": settings.colors.model_copy(update={"mean": mean, "std": std})})


def explain_windows(settings: Settings, *, size_divisor: int, message: OnMessage) -> None:
    """Say so where a network that pads images to multiples of `size_divisor` pixels is trained on other windows."""
    uneven = next((side for side in settings.crop.input_px if side % size_divisor), None)
    if uneven is not None:
        even = max(uneven // size_divisor, 1) * size_divisor
        message(
            f"windows of {uneven} pixels are no multiple of the {size_divisor} that this network pads images to for "
            f"prediction, so it learns them a little stretched: --set crop.size_px={even}"
        )
