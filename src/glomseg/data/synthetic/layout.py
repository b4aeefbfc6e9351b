"""What lies where in a tile: tissue, glomeruli, vessels and the packing of tubules between them.

Coordinates are um from the tile's upper left corner. Structures reach beyond the tile by `MARGIN_UM`, so
that its border cuts them as a camera would.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from glomseg.data.synthetic.shapes import Points, blob_outline, noise_field, pack_cells
from glomseg.errors import InvalidInputError

MARGIN_UM = 60.0
_GRID_UM = 1.5
_MIN_VISIBLE_UM2 = 2500.0
"""Less of a glomerulus than this is not left in a tile: nobody could recognise it."""

_LEAST_GAP_UM = 6.0
_TORN_SHARE = 0.15
_MUSCLE_SHARE = 0.25
_BESIDE_MUSCLE_UM = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tubule:
    """One profile of a tubule: its outline (N, 2) and its kind, a key of `TUBULE_KINDS`."""

    outline: Points
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Glomerulus:
    """One glomerulus: its outline (N, 2) along the outside of Bowman's capsule.

    A sclerosed one is a dense scar; a torn one lies at the section's edge, its tuft loose and most of its capsule gone.
    """

    outline: Points
    centre: tuple[float, float]
    radius_um: float
    sclerosed: bool
    torn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Vessel:
    """One vessel: its outline (N, 2), and the wall's share of its radius."""

    outline: Points
    centre: tuple[float, float]
    wall_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All structures of one tile.

    Attributes
    ----------
    extent_um
        Side of the tile.
    tissue_um
        (H, W) float32 on a grid over the tile: distance to the edge of the tissue, positive inside.
    scar, infiltrate, muscle
        (H, W) float32 on the same grid, 0 to 1: fibrous scar, lymphocytes, and smooth muscle of the hilum and of
        arteries cut lengthwise.
    fibre_angle_rad
        Direction of the muscle's fibres.
    tubules, glomeruli, vessels
        The structures.
    """

    extent_um: float
    tissue_um: NDArray[np.float32]
    scar: NDArray[np.float32]
    infiltrate: NDArray[np.float32]
    muscle: NDArray[np.float32]
    fibre_angle_rad: float
    tubules: tuple[Tubule, ...]
    glomeruli: tuple[Glomerulus, ...]
    vessels: tuple[Vessel, ...]


def draw_layout(rng: np.random.Generator, *, extent_um: float, n_glomeruli: int) -> Layout:
    """Return a random arrangement of kidney cortex in a tile of `extent_um` with so many glomeruli."""
    wide_um = extent_um + 2 * MARGIN_UM
    n_grid = round(wide_um / _GRID_UM)
    shape = (n_grid, n_grid)
    glomeruli = _draw_glomeruli(rng, extent_um=extent_um, n=n_glomeruli)
    tissue_um = _tissue_field(rng, wide_um, shape, glomeruli=glomeruli)
    vessels = _draw_vessels(rng, extent_um=extent_um, glomeruli=glomeruli, tissue_um=tissue_um)
    scar = _patches(noise_field(rng, 110.0, extent_um=wide_um, shape=shape), threshold=rng.normal(1.5, 0.6))
    infiltrate = _patches(noise_field(rng, 70.0, extent_um=wide_um, shape=shape), threshold=rng.normal(1.7, 0.5))
    outlines = [*(glomerulus.outline for glomerulus in glomeruli), *(vessel.outline for vessel in vessels)]
    taken = _covered(outlines, shape=shape, wide_um=wide_um)
    fibre_angle_rad = float(rng.uniform(0, np.pi))
    muscle = _draw_muscle(rng, wide_um, taken=taken, fibre_angle_rad=fibre_angle_rad)
    tubules = _draw_tubules(
        rng, wide_um, taken=taken, muscle=muscle, tissue_um=tissue_um, crowding=np.maximum(scar, 0.6 * infiltrate)
    )
    inner = slice(round(MARGIN_UM / _GRID_UM), n_grid - round(MARGIN_UM / _GRID_UM))
    return Layout(
        extent_um=extent_um,
        tissue_um=np.ascontiguousarray(tissue_um[inner, inner]),
        scar=np.ascontiguousarray(scar[inner, inner]),
        infiltrate=np.ascontiguousarray(infiltrate[inner, inner]),
        muscle=np.ascontiguousarray(muscle[inner, inner]),
        fibre_angle_rad=fibre_angle_rad,
        tubules=tubules,
        glomeruli=glomeruli,
        vessels=vessels,
    )


def _patches(noise: NDArray[np.float32], *, threshold: float) -> NDArray[np.float32]:
    return np.asarray(np.clip((noise - threshold) / 0.7, 0, 1), dtype=np.float32)


def _draw_glomeruli(rng: np.random.Generator, *, extent_um: float, n: int) -> tuple[Glomerulus, ...]:
    placed: list[Glomerulus] = []
    for _ in range(n + 20):
        if len(placed) == n:
            return tuple(placed)
        candidate = _draw_glomerulus(rng, extent_um=extent_um, beside=placed)
        if candidate is not None:
            placed.append(candidate)
    raise InvalidInputError(
        f"{n} glomeruli do not fit into a tile of {extent_um:g} x {extent_um:g} um without overlapping; "
        "they are 140 to 250 um across: draw fewer, or a larger tile"
    )


def _draw_glomerulus(rng: np.random.Generator, *, extent_um: float, beside: list[Glomerulus]) -> Glomerulus | None:
    """Return a glomerulus that shows enough of itself and overlaps no other, or None where that failed."""
    sclerosed = bool(rng.random() < 0.07)
    torn = not sclerosed and bool(rng.random() < _TORN_SHARE)
    radius = float(rng.uniform(66, 84) if sclerosed else np.clip(rng.normal(92, 14), 70, 125))
    for attempt in range(60):
        crowded = attempt > 30  # then it may lie mostly outside, where there is always room
        low = -0.5 * radius if crowded or rng.random() < 0.3 else min(radius, extent_um / 2)
        x, y = (float(value) for value in rng.uniform(low, extent_um - low, 2))
        if beside and rng.random() < 0.25:  # a touching pair
            angle, other = rng.uniform(0, 2 * np.pi), beside[-1]
            reach = (other.radius_um + radius) * 1.03
            x, y = other.centre[0] + reach * np.cos(angle), other.centre[1] + reach * np.sin(angle)
        outline = blob_outline(rng, (x, y), radius, roughness=rng.uniform(0.03, 0.09), elongation=rng.uniform(1.0, 1.7))
        candidate = Glomerulus(outline=outline, centre=(x, y), radius_um=radius, sclerosed=sclerosed, torn=torn)
        if any(_overlap(candidate, other) for other in beside):
            continue
        if _visible_area_um2(outline, extent_um) > min(_MIN_VISIBLE_UM2, 0.3 * extent_um**2):
            return candidate
    return None


def _overlap(one: Glomerulus, other: Glomerulus) -> bool:
    """Return whether two glomeruli overlap, or come as close as the points of an outline are to each other."""
    apart_um = np.hypot(one.centre[0] - other.centre[0], one.centre[1] - other.centre[1])
    gap_um = cKDTree(one.outline).query(other.outline)[0].min()
    return bool(apart_um < max(one.radius_um, other.radius_um) or gap_um < _LEAST_GAP_UM)


def _visible_area_um2(outline: Points, extent_um: float) -> float:
    canvas = np.zeros((64, 64), dtype=np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline * (64 / extent_um)).astype(np.int32)], 1)
    return float(canvas.sum()) * (extent_um / 64) ** 2


def _from_middle(shape: tuple[int, int], wide_um: float) -> NDArray[np.float32]:
    """Return the (2, H, W) rows and columns of the grid's cells in um from its middle."""
    cells = np.mgrid[: shape[0], : shape[1]].astype(np.float32) + 0.5
    return np.asarray(cells * (wide_um / shape[0]) - wide_um / 2, dtype=np.float32)


