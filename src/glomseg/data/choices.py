"""What a recipe leaves to the data: scale, window, batch and length of a training, each with its reason in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glomseg.box import BOX
from glomseg.config import AUTO, CropSettings, ScalingSettings, Settings
from glomseg.data.findings import counted
from glomseg.data.statistics import TileStatistics

TARGET_DIAMETER_PX = 90
"""Working size of a typical object: a glomerulus of 180 um at 2 um per pixel."""

GLOMERULUS_UM = (100.0, 300.0)
"""Median diameters that are those of glomeruli, so that models of many data sets share a scale."""

GLOMERULUS_MPP = 2.0

WINDOW_DIAMETERS = 1.78
"""Side of a window in median objects: 160 px for objects of 90 px."""

WINDOW_STEP_PX = 32
LEAST_WINDOW_PX = 96

BATCH_SIZE = 8
LEAST_BATCH_SIZE = 2

LEAST_STEPS = 1800
"""What a small network needs from random numbers, however few the tiles."""

LEAST_STEPS_FROM_BOX = 300
"""What the recipe was measured with where the model in the box goes on learning the same."""

N_CLASSES_OF_BOX = 2
"""With other classes its classifier is drawn anew, and learns from nothing."""

MOST_STEPS = 20_000
WINDOWS_PER_TILE = 16
"""Windows that every training tile is seen in, on average, where `MOST_STEPS` allows it."""

N_VALIDATIONS = 12
LEAST_VAL_EVERY = 150

_MAX_TILES = 64
_STEPS_OF_MPP = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the network asks of windows, and what memory it may fill with them.

    Attributes
    ----------
    size_divisor
        The network pads images to multiples of this.
    step_bytes
        From height, width and number of windows to what a training step holds.
    memory_bytes
        What a step of one process may hold.
    n_processes
        That share a batch evenly.
    """

    size_divisor: int
    step_bytes: Callable[[int, int, int], int]
    memory_bytes: int
    n_processes: int = 1

    def holds(self, crop: CropSettings, n_windows: int) -> bool:
        """Return whether one process can train on this many windows at once."""
        return self.step_bytes(*crop.input_px, n_windows) <= self.memory_bytes


