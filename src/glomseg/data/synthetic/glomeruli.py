"""Painting a glomerulus: capsule, Bowman's space, and the tuft of capillary loops with its nuclei."""

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.data.synthetic.canvas import Canvas, paint_nuclei
from glomseg.data.synthetic.layout import Glomerulus
from glomseg.data.synthetic.shapes import (
    Points,
    blob_outline,
    distance_to_walls,
    inward_normals,
    noise_field,
    pack_cells,
    tangents,
    trace_outlines,
)

_GRID_UM = 0.7
_REACH = 1.45  # half a patch's side in radii: the outline stays inside


def paint_glomeruli(canvas: Canvas, rng: np.random.Generator, glomeruli: tuple[Glomerulus, ...]) -> None:
    """Paint glomeruli; nothing is painted outside their outlines."""
    for glomerulus in glomeruli:
        low, high = glomerulus.outline.min(axis=0) - 20, glomerulus.outline.max(axis=0) + 20  # all it paints
        columns, rows = (slice(*np.clip(ends, 0, canvas.shape[0])) for ends in _pixel_ends(low, high, canvas.mpp))
        before = canvas.amounts[rows, columns].copy()
        if glomerulus.sclerosed:
            _paint_sclerosed(canvas, rng, glomerulus)
        else:
            _paint_open(canvas, rng, glomerulus)
        outside = canvas.mask_of([glomerulus.outline])[rows, columns] == 0
        canvas.amounts[rows, columns][outside] = before[outside]


def _pixel_ends(low: Points, high: Points, mpp: float) -> list[tuple[int, int]]:
    return [(int(a / mpp), int(b / mpp)) for a, b in zip(low, high, strict=True)]


def _paint_open(canvas: Canvas, rng: np.random.Generator, glomerulus: Glomerulus) -> None:
    outline, radius = glomerulus.outline, glomerulus.radius_um
    canvas.fill(outline, (0.01, rng.uniform(0.01, 0.04)))
    corner = np.asarray(glomerulus.centre) - _REACH * radius
    loose_um = float(rng.uniform(1, 5)) if glomerulus.torn else 0.0
    solid = _lobules(rng, _tuft_outline(rng, glomerulus) - corner, radius, loose_um=loose_um)
    mesangium, membrane = (0.08, rng.uniform(0.18, 0.32)), (0.11, rng.uniform(0.40, 0.60))
    for holes, dye in ((False, mesangium), (True, (0.01, 0.03))):
        for part in trace_outlines(solid, grid_um=_GRID_UM, smooth_um=1.0, min_area_um2=25.0, holes=holes):
            canvas.fill(part + corner, dye)
            canvas.stroke(part + corner, membrane, width_um=rng.uniform(0.8, 1.5))
    _paint_loops(canvas, rng, solid, corner=corner, radius=radius)
    share = float(rng.uniform(0, 0.6)) if glomerulus.torn else 1.0
    _paint_capsule(canvas, rng, glomerulus, width_um=rng.uniform(1.4, 3.2), share=share)


def _patch_shape(radius: float) -> tuple[int, int]:
    side = round(2 * _REACH * radius / _GRID_UM)
    return side, side


def _on_grid(points: Points) -> NDArray[np.int32]:
    return np.rint(points / _GRID_UM - 0.5).astype(np.int32)


def _tuft_outline(rng: np.random.Generator, glomerulus: Glomerulus) -> Points:
    """Return the outline of the tuft: lobulated, smaller than the capsule, and leaning on its vascular pole."""
    outline, radius = glomerulus.outline, glomerulus.radius_um
    space = float(np.clip(rng.normal(0.07, 0.08), 0.02, 0.32))  # Bowman's space, as a share of the radius
    angle = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
    lobes = np.zeros(len(outline))
    for order in (5, 8, 11, 15, 21):
        lobes += rng.normal(0, 0.14 / order**0.5) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    scale = 1 - space * (1 + 1.5 * np.clip(lobes, -0.35, 0.9))
    pole = rng.uniform(0, 2 * np.pi)
    lean = np.array([np.cos(pole), np.sin(pole)]) * space * radius * 0.6
    return np.asarray(glomerulus.centre) + (outline - glomerulus.centre) * scale[:, None] + lean


def _lobules(rng: np.random.Generator, tuft: Points, radius: float, *, loose_um: float) -> NDArray[np.bool_]:
    """Return the tuft (H, W) on the patch's grid without the clefts of Bowman's space between its lobules.

    Clefts are wider by `loose_um`.
    """
    shape, extent_um = _patch_shape(radius), 2 * _REACH * radius
    distance_um = distance_to_walls(
        rng, extent_um=extent_um, grid_um=_GRID_UM, spacing_um=float(rng.uniform(30, 44)),
        allowed=np.ones(shape, dtype=bool), stretch=float(rng.uniform(1.0, 1.9)), bend_um=11.0,
    )  # fmt: skip
    # Clefts open and close along their way, so lobules hang together.
    width_um = 1.5 * noise_field(rng, 16.0, extent_um=extent_um, shape=shape) + rng.uniform(0.2, 1.8) + loose_um
    inside = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(inside, [_on_grid(tuft)], 1)
    return inside.astype(bool) & ~((distance_um < width_um) & (width_um > 0.3))


