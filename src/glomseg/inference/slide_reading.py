"""Reading a slide ahead of those who need its pixels, by several threads and in a fixed order."""

import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from glomseg.inference.slide_grid import ReadTile
from glomseg.inference.stage_times import StageTimes
from glomseg.slides.slide import Slide
from glomseg.types import Region

_AHEAD_BYTES = 64 * 2**20

Pixels = NDArray[np.uint8]


def read_ahead(
    slide: Slide, tiles: Iterable[ReadTile], *, downsample: float, tile_px: int, n_threads: int, times: StageTimes
) -> Generator[Pixels, None, None]:
    """Yield the (h, w, 3) uint8 RGB pixels of each tile in order, while threads read those that come next.

    Decoders let other threads run, so reading goes on while a network computes. Closing the iterator waits for
    the tiles being read and forgets the others.

    Parameters
    ----------
    slide
        Read by several threads at once.
    tiles
        In working pixels.
    downsample
        Pixels of full resolution per working pixel.
    tile_px
        The largest side of a tile: it decides how many are held ready.
    n_threads
        At least 1.
    times
        "read" gets the seconds of all threads together, "wait" those in which the caller had to wait.
    """
    n_ahead = max(2 * n_threads, _AHEAD_BYTES // (3 * tile_px * tile_px))
    waiting: deque[Future[tuple[Pixels, float]]] = deque()
    executor = ThreadPoolExecutor(n_threads, thread_name_prefix="slide-reader")
    try:
        for tile in tiles:
            waiting.append(executor.submit(_read, slide, tile, downsample))
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


def _read(slide: Slide, tile: ReadTile, downsample: float) -> tuple[Pixels, float]:
    start = time.perf_counter()
    region = Region(
        x=tile.left * downsample,
        y=tile.top * downsample,
        width=(tile.right - tile.left) * downsample,
        height=(tile.bottom - tile.top) * downsample,
    )
    pixels = slide.read(region, downsample=downsample)
    return pixels, time.perf_counter() - start
