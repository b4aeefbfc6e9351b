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
_EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How the n pixels of a result are made of source pixels along one axis.

    Attributes
    ----------
    first
        (n,) int64: the first source pixel of each.
    weights
        (n, k) float64: weights of that and the k - 1 source pixels after it, in 1/1024.
    total
        (n,) float64: what a pixel's weights add up to where it lies wholly on the slide; the rest is background.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float64]
    total: NDArray[np.float64]

    @property
    def span(self) -> tuple[int, int]:
        """The first source pixel that counts, and the one after the last; equal where none does."""
        used = self.weights > 0
        if not used.any():
            return 0, 0
        index = self.first[:, None] + np.arange(self.weights.shape[1])
        return int(index[used].min()), int(index[used].max()) + 1

    def part(self, start: int, stop: int) -> "Weights":
        """Return the weights of the result's pixels from `start` to before `stop`."""
        return Weights(first=self.first[start:stop], weights=self.weights[start:stop], total=self.total[start:stop])


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
    return Weights(first=first, weights=weights, total=np.diff(edges))


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
    return Weights(first=first, weights=weights, total=np.full(n, float(_STEPS)))


def resample(
    source: NDArray[np.uint8], rows: Weights, columns: Weights, *, origin: tuple[int, int], fill: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return the result's pixels, (n rows, n columns, 3) uint8, rounded half up.

    Parameters
    ----------
    source
        (h, w, 3): the part of the source that `rows` and `columns` span.
    rows, columns
        The weights of each axis.
    origin
        (row, column) of the source pixel that is `source[0, 0]`.
    fill
        (3,) colour that stands where a pixel is not on the slide.
    """
    result = _apply(source, rows, origin[0], dtype=np.float32 if _fits_float32(rows) else np.float64)
    result = _apply(cv2.transpose(result), columns, origin[1], dtype=np.float64)
    sums: NDArray[np.float64] = cv2.transpose(result).reshape(len(rows.first), len(columns.first), 3)  # type: ignore[assignment]
    total = np.outer(rows.total, columns.total)
    covered = np.outer(rows.weights.sum(axis=1), columns.weights.sum(axis=1))
    if not np.array_equal(covered, total):
        sums += (total - covered)[..., None] * fill
    sums += total[..., None] / 2
    sums /= total[..., None]
    return sums.astype(np.uint8)


def _fits_float32(axis: Weights) -> bool:
    return float(axis.total.max()) * 255 < _EXACT_IN_FLOAT32


def _apply(source: NDArray[Any], axis: Weights, origin: int, *, dtype: type[np.floating[Any]]) -> NDArray[Any]:
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
        matrix = np.zeros((len(block.first), high - low + 2 * k), dtype)
        matrix[np.arange(len(block.first))[:, None], block.first[:, None] - low + k + np.arange(k)] = block.weights
        band = flat[low - origin : high - origin].astype(dtype)
        np.matmul(matrix[:, k : k + high - low], band, out=result[start : start + _BLOCK])
    return result.reshape(n, *source.shape[1:])