def _paint_loops(
    canvas: Canvas, rng: np.random.Generator, tuft: NDArray[np.bool_], *, corner: NDArray[np.float64], radius: float
) -> None:
    """Paint capillary loops: small white lumens in magenta walls, mesangium and nuclei between."""
    shape, extent_um = _patch_shape(radius), 2 * _REACH * radius
    gap = 0.5 + 0.3 * np.abs(noise_field(rng, 18.0, extent_um=extent_um, shape=shape))
    loops = pack_cells(
        rng, extent_um=extent_um, grid_um=_GRID_UM, spacing_um=float(rng.uniform(9.5, 13.0)),
        gap_um=gap.astype(np.float32), allowed=tuft,
        stretch=float(rng.uniform(1.0, 1.6)), bend_um=2.4, merge_share=0.2, smooth_um=2.0,
    )  # fmt: skip
    patency = noise_field(rng, 35.0, extent_um=extent_um, shape=shape) * 0.2 + rng.uniform(0.25, 0.9)
    bright = rng.uniform(0.7, 1.0)
    nuclei, crowding = [], rng.uniform(0.5, 1.5)
    for loop in loops:
        column, row = np.clip((loop.mean(axis=0) / _GRID_UM).astype(int), 0, tuft.shape[0] - 1)
        loop = loop + corner
        fate = rng.random()
        if fate < patency[row, column]:
            pale = rng.random() < bright
            canvas.fill(loop, (0.01, rng.uniform(0.0, 0.04)) if pale else (0.06, rng.uniform(0.06, 0.16)))
            canvas.stroke(loop, (0.10, rng.uniform(0.34, 0.62)), width_um=rng.uniform(0.8, 1.5))
            if rng.random() < 0.5 * crowding:
                nuclei.append(loop[rng.integers(len(loop))])
        else:
            if fate > 0.8:
                canvas.fill(loop, (0.11, rng.uniform(0.26, 0.48)))
            nuclei.extend(loop.mean(axis=0) + rng.normal(0, 2.2, (rng.poisson(1.5 * crowding), 2)))
    if nuclei:
        centres = np.array(nuclei)
        paint_nuclei(canvas, rng, centres, length_um=6.9, aspect=1.35, darkness=1.1, vesicular=0.55)


def _paint_capsule(
    canvas: Canvas, rng: np.random.Generator, glomerulus: Glomerulus, *, width_um: float, share: float = 1.0
) -> None:
    """Paint Bowman's capsule along the inside of a share of the outline, and the flat nuclei of its epithelium."""
    outline = glomerulus.outline
    normals = inward_normals(outline)
    start, n = int(rng.integers(0, len(outline))), len(outline)
    there = (start + np.arange(int(share * n))) % n
    if len(there) < 3:
        return
    line = (outline + normals * width_um / 2)[there]
    canvas.stroke(line, (0.07, rng.uniform(0.42, 0.62)), width_um=width_um, closed=share == 1)
    thick = there[: n // 3]  # one side is thicker
    line = (outline + normals * 0.8 * width_um)[thick]
    canvas.stroke(line, (0.09, rng.uniform(0.5, 0.66)), width_um=1.3 * width_um, closed=False)
    at = rng.choice(there, int(share * glomerulus.radius_um / 5))
    tangent = tangents(outline)[at]
    paint_nuclei(
        canvas, rng, outline[at] + normals[at] * (width_um + 1.5), length_um=7.0, aspect=2.6,
        angle=np.arctan2(tangent[:, 1], tangent[:, 0]), darkness=1.2, vesicular=0.2,
    )  # fmt: skip


def _paint_sclerosed(canvas: Canvas, rng: np.random.Generator, glomerulus: Glomerulus) -> None:
    """Paint a globally sclerosed glomerulus: a dense shrunken tuft in a fibrous capsule, few nuclei."""
    outline, radius = glomerulus.outline, glomerulus.radius_um
    centre = np.asarray(glomerulus.centre)
    canvas.fill(outline, (0.04, 0.20))
    for ring in np.linspace(0.97, 0.8, 7):
        canvas.stroke(centre + (outline - centre) * ring, (0.06, rng.uniform(0.16, 0.42)), width_um=1.4)
    canvas.fill(centre + (outline - centre) * 0.8, (0.08, rng.uniform(0.36, 0.48)))
    for _ in range(int(radius / 1.6)):
        at = centre + rng.normal(0, 0.36 * radius, 2)
        if np.hypot(*(at - centre)) < 0.66 * radius:
            size = rng.uniform(3, 11)
            clump = blob_outline(rng, (at[0], at[1]), size, roughness=0.15, elongation=2.0, n_points=32)
            canvas.fill(clump, (rng.uniform(0.05, 0.12), rng.uniform(0.32, 0.6)))
            canvas.stroke(clump, (0.1, rng.uniform(0.45, 0.64)), width_um=1.0)
    inside = centre + rng.uniform(-0.6, 0.6, (int(radius / 3), 2)) * radius
    paint_nuclei(canvas, rng, inside, length_um=6.0, aspect=1.8, darkness=1.2, vesicular=0.2)
    _paint_capsule(canvas, rng, glomerulus, width_um=rng.uniform(2.5, 4.5))