def _tissue_field(
    rng: np.random.Generator, wide_um: float, shape: tuple[int, int], *, glomeruli: tuple[Glomerulus, ...]
) -> NDArray[np.float32]:
    """Return the distance to the tissue's edge (H, W) in um: all tissue, one edge, a thin core, or nothing."""
    y, x = _from_middle(shape, wide_um)
    turn = rng.uniform(0, 2 * np.pi)
    across = np.cos(turn) * x + np.sin(turn) * y
    wave = 35 * noise_field(rng, 160.0, extent_um=wide_um, shape=shape)
    wave += 14 * noise_field(rng, 45.0, extent_um=wide_um, shape=shape)
    inner_um = wide_um - 2 * MARGIN_UM
    kind = rng.random()
    offset = float(rng.uniform(-0.2, 0.4)) * inner_um
    half_width = float(rng.uniform(0.3, 0.5)) * inner_um
    if kind < 0.5:
        field = np.full(shape, 500.0, dtype=np.float32)
    elif kind < 0.78:
        field = across + offset + wave
    elif kind < 0.95 or glomeruli:
        field = half_width - np.abs(across) + wave
    else:
        field = across - 0.42 * inner_um + wave
    for glomerulus in glomeruli:  # tissue round a glomerulus, though hardly any at an edge
        centre = np.asarray(glomerulus.centre) - inner_um / 2
        if glomerulus.torn:
            towards = rng.uniform(0, 2 * np.pi)
            depth_um = np.cos(towards) * (x - centre[0]) + np.sin(towards) * (y - centre[1])
            field = np.minimum(field, depth_um + float(rng.uniform(-0.8, 0.8)) * glomerulus.radius_um + 0.5 * wave)
            continue
        rim = glomerulus.radius_um + float(rng.choice([4.0, 60.0]))
        field = np.maximum(field, rim + 0.5 * wave - np.hypot(x - centre[0], y - centre[1]))
    return field.astype(np.float32)


