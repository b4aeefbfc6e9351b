"""Measure how fast a model is on this machine."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from glomseg.data.crops import at_working_size
from glomseg.data.synthetic import draw_tile
from glomseg.errors import InvalidInputError, UnsafeFileError
from glomseg.images import read_image, write_png
from glomseg.inference.engines.packages import installed_engines
from glomseg.inference.loading import load_predictor
from glomseg.inference.predictor import Predictor, most_likely_classes
from glomseg.progress import ProgressBars, no_progress
from glomseg.steps.inputs import find_images

N_DECODED = 8
"""Images that are held decoded while the model alone is timed: more of them change nothing but the memory."""

_MAX_SIZE_PX = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one image takes.

    Attributes
    ----------
    fps
        Images per second: the inverse of the median time.
    median_s, low_s, high_s
        Median, 5th and 95th percentile of the time for one image.
    n_images
        Images that were timed, warm-up excluded.
    """

    fps: float
    median_s: float
    low_s: float
    high_s: float
    n_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTiming:
    """How long one image takes an engine, beside the first engine of the same run.

    Attributes
    ----------
    engine, device, precision
        What was computed with.
    model
        Of the model alone; images and engines took turns.
    ratio, ratio_low, ratio_high
        How many times as fast as the first engine: of the medians, and the 5th and 95th percentile of the ratios image
        by image.
    """

    engine: str
    device: str
    precision: str
    model: Timing
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """Speed and memory of a model.

    Attributes
    ----------
    engines
        What computed the model, in turns, the first one first.
    left_out
        Engines that could not compute it, with the reason.
    model
        Of the first engine, MMSegmentation's way: batch 1, from the normalised image in memory to class indices at the
        image's size; reading and resizing are not timed.
    end_to_end
        Of the first engine, from the image file to the written mask.
    working_size
        (height, width) in pixels that the network saw, of the first image.
    peak_memory_bytes
        Of the process, or of the GPU where one is used.
    device, precision
        What the first engine computed with.
    """

    engines: tuple[EngineTiming, ...]
    left_out: dict[str, str]
    model: Timing
    end_to_end: Timing
    working_size: tuple[int, int]
    peak_memory_bytes: int
    device: str
    precision: str

    @property
    def fastest(self) -> EngineTiming:
        """The engine with the least median time."""
        return min(self.engines, key=lambda item: item.model.median_s)

    @property
    def fastest_is_clear(self) -> bool:
        """Whether it is faster than the first engine, or that than all others, by more than the times vary."""
        first, *others = self.engines
        if self.fastest is first:
            return all(item.ratio_high < 1 for item in others)
        return self.fastest.ratio_low > 1


def benchmark_model(
    model: str | os.PathLike[str],
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    size_px: int = 1024,
    n_images: int = 20,
    n_warmup: int = 3,
    mpp: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    engines: Sequence[str] | None = None,
    progress: ProgressBars = no_progress,
) -> BenchmarkResult:
    """Time a model on images, taken in turn until `n_images` are done, with every engine in turn for each image.

    End to end all images take turns; the model alone is timed on the first `N_DECODED`.

    Parameters
    ----------
    model
        As in `load_predictor`, but no checkpoint of MMSegmentation whose config is a file of its own.
    images
        Files, folders or patterns; none draws synthetic tissue of `size_px`.
    size_px
        Side of the synthetic tiles.
    n_images
        Images to time.
    n_warmup
        Images before them that are not timed.
    mpp
        Micrometres per pixel of the images.
    device, precision
        As in `load_predictor`. Engines that do not compute so are left out.
    engines
        What computes it; None takes all that are installed where the model computes on the processor in float32, and
        else the model's own.
    progress
        Where to report.

    Raises
    ------
    InvalidInputError
        If a number makes no sense, an image cannot be read, or no engine can compute the model.
    MissingInputError
        If a pattern fits nothing, or a folder has no image.
    """
    if n_images < 1 or n_warmup < 0:
        raise InvalidInputError(f"--n {n_images} and --warmup {n_warmup} must be at least 1 and 0")
    if not 16 <= size_px <= _MAX_SIZE_PX:
        raise InvalidInputError(f"--size {size_px} is not between 16 and {_MAX_SIZE_PX:,} pixels")
    if mpp is not None and not 0 < mpp < 1000:
        raise InvalidInputError(f"--mpp {mpp} is not a plausible number of micrometres per pixel")
    predictors, left_out = _predictors(model, device=device, precision=precision, engines=engines)
    predictor = predictors[0]
    with tempfile.TemporaryDirectory(prefix="glomseg-benchmark-") as folder:
        paths = find_images(images) if images else [_synthetic_tile(Path(folder), size_px)]
        decoded = [read_image(path) for path in paths[:N_DECODED]]
        with progress("timing the model", unit="image") as bar:
            model_times: list[list[float]] = [[] for _ in predictors]
            for number in range(n_warmup + n_images):
                for times, side in zip(model_times, predictors, strict=True):
                    times.append(_time_model(side, decoded[number % len(decoded)], mpp=mpp))
                bar(number + 1, n_warmup + n_images)
        with progress("timing end to end", unit="image") as bar:
            end_to_end_times = []
            for number in range(n_warmup + n_images):
                path = paths[number % len(paths)]
                end_to_end_times.append(_time_end_to_end(predictor, path, Path(folder) / "mask.png", mpp=mpp))
                bar(number + 1, n_warmup + n_images)
    height, width = decoded[0].shape[:2]
    counted = [times[n_warmup:] for times in model_times]
    return BenchmarkResult(
        engines=tuple(
            _engine_timing(side, times, first=counted[0]) for side, times in zip(predictors, counted, strict=True)
        ),
        left_out=left_out,
        model=_summary(counted[0]),
        end_to_end=_summary(end_to_end_times[n_warmup:]),
        working_size=predictor.card.scaling.working_size(height=height, width=width, mpp=mpp),
        peak_memory_bytes=_peak_memory_bytes(predictor.device),
        device=str(predictor.device),
        precision=predictor.precision,
    )


