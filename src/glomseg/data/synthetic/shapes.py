"""Random geometry: smooth noise, smooth outlines, and plane packings of rounded cells.

Everything is in micrometres and drawn before it is put on a pixel grid, so one seed gives one tissue
whatever the resolution of the picture.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Points = NDArray[np.float64]
"""Points (N, 2) as (x, y) in um."""

_BICUBIC_GAIN = 1.4  # brings bicubically resized white noise back to about unit variance


def noise_field(
    rng: np.random.Generator, wavelength_um: float, *, extent_um: float, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return smooth noise (H, W) float32, mean 0 and variance about 1, on a square of `extent_um`.

    Values are drawn on a physical grid of `wavelength_um` and interpolated, so the same generator state
    gives the same field at every pixel size.
    """
    n_cells = int(np.ceil(extent_um / wavelength_um)) + 3
    grid = rng.standard_normal((n_cells, n_cells)).astype(np.float32) * _BICUBIC_GAIN
    scale = shape[0] / extent_um * wavelength_um  # pixels a cell
    n_pixels = max(1, round(n_cells * scale))
    if scale > 6:  # cubic as far as it shows, then linear: far quicker
        finer = cv2.resize(grid, (4 * n_cells, 4 * n_cells), interpolation=cv2.INTER_CUBIC)
        field = cv2.resize(finer, (n_pixels, n_pixels), interpolation=cv2.INTER_LINEAR)
    else:
        field = cv2.resize(grid, (n_pixels, n_pixels), interpolation=cv2.INTER_CUBIC)
    start = min(round(scale), n_pixels - shape[0])  # the outermost cells are extrapolated: leave them out
    return np.asarray(field[start : start + shape[0], start : start + shape[1]], dtype=np.float32)


def blob_outline(
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius_um: float,
    *,
    roughness: float = 0.05,
    elongation: float = 1.1,
    n_points: int = 128,
) -> Points:
    """Return a closed outline (`n_points`, 2) of about `radius_um`: an ellipse with low harmonics.

    `roughness` is the relative size of the harmonics, `elongation` the ratio of the axes; the area
    stays near that of the circle.
    """
    angle = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
    radius = np.ones(n_points)
    for order in range(2, 7):
        radius += roughness / (order - 1) * rng.normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    ellipse = np.column_stack([np.cos(angle) * np.sqrt(elongation), np.sin(angle) / np.sqrt(elongation)])
    turn = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    outline: Points = np.asarray(centre) + radius_um * (ellipse * radius[:, None]) @ rotation.T
    return outline


