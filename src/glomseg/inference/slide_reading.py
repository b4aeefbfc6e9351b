"""Reading a slide ahead of those who need its pixels, by several threads and in a fixed order."""

import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from glomseg.inference.slide_grid import Cell
from glomseg.inference.stage_times import StageTimes
from glomseg.slides.slide import Slide
from glomseg.types import Region

_AHEAD_BYTES = 64 * 2**20

Pixels = NDArray[np.uint8]


def read_ahead(
    slide: Slide, cells: Iterable[Cell], *, downsample: float, tile_px: int, n_threads: int, times: StageTimes
) -> Generator[Pixels, None, None]:
    """Yield the (h, w, 3) uint8 RGB pixels of each cell in order, while threads read those that come next.

    Decoders let other threads run, so reading goes on while a network computes. Closing the iterator waits for
    the cells being read and forgets the others.

    Parameters
    ----------
    slide
        Read by several threads at once.
    cells
        In working pixels.
    downsample
        Pixels of full resolution per working pixel.
    tile_px
        The largest side of a cell: it decides how many are held ready.
    n_threads
        At least 1.
    times
        "read" gets the seconds of all threads together, "wait" those in which the caller had to wait.
    """
    n_ahead = max(2 * n_threads, _AHEAD_BYTES // (3 * tile_px * tile_px))
    waiting: deque[Future[tuple[Pixels, float]]] = deque()
    executor = ThreadPoolExecutor(n_threads, thread_name_prefix="slide-reader")
    try:
        for cell in cells:
            waiting.append(executor.submit(_read, slide, cell, downsample))
            if len(waiting) > n_ahead:
                yield _received(waiting.popleft(), times)
        while waiting:
            yield _received(waiting.popleft(), times)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _received(future: Future[tuple[Pixels, float]], times: StageTimes) -> Pixels:
    with times.stage("wait"):
        pixels, seconds = future.result()
    times.add("read", seconds)
    return pixels


def _read(slide: Slide, cell: Cell, downsample: float) -> tuple[Pixels, float]:
    start = time.perf_counter()
    region = Region(
        x=cell.left * downsample,
        y=cell.top * downsample,
        width=(cell.right - cell.left) * downsample,
        height=(cell.bottom - cell.top) * downsample,
    )
    pixels = slide.read(region, downsample=downsample)
    return pixels, time.perf_counter() - start
