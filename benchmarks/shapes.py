"""How far each way to measure a perimeter is off, and which rule parts touching shapes and leaves single ones whole.

The tables of docs/decisions/0004-perimeter.md and 0005-touching-glomeruli.md:

    python benchmarks/shapes.py perimeter
    python benchmarks/shapes.py touching
"""

import math
import sys
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ellipe

from glomseg.measure import separation, shape
from glomseg.measure.shape import measure_shape

Pixels = NDArray[np.bool_]
N_DRAWN = 25


def ellipse(size_px: int, centre: NDArray[np.float64], semi: tuple[float, float], angle: float) -> Pixels:
    row, column = np.mgrid[:size_px, :size_px] + 0.5
    x, y = column - centre[0], row - centre[1]
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return (along / semi[0]) ** 2 + (across / semi[1]) ** 2 < 1


def placed(rng: np.random.Generator, semi: tuple[float, float]) -> tuple[int, NDArray[np.float64], float]:
    size = int(2 * max(semi) + 8)
    return size, size / 2 + rng.uniform(-0.5, 0.5, 2), rng.uniform(0, math.pi)


def shapes(rng: np.random.Generator) -> Iterator[tuple[str, list[Pixels], float]]:
    """Yield (name, drawn copies, true perimeter)."""
    for semi in ((6, 6), (12, 12), (25, 25), (50, 50), (200, 200), (15, 8), (30, 18), (50, 20), (100, 60)):
        length = 4 * semi[0] * ellipe(1 - (semi[1] / semi[0]) ** 2)
        copies = [
            ellipse(size, centre, semi, angle) for size, centre, angle in (placed(rng, semi) for _ in range(N_DRAWN))
        ]
        yield f"ellipse {2 * semi[0]} x {2 * semi[1]}", copies, length
    for outer, inner in ((20, 10), (50, 30), (100, 40)):
        rings = []
        for size, centre, _ in (placed(rng, (outer, outer)) for _ in range(N_DRAWN)):
            rings.append(ellipse(size, centre, (outer, outer), 0) & ~ellipse(size, centre, (inner, inner), 0))
        yield f"ring {2 * outer} / {2 * inner}", rings, 2 * math.pi * (outer + inner)
    for long, short in ((40, 40), (100, 60)):
        turned = []
        for _ in range(N_DRAWN):
            size = int(1.5 * long + 8)
            row, column = np.mgrid[:size, :size] + 0.5 - size / 2 - rng.uniform(-0.5, 0.5, 2)[:, None, None]
            angle = rng.uniform(0, math.pi / 2)
            along, across = (
                column * math.cos(angle) + row * math.sin(angle),
                row * math.cos(angle) - column * math.sin(angle),
            )
            turned.append((abs(along) < long / 2) & (abs(across) < short / 2))
        yield f"rectangle {long} x {short}", turned, 2 * (long + short)


def pixel_sides(pixels: Pixels) -> float:
    padded = np.pad(pixels, 1).astype(int)
    return float(abs(np.diff(padded, axis=0)).sum() + abs(np.diff(padded, axis=1)).sum())


def _contours(pixels: Pixels) -> list[NDArray[np.int32]]:
    return list(cv2.findContours(pixels.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0])


def pixel_centres(pixels: Pixels) -> float:
    return sum(cv2.arcLength(contour, True) for contour in _contours(pixels))


def corner_count(pixels: Pixels) -> float:
    """Vossepoel and Smeulders 1982."""
    length = 0.0
    for contour in _contours(pixels):
        steps = np.roll(contour[:, 0], -1, axis=0) - contour[:, 0]
        diagonal = abs(steps).sum(axis=1) == 2
        corners = (steps != np.roll(steps, 1, axis=0)).any(axis=1)
        length += 0.980 * (~diagonal).sum() + 1.406 * diagonal.sum() - 0.091 * corners.sum()
    return float(length)


def crofton(pixels: Pixels) -> float:
    """Crossings of lines in four directions."""
    padded = np.pad(pixels, 1).astype(int)
    straight = abs(np.diff(padded, axis=1)).sum() + abs(np.diff(padded, axis=0)).sum()
    diagonal = abs(padded[1:, 1:] - padded[:-1, :-1]).sum() + abs(padded[1:, :-1] - padded[:-1, 1:]).sum()
    return float(math.pi / 8 * (straight + diagonal / math.sqrt(2)))


def smoothed(sigma: float) -> Callable[[Pixels], float]:
    def perimeter(pixels: Pixels) -> float:
        before, shape._SMOOTHING_PX = shape._SMOOTHING_PX, sigma
        try:
            return measure_shape(pixels).perimeter_px
        finally:
            shape._SMOOTHING_PX = before

    return perimeter