def _draw_vessels(
    rng: np.random.Generator,
    *,
    extent_um: float,
    glomeruli: tuple[Glomerulus, ...],
    tissue_um: NDArray[np.float32],
) -> tuple[Vessel, ...]:
    """Return arteries, arterioles and veins, as many as the tile's area holds, that overlap nothing."""
    expected = extent_um**2 / 512**2
    radii = [
        *rng.uniform(70, 170, rng.poisson(0.11 * expected)),  # arcuate and interlobular arteries
        *rng.uniform(28, 60, rng.poisson(0.5 * expected)),
        *rng.uniform(9, 20, rng.poisson(2.5 * expected)),  # arterioles
    ]
    vessels: list[Vessel] = []
    taken = [(g.centre, g.radius_um) for g in glomeruli]
    scale = tissue_um.shape[0] / (extent_um + 2 * MARGIN_UM)
    for radius in radii:
        for _ in range(8):
            centre = (float(rng.uniform(0, extent_um)), float(rng.uniform(0, extent_um)))
            elongation = float(rng.uniform(1.0, 2.3))
            reach = radius * np.sqrt(elongation) * 1.1
            column, row = ((np.asarray(centre) + MARGIN_UM) * scale).astype(int)
            if tissue_um[row, column] < 0.3 * radius:  # none of them float beside the tissue
                continue
            if all(np.hypot(centre[0] - c[0], centre[1] - c[1]) > reach + r + 6 for c, r in taken):
                outline = blob_outline(rng, centre, radius, roughness=0.06, elongation=elongation)
                wall = float(rng.uniform(0.08, 0.2) if rng.random() < 0.2 else rng.uniform(0.42, 0.75))
                vessels.append(Vessel(outline=outline, centre=centre, wall_share=wall))
                taken.append((centre, float(reach)))
                break
    return tuple(vessels)


