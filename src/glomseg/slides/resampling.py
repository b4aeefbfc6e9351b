"""Pixels of one resolution as pixels of another: means over areas, and straight lines between pixels.

Both are separable, so each axis has its own `Weights`. Positions are rounded to 1/1024 of a source pixel. Weights
are then whole numbers of that unit, sums of bytes by them are whole numbers too, and floating point adds those
without error in any order: a pixel comes out the same in whatever region it was asked for.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_STEPS = 1024  # positions in a source pixel
_BLOCK = 16  # result rows of one matrix product: measured, from 8 to 32 it hardly matters
_SLAB = 64  # result rows at a time
_EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How the n pixels of a result are made of source pixels along one axis.

    Attributes
    ----------
    first, stop
        (n,) int64: the first source pixel of each, and the one after the last that counts; equal where none does.
    weights
        (n, k) float64: weights of the first and the k - 1 source pixels after it, in 1/1024.
    total
        (n,) float64: what a pixel's weights add up to where it lies wholly on the slide; the rest is background.
    """

    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    weights: NDArray[np.float64]
    total: NDArray[np.float64]

    @property
    def covered(self) -> NDArray[np.float64]:
        """(n,): what the weights of each add up to."""
        return np.asarray(self.weights.sum(axis=1), np.float64)

    @property
    def is_covered(self) -> bool:
        """Whether all lie wholly on the slide."""
        return bool((self.covered == self.total).all())

    @property
    def is_copy(self) -> bool:
        """Whether each is one whole source pixel."""
        return bool((self.total == _STEPS).all() and (self.weights.max(axis=1, initial=0) == _STEPS).all())

    @property
    def span(self) -> tuple[int, int]:
        """The first source pixel that is needed, and the one after the last; equal where none is."""
        return int(self.first.min()), int(self.stop.max())

    def part(self, start: int, stop: int) -> "Weights":
        """Return the weights of the result's pixels from `start` to before `stop`."""
        part = slice(start, stop)
        return Weights(first=self.first[part], stop=self.stop[part], weights=self.weights[part], total=self.total[part])


def area_weights(start: float, step: float, *, n: int, n_source: int, extent: float) -> Weights:
    """Return the weights by which each result pixel is the mean over its interval of the source.

    Parameters
    ----------
    start, step
        Result pixel i covers the interval from start + i step to start + (i + 1) step, in source pixels.
    n, n_source
        Number of result and of source pixels.
    extent
        Where the slide ends, in source pixels. If that is beyond the last one (a level whose size was rounded down),
        the last one reaches there.
    """
    edges = np.rint((start + np.arange(n + 1) * step) * _STEPS)
    end = round(extent * _STEPS)
    low, high = np.clip(edges[:-1, None], 0, end), np.clip(edges[1:, None], 0, end)
    k = min(int(np.ceil(step)) + 2, n_source)
    first = np.clip(np.floor(edges[:-1] / _STEPS).astype(np.int64), 0, n_source - k)
    index = first[:, None] + np.arange(k)
    right = np.where(index == n_source - 1, max(end, n_source * _STEPS), (index + 1) * _STEPS)
    weights = np.clip(np.minimum(high, right) - np.maximum(low, index * _STEPS), 0, None)
    stop = np.where(high > low, np.minimum(-(-high // _STEPS), n_source), first[:, None])[:, 0].astype(np.int64)
    return Weights(first=first, stop=stop, weights=weights, total=np.diff(edges))


def line_weights(start: float, step: float, *, n: int, n_source: int, extent: float) -> Weights:
    """Return the weights by which each result pixel lies on the line between the two nearest source pixels.

    The parameters are those of `area_weights`. A pixel is of the slide if its centre is.
    """
    centres = np.rint((start + (np.arange(n) + 0.5) * step) * _STEPS)
    on_slide = (centres >= 0) & (centres < extent * _STEPS)
    position = np.clip(centres - _STEPS // 2, 0, (n_source - 1) * _STEPS)
    k = min(2, n_source)
    first = np.clip(position // _STEPS, 0, n_source - k).astype(np.int64)
    share = position - first * _STEPS
    weights = np.stack([_STEPS - share, share], axis=1)[:, :k] * on_slide[:, None]
    stop = first + k * on_slide
    return Weights(first=first, stop=stop, weights=weights, total=np.full(n, float(_STEPS)))


def resample(
    source: NDArray[np.uint8], rows: Weights, columns: Weights, *, origin: tuple[int, int], fill: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return the result's pixels, (n rows, n columns, 3) uint8, rounded half up.

    Parameters
    ----------
    source
        (h, w, 3): the part of the source that `rows` and `columns` span; of no size if they are beside the slide.
    rows, columns
        The weights of each axis.
    origin
        (row, column) of the source pixel that is `source[0, 0]`.
    fill
        (3,) colour that stands where a pixel is not on the slide.
    """
    if source.size == 0:
        return np.tile(fill.astype(np.uint8), (len(rows.first), len(columns.first), 1))
    if rows.is_copy and columns.is_copy:
        picked = (int(axis.first[0] + axis.weights[0].argmax()) for axis in (rows, columns))
        top, left = (first - start for first, start in zip(picked, origin, strict=True))
        return source[top : top + len(rows.first), left : left + len(columns.first)]
    result = np.empty((len(rows.first), len(columns.first), 3), np.uint8)
    for start in range(0, len(result), _SLAB):  # what is between the two passes then stays in the processor's cache
        slab = rows.part(start, start + _SLAB)
        result[start : start + _SLAB] = _resample_slab(source, slab, columns, origin=origin, fill=fill)
    return result


def _resample_slab(
    source: NDArray[np.uint8], rows: Weights, columns: Weights, *, origin: tuple[int, int], fill: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the means, to be cut off to whole numbers; the arguments are those of `resample`."""
    half = _sums(source, rows, origin[0], dtype=np.float32 if _fits_float32(rows) else np.float64)
    whole = cv2.transpose(_sums(np.asarray(cv2.transpose(half)), columns, origin[1], dtype=np.float64))
    sums = np.asarray(whole, np.float64).reshape(len(rows.first), len(columns.first), 3)
    total = np.outer(rows.total, columns.total)[..., None]
    if not (rows.is_covered and columns.is_covered):
        sums += (total - np.outer(rows.covered, columns.covered)[..., None]) * fill
    # Sums are whole numbers, so halves are exact and rounded the same way everywhere.
    sums += total / 2
    sums /= total
    return sums


def _fits_float32(axis: Weights) -> bool:
    return float(axis.total.max()) * 255 < _EXACT_IN_FLOAT32


def _sums(source: NDArray[Any], axis: Weights, origin: int, *, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """Return the weighted sums along the first axis of (n_source, m, 3), as (n, m, 3)."""
    n, k = axis.weights.shape
    flat = source.reshape(source.shape[0], -1)
    result = np.zeros((n, flat.shape[1]), dtype)
    for start in range(0, n, _BLOCK):
        block = axis.part(start, start + _BLOCK)
        low, high = block.span
        if low == high:
            continue
        # Weights that are zero may lie up to k beyond those that count.
        matrix = np.zeros((len(block.first), high - low + k), dtype)
        matrix[np.arange(len(block.first))[:, None], block.first[:, None] - low + np.arange(k)] = block.weights
        band = flat[low - origin : high - origin].astype(dtype)
        np.matmul(matrix[:, : high - low], band, out=result[start : start + _BLOCK])
    return result.reshape(n, *source.shape[1:])
