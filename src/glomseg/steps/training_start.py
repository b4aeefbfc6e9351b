"""What starting weights and the network ask of the settings of a training."""

import numpy as np

from glomseg.config import ColorSettings, Settings
from glomseg.models.pretrained.hub import PREFIX
from glomseg.models.starting_weights import LoadReport
from glomseg.progress import OnMessage


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
    if settings.colors.model_fields_set:
        message(f"the weights were trained with {trained}; colors.mean and colors.std say otherwise and are kept")
        return settings
    message(f"colours: {trained}, with which the weights were trained")
    return settings.model_copy(update={"colors": ColorSettings(mean=mean, std=std)})


def explain_windows(settings: Settings, *, size_divisor: int, message: OnMessage) -> None:
    """Say so where a network that pads images to multiples of `size_divisor` pixels is trained on other windows."""
    size = settings.crop.size_px
    sides = (size, size) if isinstance(size, int) else size
    if settings.crop.padded_px is not None:
        sides = (max(sides[0], settings.crop.padded_px[0]), max(sides[1], settings.crop.padded_px[1]))
    uneven = next((side for side in sides if side % size_divisor), None)
    if uneven is not None:
        even = max(uneven // size_divisor, 1) * size_divisor
        message(
            f"windows of {uneven} pixels are no multiple of the {size_divisor} that this network pads images to for "
            f"prediction, so it learns them a little stretched: --set crop.size_px={even}"
        )