def _covered(outlines: list[Points], *, shape: tuple[int, int], wide_um: float) -> NDArray[np.uint8]:
    """Return what lies inside outlines as 1 (H, W) on the grid."""
    covered = np.zeros(shape, dtype=np.uint8)
    for outline in outlines:
        cv2.fillPoly(covered, [np.rint((outline + MARGIN_UM) * (shape[0] / wide_um)).astype(np.int32)], 1)
    return covered


def _draw_muscle(
    rng: np.random.Generator, wide_um: float, *, taken: NDArray[np.uint8], fibre_angle_rad: float
) -> NDArray[np.float32]:
    """Return where smooth muscle is (H, W), 0 to 1: in one tile of four a band or all of one side, beside all else."""
    shape = (taken.shape[0], taken.shape[1])
    if rng.random() > _MUSCLE_SHARE:
        return np.zeros(shape, dtype=np.float32)
    y, x = _from_middle(shape, wide_um)
    turn = fibre_angle_rad + rng.normal(0, 0.3)  # bands mostly run along their fibres
    across = np.cos(turn) * y - np.sin(turn) * x + rng.uniform(-0.45, 0.45) * wide_um
    across += 30 * noise_field(rng, 150.0, extent_um=wide_um, shape=shape)
    across += 8 * noise_field(rng, 40.0, extent_um=wide_um, shape=shape)
    depth_um = rng.uniform(30, 130) - np.abs(across) if rng.random() < 0.75 else across
    beside = np.minimum(cv2.distanceTransform(1 - taken, cv2.DIST_L2, 5), wide_um)  # huge where nothing is taken
    beside_um = beside / (shape[0] / wide_um) - _BESIDE_MUSCLE_UM
    return np.asarray(np.clip(np.minimum(depth_um, beside_um) / 6, 0, 1), dtype=np.float32)


def _draw_tubules(
    rng: np.random.Generator,
    wide_um: float,
    *,
    taken: NDArray[np.uint8],
    muscle: NDArray[np.float32],
    tissue_um: NDArray[np.float32],
    crowding: NDArray[np.float32],
) -> tuple[Tubule, ...]:
    shape = (tissue_um.shape[0], tissue_um.shape[1])
    scale = shape[0] / wide_um
    gap = 0.8 + 1.1 * np.abs(noise_field(rng, 60.0, extent_um=wide_um, shape=shape)) + 9 * crowding
    cells = pack_cells(
        rng, extent_um=wide_um, grid_um=_GRID_UM, spacing_um=float(rng.uniform(44, 78)),
        gap_um=gap.astype(np.float32), allowed=(taken == 0) & (muscle < 0.5), stretch=float(rng.uniform(1.0, 2.2)),
        bend_um=float(rng.uniform(7, 14)), merge_share=0.22, smooth_um=5.0,
    )  # fmt: skip
    fat = noise_field(rng, 170.0, extent_um=wide_um, shape=shape) > rng.normal(2.6, 0.5)
    shares = rng.dirichlet([10, 5, 2.5, 0.7, 0.5, 0.4])
    names = ["proximal", "distal", "clear", "crowded", "cast", "atrophic"]
    tubules = []
    for cell in cells:
        kind = str(rng.choice(names, p=shares))
        column, row = np.clip((cell.mean(axis=0) * scale).astype(int), 0, shape[0] - 1)
        if crowding[row, column] > 0.4:
            kind = "atrophic"
        if fat[row, column]:
            kind = "fat"
        if tissue_um[row, column] > 0:
            tubules.append(Tubule(outline=cell - MARGIN_UM, kind=kind))
    return tuple(tubules)
