"""A large part of a slide read at low resolution, strip by strip, by several threads."""

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from glomseg.progress import Progress
from glomseg.slides.slide import Slide
from glomseg.types import Region

_STRIP_PX = 2048  # rows of full resolution that one thread reads at once


def read_in_strips(
    slide: Slide, region: Region, *, downsample: float, n_threads: int = 1, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """Return what ``slide.read(region, downsample=downsample)`` does, sooner where there are several processors.

    A slide without coarser levels is decoded whole for any picture of it, which takes minutes for a large one.

    Parameters
    ----------
    slide
        Read by several threads at once.
    region, downsample
        As in `Slide.read`.
    n_threads
        At least 1. Memory grows with it, by some 0.1 GB each.
    progress
        Is told of the megapixels of full resolution that are done.

    Raises
    ------
    InvalidInputError
        If pixels of the file are damaged.
    """
    height = max(1, math.floor(region.height / downsample + 0.5))
    n_rows = max(1, int(_STRIP_PX / downsample))
    total = round(region.width * region.height / 1e6)
    strips: list[NDArray[np.uint8]] = []
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    executor = ThreadPoolExecutor(n_threads, thread_name_prefix="slide-strips")
    try:
        for top in range(0, height, n_rows):
            n = min(n_rows, height - top)
            strip = Region(x=region.x, y=region.y + top * downsample, width=region.width, height=n * downsample)
            waiting.append(executor.submit(slide.read, strip, downsample=downsample))
        while waiting:
            strips.append(waiting.popleft().result())
            if progress is not None:
                done = sum(map(len, strips)) / height
                progress(round(done * total), total)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return np.concatenate(strips)
