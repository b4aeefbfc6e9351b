"""What the training data themselves say about how to train on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glomseg.config import Settings
from glomseg.data.choices import working_diameters
from glomseg.data.findings import counted
from glomseg.data.statistics import TileStatistics
from glomseg.errors import InvalidInputError
from glomseg.types import Dataset, Scaling

LEAST_DIAMETER_PX = 20
"""A smaller object has few pixels left at the strides of 4 and 8 at which most networks decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is to be known before a training begins, in sentences.

    Attributes
    ----------
    facts
        How large the objects are, how many tiles show none, how often each tile is seen.
    warnings
        What will probably go wrong, with what mends it.
    """

    facts: tuple[str, ...]
    warnings: tuple[str, ...]


def advise(statistics: Sequence[TileStatistics], settings: Settings, *, scaling: Scaling, mpp: float | None) -> Advice:
    """Return what the masks of the training tiles say about a training with these settings.

    Parameters
    ----------
    statistics
        Of the training tiles, from `scan_masks`.
    settings
        Of the training.
    scaling
        How tiles reach the working size, all of it settled.
    mpp
        Micrometres per pixel of the tiles, where known.
    """
    facts, warnings = [], []
    window = settings.crop.window_px
    ratios = [scaling.ratio(height=item.height, width=item.width, mpp=mpp) for item in statistics]
    diameters = working_diameters(statistics, ratios)
    if len(diameters):
        low, median, high = np.percentile(diameters, (10, 50, 90))
        facts.append(
            f"at the working size an object is {median:.0f} px wide in the median ({low:.0f} to {high:.0f} px for "
            f"eight in ten of {counted(len(diameters), 'object')}), a window {window[1]} x {window[0]} px"
        )
        if median < LEAST_DIAMETER_PX:
            warnings.append(
                f"objects are only {median:.0f} px wide at the working size, and networks hardly see less than "
                f"{LEAST_DIAMETER_PX} px: work at a finer scale (--set scaling.mpp=..., or scaling.factor or "
                "scaling.fit_px), or check --mpp"
            )
        if median > min(window):
            warnings.append(
                f"objects are {median:.0f} px wide at the working size, wider than a window of {window[1]} x "
                f"{window[0]} px, so that none shows a whole one: enlarge crop.size_px, work at a coarser scale "
                "(--set scaling.mpp=...), or check --mpp"
            )
    rhythm = settings.run.rhythm()
    n_tiles, n_windows = len(statistics), rhythm.steps * rhythm.batch_size
    n_empty = sum(item.foreground_pixels == 0 for item in statistics)
    facts.append(f"{n_empty} of {counted(n_tiles, 'training tile')} ({n_empty / n_tiles:.0%}) show no foreground")
    facts.append(
        f"a pass over all tiles takes {counted(-(-n_tiles // rhythm.batch_size), 'step')} of "
        f"{rhythm.batch_size} windows; {rhythm.steps} steps are {n_windows / n_tiles:.3g} windows a tile"
    )
    if n_tiles > rhythm.steps:
        warnings.append(
            f"there are more training tiles ({n_tiles}) than steps ({rhythm.steps}): each is seen in "
            f"{n_windows / n_tiles:.2g} small windows; train longer (--set run.steps=...)"
        )
    return Advice(facts=tuple(facts), warnings=tuple(warnings))


def check_trainable(dataset: Dataset, statistics: Sequence[TileStatistics]) -> None:
    """Raise InvalidInputError if there is nothing to learn from in the training tiles."""
    if not statistics:
        raise InvalidInputError(f"the training part of {str(dataset.root)!r} has no tiles")
    if not any(item.foreground_pixels for item in statistics):
        raise InvalidInputError(
            f"none of the {len(statistics)} training masks of {str(dataset.root)!r} has a pixel of "
            f"{', '.join(dataset.classes.names[1:])}: there is nothing to learn. "
            f"`glomseg inspect {dataset.root}` shows what the masks hold"
        )