def perimeters() -> None:
    ways = {
        "pixel sides": pixel_sides,
        "pixel centres": pixel_centres,
        "corner count": corner_count,
        "Crofton": crofton,
    }
    ways |= {f"smoothed {sigma}": smoothed(sigma) for sigma in (0.8, 1.2, 1.6)}
    print("| shape | " + " | ".join(ways) + " |\n| --- |" + " --- |" * len(ways))
    for name, copies, truth in shapes(np.random.default_rng(0)):
        cells = []
        for way in ways.values():
            errors = np.array([100 * (way(pixels) / truth - 1) for pixels in copies])
            cells.append(f"{errors.mean():+.1f} ({abs(errors).max():.1f})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def ragged(rng: np.random.Generator, pixels: Pixels, depth_px: float) -> Pixels:
    """Return the shape with an outline that wanders by about so many pixels, and only its largest piece."""
    noise = cv2.GaussianBlur(rng.normal(size=pixels.shape).astype(np.float32), (0, 0), 4)
    inside, outside = (cv2.distanceTransform(part.astype(np.uint8), 2, 5) for part in (pixels, ~pixels))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        (inside - outside + depth_px * noise / noise.std() > 0).astype(np.uint8)
    )
    piece = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    rows, columns = np.flatnonzero(piece.any(axis=1)), np.flatnonzero(piece.any(axis=0))
    return np.ascontiguousarray(piece[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def pairs(rng: np.random.Generator, radius: float, ratio: float, distance: float) -> Pixels:
    """Return two discs whose centres are so many sums of the radii apart."""
    size, angle = int(6 * radius), rng.uniform(0, 2 * math.pi)
    step = distance * radius * (1 + ratio) / 2 * np.array([math.cos(angle), math.sin(angle)])
    one = ellipse(size, size / 2 - step, (radius, radius), 0)
    return ragged(rng, one | ellipse(size, size / 2 + step, (ratio * radius,) * 2, 0), radius / 20)


def single(rng: np.random.Generator, radius: float, aspect: float, notch: float) -> Pixels:
    """Return one ellipse, with a round notch in its side of so many short half axes."""
    size, angle = int(3 * radius), rng.uniform(0, math.pi)
    piece = ellipse(size, np.full(2, size / 2), (radius, radius / aspect), angle)
    side = size / 2 + radius / aspect * np.array([-math.sin(angle), math.cos(angle)])
    if notch:
        piece &= ~ellipse(size, side, (notch * radius / aspect,) * 2, 0)
    return ragged(rng, piece, radius / 20)


def touching() -> None:
    rng = np.random.default_rng(0)
    rules: dict[str, dict[str, float]] = {f"neck <= {ratio}": {"ratio": ratio} for ratio in (0.7, 0.8, 0.9)}
    rules |= {f"h = {height} px": {"height": height} for height in (1, 2, 4)}
    cases = {
        f"two discs of {2 * radius:.0f} and {2 * radius * ratio:.0f} px, {distance} apart": [
            pairs(rng, radius, ratio, distance) for _ in range(N_DRAWN)
        ]
        for radius, ratio in ((20, 1.0), (40, 1.0), (40, 0.6))
        for distance in (0.7, 0.8, 0.9)
    }
    cases |= {
        f"one ellipse of {2 * radius:.0f} px, {aspect} to 1, notch {notch}": [
            single(rng, radius, aspect, notch) for _ in range(N_DRAWN)
        ]
        for radius, aspect, notch in ((40, 1, 0), (60, 2, 0), (60, 3, 0), (40, 1, 0.5), (60, 1.5, 0.7), (160, 1.5, 0.5))
    }
    print("| drawn | " + " | ".join(rules) + " |\n| --- |" + " --- |" * len(rules))
    for name, pieces in cases.items():
        cells = [f"{100 * np.mean([n_parts(piece, **rule) > 1 for piece in pieces]):.0f} %" for rule in rules.values()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def n_parts(piece: Pixels, *, ratio: float | None = None, height: float = 0.0) -> int:
    """Return into how many a rule parts a piece: by the neck, or by h-maxima of a fixed height in pixels."""
    if ratio is not None:
        return separation.separate_touching(piece, max_neck_ratio=ratio, min_diameter_px=15)[1]
    distance, shrink = separation._working_distance(piece)
    peaks = separation._peaks(distance, min_height=7.5 / shrink)
    kept = [peaks[0]] if peaks else []
    for peak in peaks[1:]:
        labels = cv2.connectedComponents((distance >= peak.height - height / shrink).view(np.uint8), connectivity=8)[1]
        if all(labels[peak.row, peak.column] != labels[other.row, other.column] for other in kept):
            kept.append(peak)
    return max(1, len(kept))


if __name__ == "__main__":
    {"perimeter": perimeters, "touching": touching}[sys.argv[1]]()
