"""Where one piece of a mask is two or more glomeruli that touch."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_WORKING_RADIUS_PX = 48
"""Pieces whose inscribed circle is larger are shrunk to it: the form of a neck needs no more pixels."""

_MAX_WORKING_PIXELS = 4_000_000
"""And pieces whose box is larger are shrunk to this, whatever their form."""

_SMOOTHING = 0.08
"""Width of the Gaussian that smooths the distances, as a share of the largest: the teeth of a pixel outline vanish."""

_N_LEVELS = 64
"""Steps in which the distances are gone through: a saddle's height is known to 1/64 of the largest distance."""


@dataclass(frozen=True, slots=True)
class _Peak:
    """A local maximum of the distance to the outline, and the level down to which it stands alone."""

    row: int
    column: int
    height: float
    base: float


def separate_touching(
    piece: NDArray[np.bool_], *, max_neck_ratio: float, min_diameter_px: float
) -> tuple[NDArray[np.int32], int]:
    """Return which part each pixel of a connected piece belongs to, and the number of parts.

    A part is the surroundings of a local maximum of the smoothed distance to the outline. Two parts stay
    apart where the neck between them is narrow: at most `max_neck_ratio` times as wide as the largest circle
    in the smaller part, which must itself be at least `min_diameter_px` wide. This is the h-maxima rule with an h that
    grows with the part, so it does not depend on the scale. The cut runs where both parts, grown at one
    pace from where they are still apart, meet: for two overlapping discs through the two corners of the neck.

    Parameters
    ----------
    piece
        (h, w) bool, one connected piece; nothing lies beyond the array.
    max_neck_ratio
        0 never cuts, 1 cuts at the slightest narrowing.
    min_diameter_px
        In pixels of the array.

    Returns
    -------
    parts
        (h, w) int32: 0 outside the piece, 1 to n the parts, each connected.
    n_parts
        At least 1.

    References
    ----------
    P. Soille, Morphological Image Analysis, 2nd ed., 2003, section 6.3 (h-maxima) and 9.2 (markers).
    """
    whole = piece.astype(np.int32)
    distance, shrink = _working_distance(piece)
    peaks = _peaks(distance, min_height=min_diameter_px / 2 / shrink)
    if len(peaks) > 1:
        peaks = _lasting(distance, peaks, max_neck_ratio=max_neck_ratio)
    if len(peaks) < 2:
        return whole, 1
    nearest = _grow(distance, peaks)
    height, width = piece.shape
    rows = np.minimum(np.arange(height) * nearest.shape[0] // height, nearest.shape[0] - 1)
    columns = np.minimum(np.arange(width) * nearest.shape[1] // width, nearest.shape[1] - 1)
    return _connected(np.where(piece, nearest[np.ix_(rows, columns)], 0), n_parts=len(peaks))


def _working_distance(piece: NDArray[np.bool_]) -> tuple[NDArray[np.float32], float]:
    """Return the smoothed distance to the outline in working pixels, and pixels per working pixel."""
    shrink = max(1.0, math.sqrt(piece.size / _MAX_WORKING_PIXELS))
    distance = _distance(_shrunk(piece, shrink))
    by_radius = float(distance.max()) * shrink / _WORKING_RADIUS_PX
    if by_radius > shrink:
        shrink = by_radius
        distance = _distance(_shrunk(piece, shrink))
    sigma = _SMOOTHING * float(distance.max())
    smooth = cv2.GaussianBlur(distance, (0, 0), max(sigma, 0.5), borderType=cv2.BORDER_CONSTANT)
    return np.where(distance > 0, smooth, 0), shrink


def _shrunk(piece: NDArray[np.bool_], shrink: float) -> NDArray[np.uint8]:
    pixels = piece.view(np.uint8)
    if shrink <= 1:
        return pixels
    size = (max(1, round(piece.shape[1] / shrink)), max(1, round(piece.shape[0] / shrink)))
    return np.asarray(cv2.resize(pixels * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128).view(np.uint8)


def _distance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the distance of each pixel's centre to the nearest outside, 0 outside; half a pixel at the outline."""
    padded = np.pad(pixels, 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.where(pixels > 0, distance - np.float32(0.5), np.float32(0))


def _peaks(distance: NDArray[np.float32], *, min_height: float) -> list[_Peak]:
    """Return the local maxima at least this high, highest first; a plateau is one."""
    top = (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8))) & (distance >= max(min_height, 0.5))
    labels = cv2.connectedComponents(top.view(np.uint8), connectivity=8)[1]
    numbers, first = np.unique(labels, return_index=True)
    places = [divmod(int(place), distance.shape[1]) for place in first[numbers > 0]]
    peaks = [_Peak(row, column, float(distance[row, column]), 0.0) for row, column in places]
    return sorted(peaks, key=lambda peak: (-peak.height, peak.row, peak.column))


def _lasting(distance: NDArray[np.float32], peaks: list[_Peak], *, max_neck_ratio: float) -> list[_Peak]:
    """Return the peaks that a narrow neck parts from every higher one, each with the level where it stands alone.

    The levels are gone through from the highest: where two groups of peaks first share a piece of what is
    higher, their saddle is found, and the lower group's peak stays or is merged into the higher one.
    """
    leader = list(range(len(peaks)))  # peaks are sorted, so the smaller number is the higher peak
    base = [0.0] * len(peaks)
    rows, columns = [peak.row for peak in peaks], [peak.column for peak in peaks]
    stays = [True] * len(peaks)
    joined: list[set[int]] = [{number} for number in range(len(peaks))]  # lasting peaks of each group
    step = peaks[0].height / _N_LEVELS
    for level in np.arange(peaks[0].height - step, 0, -step):
        labels = cv2.connectedComponents((distance >= level).view(np.uint8), connectivity=8)[1][rows, columns]
        groups: dict[int, int] = {}
        for number in sorted(set(leader)):
            label = int(labels[number])
            if label == 0:
                continue
            higher = groups.setdefault(label, number)
            if higher == number:
                continue
            if level <= max_neck_ratio * peaks[number].height:
                for one in joined[higher] | joined[number]:
                    base[one] = max(base[one], float(level) + step)
                joined[higher] |= joined[number]
            else:
                stays[number] = False
                joined[number].discard(number)
                joined[higher] |= joined[number]
            leader = [higher if group == number else group for group in leader]
        if len(set(leader)) == 1:
            break
    return [_Peak(p.row, p.column, p.height, base[i]) for i, p in enumerate(peaks) if stays[i]]


def _grow(distance: NDArray[np.float32], peaks: list[_Peak]) -> NDArray[np.int32]:
    """Return for each pixel of the array the part (1, 2, ...) that reaches it first."""
    best = np.full(distance.shape, np.inf, np.float32)
    nearest = np.ones(distance.shape, np.int32)
    for number, peak in enumerate(peaks, start=1):
        labels = cv2.connectedComponents((distance >= peak.base).view(np.uint8), connectivity=8)[1]
        outside = (labels != labels[peak.row, peak.column]).view(np.uint8)
        reach = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) - np.float32(peak.base)
        nearer = reach < best
        best[nearer], nearest[nearer] = reach[nearer], number
    return nearest


def _connected(parts: NDArray[np.int32], *, n_parts: int) -> tuple[NDArray[np.int32], int]:
    """Return the parts, each reduced to its largest connected piece, and the rest given to the nearest of those."""
    kept = np.zeros_like(parts)
    for number, box in enumerate(ndimage.find_objects(parts, max_label=n_parts), start=1):
        if box is None:  # the cut left nothing of it
            continue
        own = (parts[box] == number).view(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
        kept[box][labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))] = number
    if np.array_equal(kept, parts) and len(np.unique(parts[parts > 0])) == n_parts:
        return parts, n_parts
    _, nearest = cv2.distanceTransformWithLabels(
        (kept == 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number_at = np.zeros(int(nearest.max()) + 1, np.int32)
    number_at[nearest[kept > 0]] = kept[kept > 0]
    filled = np.where(parts > 0, number_at[nearest], 0)
    numbers = np.unique(filled[filled > 0])
    compact = np.where(filled > 0, np.searchsorted(numbers, filled) + 1, 0)
    return compact.astype(np.int32), len(numbers)