def _predictors(
    model: str | os.PathLike[str], *, device: str, precision: str, engines: Sequence[str] | None
) -> tuple[list[Predictor], dict[str, str]]:
    """Return a predictor for each engine that can compute the model, and why the others cannot."""
    predictors: list[Predictor] = []
    if engines is None:
        predictors.append(load_predictor(model, device=device, precision=precision))
        own = predictors[0]
        on_processor = own.engine == "torch" and own.device.type == "cpu" and precision in ("auto", "32-true")
        engines = [name for name in installed_engines() if name != "torch"] if on_processor else []
    left_out: dict[str, str] = {}
    for engine in engines:
        try:
            predictors.append(load_predictor(model, device=device, precision=precision, engine=engine))
        except (InvalidInputError, UnsafeFileError) as error:
            left_out[engine] = str(error)
    if not predictors:
        raise InvalidInputError("; ".join(left_out.values()) or "--engines names no engine")
    return predictors, left_out


def _engine_timing(predictor: Predictor, seconds: Sequence[float], *, first: Sequence[float]) -> EngineTiming:
    low, high = np.percentile(np.divide(first, seconds), [5, 95])
    return EngineTiming(
        engine=predictor.engine,
        device=str(predictor.device),
        precision=predictor.precision,
        model=_summary(seconds),
        ratio=statistics.median(first) / statistics.median(seconds),
        ratio_low=float(low),
        ratio_high=float(high),
    )


def _synthetic_tile(folder: Path, size_px: int) -> Path:
    path = folder / "tile.png"
    write_png(path, draw_tile(seed=0, size_px=size_px, mpp=0.5, n_glomeruli=1)[0])
    return path


def _time_model(predictor: Predictor, image: NDArray[np.uint8], *, mpp: float | None) -> float:
    height, width = image.shape[:2]
    working = at_working_size(image, (height, width), scaling=predictor.card.scaling, mpp=mpp)
    batch = predictor.prepare([working])
    _synchronize(predictor.device)
    start = time.perf_counter()
    scores = predictor.enlarged_logits if len(predictor.networks) == 1 else predictor.view_probabilities
    most_likely_classes(scores(batch, image_size=(height, width)), threshold=None).cpu()
    _synchronize(predictor.device)
    return time.perf_counter() - start


def _time_end_to_end(predictor: Predictor, path: Path, out: Path, *, mpp: float | None) -> float:
    start = time.perf_counter()
    write_png(out, predictor.predict(read_image(path), mpp=mpp).mask)
    return time.perf_counter() - start


def _summary(seconds: Sequence[float]) -> Timing:
    median = statistics.median(seconds)
    low, high = np.percentile(seconds, [5, 95])
    return Timing(fps=1 / median, median_s=median, low_s=float(low), high_s=float(high), n_images=len(seconds))


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # Windows has none

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
