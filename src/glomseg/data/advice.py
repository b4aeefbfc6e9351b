"""What the training data themselves say about how to train on them."""

from collections.abc import Sequence

import numpy as np

from glomseg.data.statistics import TileStatistics
from glomseg.data.tiles import read_tile_mask
from glomseg.errors import InvalidInputError
from glomseg.measure import connected_components
from glomseg.types import Dataset

TARGET_DIAMETER_PX = 90
"""Working size of a typical object: a glomerulus of 180 um at 2 um per pixel."""

_MAX_TILES = 64


def choose_factor(dataset: Dataset, statistics: Sequence[TileStatistics], *, seed: int) -> tuple[float, str]:
    """Return working pixels per tile pixel for tiles of unknown mpp, and the reason in words.

    The median diameter of the objects, measured on at most 64 tiles with foreground, is brought to
    90 pixels; tiles are never enlarged.
    """
    names = [item.name for item in statistics if item.foreground_pixels > 0]
    rng = np.random.default_rng(seed)
    chosen = [names[i] for i in rng.permutation(len(names))[:_MAX_TILES]]
    diameters = []
    for sample in dataset.select(chosen):
        components = connected_components(read_tile_mask(dataset, sample), n_classes=len(dataset.classes))
        whole = [item for item in components if not item.touches_border] or components
        diameters += [2 * float(np.sqrt(item.area_px / np.pi)) for item in whole]
    median = float(np.median(diameters))
    factor = min(1.0, TARGET_DIAMETER_PX / median)
    return factor, (
        f"objects have a median diameter of {median:.0f} px, so tiles are used at {factor:.3g} of their size "
        f"(about {median * factor:.0f} px an object); give --mpp to work at a physical scale instead"
    )


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