def smooth_outline(points: Points, *, step_um: float, sigma_um: float) -> Points:
    """Return a closed outline resampled about every `step_um` and smoothed along its length."""
    closed = np.vstack([points, points[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    n_points = max(12, int(length[-1] / step_um))
    at = np.linspace(0, length[-1], n_points, endpoint=False)
    even = np.interp(at, length, closed[:, 0]) + 1j * np.interp(at, length, closed[:, 1])
    sigma = sigma_um * n_points / max(length[-1], 1e-9)  # in points
    low_pass = np.exp(-2 * (np.pi * sigma * np.fft.fftfreq(n_points)) ** 2)
    smooth = np.fft.ifft(np.fft.fft(even) * low_pass)
    return np.column_stack([smooth.real, smooth.imag])


def tangents(outline: Points) -> Points:
    """Return the directions (N, 2), not of unit length, in which a closed outline runs."""
    return np.vstack([outline[1:], outline[:1]]) - np.vstack([outline[-1:], outline[:-1]])


def inward_normals(outline: Points) -> Points:
    """Return unit normals (N, 2) of a closed outline that point to its inside."""
    tangent = tangents(outline)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
    normal /= np.maximum(np.hypot(*normal.T), 1e-9)[:, None]
    return normal if signed_area(outline) > 0 else -normal


def signed_area(outline: Points) -> float:
    """Return the area of an outline in um2, negative when it runs the other way round."""
    x, y = np.vstack([outline, outline[:1]]).T
    return 0.5 * float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))


def scattered_points(rng: np.random.Generator, extent_um: float, *, spacing_um: float) -> Points:
    """Return points (N, 2) scattered evenly over a square: a jittered hexagonal lattice with gaps and pairs."""
    row_height = spacing_um * np.sqrt(3) / 2
    n_rows, n_columns = int(extent_um / row_height) + 2, int(extent_um / spacing_um) + 2
    row, column = np.divmod(np.arange(n_rows * n_columns), n_columns)
    lattice = np.column_stack([(column + 0.5 * (row % 2)) * spacing_um, row * row_height])
    points = lattice + rng.normal(0, 0.2 * spacing_um, lattice.shape)
    extra = points + rng.normal(0, 0.45 * spacing_um, points.shape)
    fate = rng.random(len(points))
    return np.vstack([points[fate > 0.08], extra[fate > 0.9]])


def pack_cells(
    rng: np.random.Generator,
    *,
    extent_um: float,
    grid_um: float,
    spacing_um: float,
    gap_um: float | NDArray[np.float32],
    allowed: NDArray[np.bool_],
    stretch: float = 1.0,
    bend_um: float = 0.0,
    merge_share: float = 0.0,
    smooth_um: float = 1.0,
) -> list[Points]:
    """Return outlines of rounded cells that fill the allowed part of a square back to back.

    Parameters
    ----------
    rng
        Source of randomness.
    extent_um, grid_um
        Side of the square and of a grid cell on which the tessellation is computed.
    spacing_um, stretch, bend_um, merge_share
        See `distance_to_walls`.
    gap_um
        Half the distance between neighbours, one number or (H, W) on the grid.
    allowed
        (H, W) on the grid; cells stay inside.
    smooth_um
        Smoothing of the outlines.
    """
    distance_um = distance_to_walls(
        rng, extent_um=extent_um, grid_um=grid_um, spacing_um=spacing_um, allowed=allowed,
        stretch=stretch, bend_um=bend_um, merge_share=merge_share,
    )  # fmt: skip
    inside = distance_um > np.maximum(gap_um, 0.7 * grid_um)
    return trace_outlines(inside, grid_um=grid_um, smooth_um=smooth_um, min_area_um2=(0.35 * spacing_um) ** 2)


def trace_outlines(
    region: NDArray[np.bool_], *, grid_um: float, smooth_um: float, min_area_um2: float, holes: bool = False
) -> list[Points]:
    """Return the smoothed outlines of the parts of a region (H, W), or of its holes, that are large enough."""
    contours, hierarchy = cv2.findContours(region.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outlines = []
    for index, contour in enumerate(contours):
        is_hole = bool(hierarchy[0, index, 3] >= 0)
        if is_hole == holes and cv2.contourArea(contour) * grid_um**2 >= max(min_area_um2, 2 * grid_um**2):
            points = (contour[:, 0, :].astype(np.float64) + 0.5) * grid_um
            smooth = smooth_outline(points, step_um=1.5 * grid_um, sigma_um=smooth_um)
            # Contours run through the centres of the region's pixels, its border half a pixel further out.
            outward = 0.5 * grid_um if not is_hole else -0.5 * grid_um
            outlines.append(smooth - outward * inward_normals(smooth))
    return outlines


def distance_to_walls(
    rng: np.random.Generator,
    *,
    extent_um: float,
    grid_um: float,
    spacing_um: float,
    allowed: NDArray[np.bool_],
    stretch: float = 1.0,
    bend_um: float = 0.0,
    merge_share: float = 0.0,
) -> NDArray[np.float32]:
    """Return how far each grid point lies from the walls of a random tessellation (H, W), in um; 0 outside `allowed`.

    The tessellation is Voronoi's, stretched along a random direction and bent by smooth noise, so that
    its cells are long and curved as the profiles of tubules are; some neighbours are merged.

    Parameters
    ----------
    rng
        Source of randomness.
    extent_um, grid_um
        Side of the square and of a grid cell.
    spacing_um
        Mean distance of cell centres.
    allowed
        (H, W); its border is a wall too.
    stretch
        Ratio of the axes of a cell, 1 or more.
    bend_um
        Displacement by which the tessellation is bent.
    merge_share
        Share of the cells that are merged with their nearest neighbour.
    """
    labels = _bent_tessellation(
        rng, spacing_um, extent_um=extent_um, shape=allowed.shape, stretch=stretch, bend_um=bend_um, share=merge_share
    )
    border = np.zeros(allowed.shape, dtype=bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    border[1:, 1:] |= labels[1:, 1:] != labels[:-1, :-1]  # no leak between diagonal neighbours
    border[1:, :-1] |= labels[1:, :-1] != labels[:-1, 1:]
    distance = cv2.distanceTransform((allowed & ~border).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(distance * grid_um, dtype=np.float32)


def _bent_tessellation(
    rng: np.random.Generator,
    spacing_um: float,
    *,
    extent_um: float,
    shape: tuple[int, ...],
    stretch: float,
    bend_um: float,
    share: float,
) -> NDArray[np.int32]:
    height, width = shape
    source_um = 1.5 * np.sqrt(stretch) * extent_um  # large enough for the turned and stretched square
    points = scattered_points(rng, source_um, spacing_um=spacing_um)
    points = points[((points > 0) & (points < source_um)).all(axis=1)]
    grid_um = extent_um / height
    n_source = int(np.ceil(source_um / grid_um))
    seeds = np.full((n_source, n_source), 255, dtype=np.uint8)
    index = np.minimum((points / grid_um).astype(int), n_source - 1)
    seeds[index[:, 1], index[:, 0]] = 0
    _, voronoi = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.arange(voronoi.max() + 1, dtype=np.int32)
    for one, other in _neighbours_to_merge(rng, points, share=share):
        lookup[voronoi[index[one, 1], index[one, 0]]] = lookup[voronoi[index[other, 1], index[other, 0]]]
    turn = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.diag([1 / np.sqrt(stretch), np.sqrt(stretch)]) @ rotation
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x - width / 2, y - height / 2
    bend = [
        noise_field(rng, 1.3 * spacing_um, extent_um=extent_um, shape=(height, width)) * (bend_um / grid_um)
        for _ in range(2)
    ]
    map_x = (matrix[0, 0] * x + matrix[0, 1] * y + n_source / 2 + bend[0]).astype(np.float32)
    map_y = (matrix[1, 0] * x + matrix[1, 1] * y + n_source / 2 + bend[1]).astype(np.float32)
    bent = cv2.remap(lookup[voronoi].astype(np.float32), map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(bent, dtype=np.int32)


def _neighbours_to_merge(rng: np.random.Generator, points: Points, *, share: float) -> Sequence[tuple[int, int]]:
    chosen = np.flatnonzero(rng.random(len(points)) < share)
    if len(points) < 2 or not chosen.size:
        return ()
    _, nearest = cKDTree(points).query(points[chosen], k=2)
    return list(zip(chosen.tolist(), nearest[:, 1].tolist(), strict=True))