def settle(
    settings: Settings,
    statistics: Sequence[TileStatistics],
    *,
    mpp: float | None,
    n_tiles: int,
    n_classes: int,
    room: Room,
) -> tuple[Settings, tuple[str, ...]]:
    """Return settings without "auto" and with a factor, and a sentence on each value that was chosen.

    Parameters
    ----------
    settings
        Values that they give are kept.
    statistics
        Of the tiles to choose by, from `glomseg.data.statistics.scan_masks`; one of them has foreground.
    mpp
        Micrometres per pixel of the tiles, where known.
    n_tiles
        How many will be trained on.
    n_classes
        Of the data set, with the background.
    room
        Of the network on this machine.
    """
    scaling, reasons = _settle_scaling(settings.scaling, statistics, mpp=mpp, seed=settings.run.seed)
    crop, run = settings.crop, settings.run
    batch_size, val_every, steps = run.batch_size, run.val_every, run.steps
    if crop.size_px == AUTO:
        n_windows = LEAST_BATCH_SIZE if batch_size == AUTO else -(-batch_size // room.n_processes)
        size_px, reason = choose_window_px(statistics, crop, scaling=scaling, mpp=mpp, room=room, n_windows=n_windows)
        crop = crop.model_copy(update={"size_px": size_px})
        reasons.append(f"crop.size_px={size_px}: {reason}")
    if batch_size == AUTO:
        batch_size, reason = choose_batch_size(crop, room=room)
        reasons.append(f"run.batch_size={batch_size}: {reason}")
    if steps == AUTO:
        knows_classes = settings.model.weights == BOX and n_classes == N_CLASSES_OF_BOX
        least = LEAST_STEPS_FROM_BOX if knows_classes else LEAST_STEPS
        steps, reason = choose_steps(n_tiles, batch_size=batch_size, least=least)
        reasons.append(f"run.steps={steps}: {reason}")
    if val_every == AUTO:
        val_every = max(LEAST_VAL_EVERY, -(-steps // N_VALIDATIONS))
        reasons.append(f"run.val_every={val_every}: {N_VALIDATIONS} times a run, but not below {LEAST_VAL_EVERY} steps")
    run = run.model_copy(update={"steps": steps, "batch_size": batch_size, "val_every": val_every})
    return settings.model_copy(update={"scaling": scaling, "crop": crop, "run": run}), tuple(reasons)


def _settle_scaling(
    scaling: ScalingSettings, statistics: Sequence[TileStatistics], *, mpp: float | None, seed: int
) -> tuple[ScalingSettings, list[str]]:
    reasons = []
    working, factor = scaling.mpp, scaling.factor
    if mpp is None or (working == AUTO and scaling.fit_px is not None):
        working = None  # a model that learnt on tiles of unknown mpp has no working mpp, only a factor
    elif working == AUTO:
        working, reason = choose_mpp(statistics, tile_mpp=mpp)
        reasons.append(f"scaling.mpp={working:g}: {reason}")
    if scaling.fit_px is None and factor is None:
        if working is not None and mpp is not None:
            factor = mpp / working
        else:
            factor, reason = choose_factor(statistics, seed=seed)
            reasons.append(reason)
    return scaling.model_copy(update={"mpp": working, "factor": factor}), reasons


def choose_mpp(statistics: Sequence[TileStatistics], *, tile_mpp: float) -> tuple[float, str]:
    """Return working micrometres per pixel for tiles of known `tile_mpp`, never fewer than theirs, and the reason.

    2 where the objects are of the size of glomeruli; else what brings their median to about 90 pixels. Objects that a
    tile's border may have cut do not count.
    """
    diameters = [
        piece.diameter_px * tile_mpp for item in statistics for piece in item.objects if not piece.touches_border
    ]
    low, high = GLOMERULUS_UM
    if not diameters:
        wanted, reason = GLOMERULUS_MPP, "no object lies whole in its tile, so they are taken for glomeruli"
    else:
        median = float(np.median(diameters))
        reason = f"objects are {median:.0f} um wide in the median ({counted(len(diameters), 'whole one')})"
        if low <= median <= high:
            wanted = GLOMERULUS_MPP
            reason += f", as glomeruli are ({low:.0f} to {high:.0f} um)"
        else:
            wanted = _rounded_mpp(median / TARGET_DIAMETER_PX)
            reason += (
                f", not {low:.0f} to {high:.0f} um as glomeruli are: at {wanted:g} they have {median / wanted:.0f} px"
            )
    if wanted < tile_mpp:
        return tile_mpp, f"{reason}; tiles have no more pixels than that"
    return wanted, reason


def _rounded_mpp(mpp: float) -> float:
    """Return the nearest number, in ratio, of those that one would choose by hand."""
    decade = 10.0 ** np.floor(np.log10(mpp))
    steps = np.array([*_STEPS_OF_MPP, 10.0]) * decade
    return float(f"{steps[np.abs(np.log(steps / mpp)).argmin()]:g}")


def choose_factor(statistics: Sequence[TileStatistics], *, seed: int) -> tuple[float, str]:
    """Return working pixels per tile pixel for tiles of unknown mpp, and the reason in words.

    The median diameter of the objects, measured on at most 64 tiles with foreground, is brought to
    90 pixels; tiles are never enlarged.
    """
    found = [item for item in statistics if item.objects]
    rng = np.random.default_rng(seed)
    diameters = []
    for item in (found[i] for i in rng.permutation(len(found))[:_MAX_TILES]):
        whole = [piece for piece in item.objects if not piece.touches_border] or item.objects
        diameters += [piece.diameter_px for piece in whole]
    median = float(np.median(diameters))
    factor = min(1.0, TARGET_DIAMETER_PX / median)
    return factor, (
        f"objects have a median diameter of {median:.0f} px, so tiles are used at {factor:.3g} of their size "
        f"(about {median * factor:.0f} px an object); give --mpp to work at a physical scale instead"
    )


def choose_window_px(
    statistics: Sequence[TileStatistics],
    crop: CropSettings,
    *,
    scaling: ScalingSettings,
    mpp: float | None,
    room: Room,
    n_windows: int,
) -> tuple[int, str]:
    """Return the side of a training window in working pixels, and the reason.

    It shows a median object with its surroundings, at least 96 pixels, no more than a tile has and than fit into
    memory `n_windows` at once, and is a multiple of what the network pads images to, or of 32.
    """
    sized = scaling.scaling(factor=scaling.factor or 1.0)
    ratios = [sized.ratio(height=item.height, width=item.width, mpp=mpp) for item in statistics]
    diameters = working_diameters(statistics, ratios)
    step = WINDOW_STEP_PX if WINDOW_STEP_PX % room.size_divisor == 0 else room.size_divisor
    median = float(np.median(diameters))
    side = max(round(WINDOW_DIAMETERS * median / step), -(-LEAST_WINDOW_PX // step)) * step
    reason = f"{side / median:.2g} times the median object of {median:.0f} px"
    if WINDOW_DIAMETERS * median < LEAST_WINDOW_PX - step / 2:
        reason = f"the least that shows surroundings; the median object is {median:.0f} px wide"
    tile = float(
        np.median([min(item.height, item.width) * ratio for item, ratio in zip(statistics, ratios, strict=True)])
    )
    whole_tile = max(1, -(-round(tile) // step)) * step
    if side > whole_tile:
        side, reason = whole_tile, f"a whole tile, {tile:.0f} px at the working size"
    wanted = side
    while side > step and not room.holds(crop.model_copy(update={"size_px": side}), n_windows):
        side -= step
    if side < wanted:
        reason = f"{counted(n_windows, 'window')} of {wanted} px do not fit into {room.memory_bytes / 2**30:.2g} GB"
    return side, reason


def choose_batch_size(crop: CropSettings, *, room: Room) -> tuple[int, str]:
    """Return how many windows a step takes, over all processes, and the reason: 8, or fewer where memory is short."""
    share = wanted = -(-BATCH_SIZE // room.n_processes)
    while share > LEAST_BATCH_SIZE and not room.holds(crop, share):
        share = max(share // 2, LEAST_BATCH_SIZE)
    if share < wanted:
        needed = room.step_bytes(*crop.input_px, wanted)
        return share * room.n_processes, (
            f"{wanted} at once need {needed / 2**30:.2g} GB, and a step may fill {room.memory_bytes / 2**30:.2g} GB"
        )
    processes = "" if room.n_processes == 1 else f" for each of {room.n_processes} processes"
    return share * room.n_processes, f"{counted(share, 'window')}{processes} fit into memory"


def choose_steps(n_tiles: int, *, batch_size: int, least: int = LEAST_STEPS) -> tuple[int, str]:
    """Return the length of a training on `n_tiles` tiles, and the reason.

    At least `least` steps, and windows as for so many steps of 8; more where tiles would be seen in fewer than 16
    windows each, rounded up to hundreds; at most 20,000.
    """
    n_windows = max(least * BATCH_SIZE, WINDOWS_PER_TILE * n_tiles)
    steps = max(least, -(-n_windows // (100 * batch_size)) * 100)
    reason = f"the least for {counted(n_tiles, 'tile')}"
    if WINDOWS_PER_TILE * n_tiles > least * BATCH_SIZE:
        reason = f"{counted(n_tiles, 'tile')} in {WINDOWS_PER_TILE} windows each"
    if steps > MOST_STEPS:
        steps, reason = MOST_STEPS, f"the most; {reason} would take {steps:,}"
    passes = steps * batch_size / n_tiles
    return steps, f"{reason}; {passes:,.0f} passes over them" if passes >= 10 else f"{reason}; {passes:.2g} passes"


def working_diameters(statistics: Sequence[TileStatistics], ratios: Sequence[float]) -> list[float]:
    """Return the diameters of all objects that no border cuts, or of all where there is no such, in working pixels.

    `ratios` are the working pixels per pixel of each tile.
    """
    sizes = [
        (piece.touches_border, piece.diameter_px * ratio)
        for item, ratio in zip(statistics, ratios, strict=True)
        for piece in item.objects
    ]
    return [size for is_cut, size in sizes if not is_cut] or [size for _, size in sizes]
