"""From a whole slide to the class of every pixel at the size that a model works at."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glomseg.errors import InvalidInputError
from glomseg.inference.flipping import mean_over_flips
from glomseg.inference.predictor import Predictor, is_out_of_memory
from glomseg.inference.slide_bands import BandBlender
from glomseg.inference.slide_grid import ReadTile, SlideGrid, Span, tiles_of_band, tiles_up_to_band
from glomseg.inference.slide_reading import read_ahead
from glomseg.inference.slide_store import SlideStore
from glomseg.inference.stage_times import StageTimes
from glomseg.progress import Progress
from glomseg.slides.slide import Slide
from glomseg.stain import Look

Pixels = NDArray[np.uint8]

TILE_PX = 512
"""Side, in working pixels, of what is read at once."""


def predict_slide(
    predictor: Predictor,
    slide: Slide,
    *,
    grid: SlideGrid,
    store: SlideStore,
    batch_size: int,
    look: Look | None = None,
    tile_px: int = TILE_PX,
    n_threads: int = 2,
    times: StageTimes | None = None,
    progress: Progress | None = None,
) -> None:
    """Fill a store with the class and the foreground probability of every working pixel of a slide.

    Threads read ahead while the network computes. Probabilities of overlapping windows are blended in float32
    for one row of windows at a time, so memory does not grow with the slide's height. What is finished is saved
    after every such row, and a store that holds finished rows is gone on with: the bytes are the same.

    The result does not depend on `batch_size`, `tile_px` and `n_threads`, but for the rounding of float numbers.

    Parameters
    ----------
    predictor
        The model.
    slide
        May be read by several threads at once.
    grid
        The windows, from `slide_grid`.
    store
        From `open_store`.
    batch_size
        Windows that the network sees at once.
    look
        Of the slide's stains, for a model that brings stains to a reference; None takes them to be the reference's.
        It is never judged by a window, which may lack a stain.
    tile_px
        The largest side of what is read at once, in working pixels.
    n_threads
        Threads that read.
    times
        Gets the seconds of the stages read (of all threads together), wait, prepare, model, blend and save.
    progress
        Is told of the windows predicted.

    Raises
    ------
    InvalidInputError
        If the slide is damaged, a batch does not fit into the device's memory, or the network's numbers overflow.
    OutputError
        If the disk is full.
    """
    times = times or StageTimes()
    look = look or predictor.card.stain
    first = store.n_bands_done
    bands = range(first, len(grid.rows))
    plan = {band: (tiles_up_to_band if band == first else tiles_of_band)(grid, band, tile_px=tile_px) for band in bands}
    card = predictor.card
    blender = BandBlender(
        grid,
        n_classes=len(card.classes),
        threshold=card.inference.threshold,
        temperature=card.inference.temperature,
        device=predictor.device,
    )
    if store.carry is not None:
        blender.restore(store.carry)
    strip = _Strip(grid)
    tiles = chain.from_iterable(plan.values())
    done, total = int(grid.chosen[:first].sum()), int(grid.chosen.sum())
    with (
        closing(
            read_ahead(slide, tiles, downsample=grid.downsample, tile_px=tile_px, n_threads=n_threads, times=times)
        ) as pixels,
        _explained(predictor, grid, batch_size=batch_size),
        torch.inference_mode(),
    ):
        for band in bands:
            strip.begin(band)
            for windows in _batches(strip, grid.windows(band), plan[band], pixels, batch_size=batch_size):
                _predict(predictor, blender, windows, look=look, times=times)
                done += len(windows)
                if progress is not None:
                    progress(done, total)
            _finish(blender, band, store=store, times=times)


def window_probabilities(predictor: Predictor, batch: Tensor) -> Tensor:
    """Return the (B, C, h, w) float32 probabilities of prepared windows (B, 3, h, w), at their own size.

    With test-time augmentation they are the mean over its flips, of an ensemble that over its networks.
    """
    size = (batch.shape[-2], batch.shape[-1])

    def probabilities(view: Tensor) -> Tensor:
        return predictor.view_probabilities(view, image_size=size)

    if predictor.tta is None:
        return probabilities(batch)
    return mean_over_flips(batch, predictor.tta.flips, predict=probabilities)


@contextmanager
def _explained(predictor: Predictor, grid: SlideGrid, *, batch_size: int) -> Iterator[None]:
    """Say of numbers that overflow and of memory that does not suffice what mends it."""
    try:
        yield
    except FloatingPointError as error:
        is_exact = predictor.precision == "32-true"
        mend = "the model is damaged: train it again" if is_exact else "use --precision 32-true"
        raise InvalidInputError(f"{error} in {predictor.precision}; {mend}") from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        height, width = grid.window_px
        raise InvalidInputError(
            f"{batch_size} windows of {width}x{height} pixels at once do not fit into the memory of "
            f"{str(predictor.device)!r}: use a smaller --batch-size, or another --device"
        ) from error


class _Strip:
    """The pixels of one band of a slide, and of what later bands share with it."""

    def __init__(self, grid: SlideGrid) -> None:
        self.grid = grid
        self.pixels = np.zeros((grid.window_px[0], grid.width, 3), np.uint8)
        self.top: int | None = None

    def begin(self, band: int) -> None:
        """Move up by the rows that the band leaves behind."""
        top = self.grid.rows[band][0]
        if self.top is not None and (shift := top - self.top) < len(self.pixels):
            self.pixels[: len(self.pixels) - shift] = self.pixels[shift:].copy()
        self.top = top

    def put(self, tile: ReadTile, pixels: Pixels) -> None:
        """Take in what was read, but for rows above the band."""
        assert self.top is not None
        above = max(0, self.top - tile.top)
        place = slice(tile.top + above - self.top, tile.bottom - self.top)
        self.pixels[place, tile.left : tile.right] = pixels[above:]


def _batches(
    strip: _Strip, windows: Sequence[Span], tiles: Sequence[ReadTile], pixels: Iterator[Pixels], *, batch_size: int
) -> Iterator[list[tuple[int, Pixels]]]:
    """Yield (left, pixels) of the windows of a band, so many at once, as soon as what they need was read.

    A batch never holds windows of two bands: an interrupted prediction goes on with the same batches.
    """
    remaining = deque(tiles)
    batch: list[tuple[int, Pixels]] = []
    for left, right in windows:
        while remaining and remaining[0].left < right:
            strip.put(remaining.popleft(), next(pixels))
        batch.append((left, strip.pixels[:, left:right]))
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch
    while remaining:
        strip.put(remaining.popleft(), next(pixels))


def _predict(
    predictor: Predictor,
    blender: BandBlender,
    windows: list[tuple[int, Pixels]],
    *,
    look: Look | None,
    times: StageTimes,
) -> None:
    with times.stage("prepare"):
        batch = predictor.prepare([predictor.restained(pixels, look=look) for _, pixels in windows])
    with times.stage("model"):
        probabilities = window_probabilities(predictor, batch)
    with times.stage("blend"):
        blender.add(probabilities, [left for left, _ in windows])


def _finish(blender: BandBlender, band: int, *, store: SlideStore, times: StageTimes) -> None:
    with times.stage("blend"):
        finished = blender.finish(band)
        carry = blender.carry()
    if finished is None:
        return
    with times.stage("save"):
        top = blender.grid.rows[band][0]
        store.save_band(band, top=top, mask=finished[0], foreground=finished[1], carry=carry)
