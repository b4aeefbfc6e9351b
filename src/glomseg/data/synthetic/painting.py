"""Painting interstitium, tubules and vessels."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.data.synthetic.canvas import Canvas, paint_nuclei
from glomseg.data.synthetic.layout import Layout, Tubule, Vessel
from glomseg.data.synthetic.shapes import Points, inward_normals, signed_area, tangents
from glomseg.data.synthetic.tubule_kinds import TUBULE_KINDS


def paint_interstitium(canvas: Canvas, rng: np.random.Generator, layout: Layout) -> None:
    """Paint the fibrous ground between the structures, ragged at the tissue's edge, with its cells."""
    outlines = _outlines(layout)
    distance_um = _distance_um(canvas, 1 - canvas.mask_of(outlines))
    fine = [canvas.noise(rng, wavelength) for wavelength in (1.6, 4.0, 11.0, 32.0)]
    # Fibres run along the structures they hold: lines of equal distance to them, disturbed.
    phase = distance_um / 2.6 + 0.9 * fine[2] + 1.6 * fine[3]
    fibres = np.cos(2 * np.pi * phase) * np.clip(0.6 + 0.6 * fine[2], 0, 1.3)
    scar, infiltrate = canvas.spread(layout.scar), canvas.spread(layout.infiltrate)
    pas = 0.17 + 0.045 * fibres + 0.035 * fine[1] + 0.03 * fine[0] + 0.03 * fine[3] + 0.22 * scar
    hematoxylin = 0.035 + 0.02 * fine[3] + 0.015 * fine[0] + 0.03 * fibres * scar + 0.10 * infiltrate
    muscle = canvas.spread(layout.muscle)
    strands = _strands(canvas, fine, angle_rad=layout.fibre_angle_rad)
    pas += muscle * (0.09 + 0.13 * strands)
    hematoxylin += muscle * (0.01 + 0.015 * strands)
    edge_um = canvas.spread(layout.tissue_um)
    held_um = 7 + 5 * fine[2] + 4 * fine[3] - distance_um  # a cuff of ground stays on every structure
    edge_um = np.maximum(np.minimum(edge_um, 60), held_um) + 2.5 * fine[1] + 3.5 * fine[2]
    cover = np.clip(edge_um / 3 + 0.5, 0, 1)
    # Loose tissue: pale meshes, slits of capillaries, and cracks from sectioning.
    openness = 2.2 * fine[2] - 1.6 + fine[1] - 2 * scar - 2 * muscle
    slits = np.clip((distance_um - 2.5) / 2, 0, 1) * np.clip(openness, 0, 1)
    slits = np.maximum(slits, muscle * np.clip(1.5 * fine[3] - 2.5 * strands - 2.2, 0, 1))
    crack = np.clip(1.6 - 9 * np.abs(canvas.noise(rng, 120.0)) - 1.2 * np.abs(fine[3]), 0, 1)
    crack *= np.clip(distance_um - 1.2, 0, 1) * float(rng.uniform(-0.6, 1.0) > 0)
    cover *= (1 - 0.9 * slits) * (1 - crack)
    canvas.amounts[..., 0] = np.maximum(hematoxylin, 0.0) * cover
    canvas.amounts[..., 1] = np.maximum(pas, 0.05) * cover
    _paint_interstitial_nuclei(
        canvas, rng, distance_um=distance_um, edge_um=edge_um, infiltrate=infiltrate, muscle=muscle,
        fibre_angle_rad=layout.fibre_angle_rad,
    )  # fmt: skip


def _strands(canvas: Canvas, fine: Sequence[NDArray[np.float32]], *, angle_rad: float) -> NDArray[np.float32]:
    """Return the fibres of muscle (H, W), -1 to 1: wavy lines along a direction, that open and close."""
    row, column = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32) * np.float32(canvas.mpp)
    across_um = np.cos(angle_rad) * row - np.sin(angle_rad) * column + 1.5 * fine[2] + 6 * fine[3]
    return np.asarray(np.cos(2 * np.pi * across_um / 8) * np.clip(0.9 + 0.5 * fine[2], 0, 1), dtype=np.float32)


def _outlines(layout: Layout) -> list[Points]:
    return [
        *(tubule.outline for tubule in layout.tubules),
        *(glomerulus.outline for glomerulus in layout.glomeruli),
        *(vessel.outline for vessel in layout.vessels),
    ]


def _distance_um(canvas: Canvas, free: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the distance in um of every pixel with `free` 1 to the nearest with 0; large where there is none."""
    distance = cv2.distanceTransform(np.pad(free, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1] * canvas.mpp
    return np.asarray(np.minimum(distance, 200.0), dtype=np.float32)


def _paint_interstitial_nuclei(
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    distance_um: NDArray[np.float32],
    edge_um: NDArray[np.float32],
    infiltrate: NDArray[np.float32],
    muscle: NDArray[np.float32],
    fibre_angle_rad: float,
) -> None:
    n = int(canvas.extent_um**2 / 70)
    centres = rng.uniform(0, canvas.extent_um, (n, 2))
    chance = rng.random(n)
    cells = canvas.sample(infiltrate, centres)
    fits = canvas.sample(distance_um, centres) > 1.0
    in_tissue = canvas.sample(edge_um, centres) > -6 * rng.random(n) ** 4
    smooth = cv2.GaussianBlur(distance_um, (0, 0), 2.0 / canvas.mpp)
    slope = [np.asarray(cv2.Sobel(smooth, cv2.CV_32F, *axis), dtype=np.float32) for axis in ((1, 0), (0, 1))]
    along = np.arctan2(canvas.sample(slope[1], centres), canvas.sample(slope[0], centres)) + np.pi / 2
    length = rng.uniform(4.5, 9, n)
    in_muscle = canvas.sample(muscle, centres) > 0.5
    along = np.where(in_muscle, fibre_angle_rad, along)
    spindle = fits & in_tissue & (chance < np.where(in_muscle, 0.2, rng.uniform(0.1, 0.32)))
    paint_nuclei(
        canvas, rng, centres[spindle], length_um=length[spindle], aspect=2.6,
        angle=along[spindle].astype(np.float64), darkness=1.15, vesicular=0.15,
    )  # fmt: skip
    lymphocyte = fits & in_tissue & (chance > 0.42) & (chance < 0.45 + 0.5 * cells)
    paint_nuclei(canvas, rng, centres[lymphocyte], length_um=5.2, aspect=1.1, darkness=1.4, vesicular=0.1)


def paint_tubules(canvas: Canvas, rng: np.random.Generator, tubules: tuple[Tubule, ...]) -> None:
    """Paint tubules: foamy epithelium on a thin magenta membrane, a ring of nuclei, a whitish ragged lumen."""
    if not tubules:
        return
    properties = np.zeros((*canvas.shape, 4), dtype=np.float32)  # epithelium height, foam, cast, brush border
    for tubule in tubules:
        kind = TUBULE_KINDS[tubule.kind]
        canvas.fill(tubule.outline, (rng.uniform(*kind.hematoxylin), rng.uniform(*kind.pas)))
        brush = 0.12 if tubule.kind == "proximal" else 0.0
        values = (rng.uniform(*kind.epithelium_um), kind.foam, rng.uniform(*kind.cast), brush)
        canvas.fill_plane(properties, tubule.outline, values)
    _hollow_tubules(canvas, rng, properties, inside=canvas.mask_of([tubule.outline for tubule in tubules]))
    for tubule in tubules:
        kind = TUBULE_KINDS[tubule.kind]
        pas = rng.uniform(*kind.membrane_pas)
        canvas.stroke(tubule.outline, (0.06, pas), width_um=kind.membrane_um * rng.uniform(0.8, 1.4))
    _paint_rings_of_nuclei(canvas, rng, tubules)


def _hollow_tubules(
    canvas: Canvas, rng: np.random.Generator, properties: NDArray[np.float32], *, inside: NDArray[np.uint8]
) -> None:
    """Give the epithelium its texture and open the lumen where the depth exceeds the epithelium's height."""
    height_um, foam, cast, brush = (properties[..., channel] for channel in range(4))
    depth_um = _distance_um(canvas, inside)
    grain = [canvas.noise(rng, wavelength) for wavelength in (1.3, 3.2, 8.0, 18.0)]
    beyond_um = depth_um - height_um * (1 + 0.22 * grain[3]) + 2.2 * grain[2] + 1.3 * grain[1]
    lumen = np.clip(beyond_um / 4 + 0.35, 0, 1)
    brush_border = brush * np.exp(-((beyond_um / 1.8) ** 2))
    foamy = 1 + foam * (0.30 * grain[0] + 0.42 * grain[1] + 0.30 * grain[2])
    vacuoles = np.clip(1.3 * grain[2] - 1.5 + 0.5 * grain[1], 0, 1) * foam * np.clip(depth_um / 4 - 0.5, 0, 1)
    filled = np.clip(foamy, 0.15, 2.2) * (1 - 0.9 * vacuoles)
    strands = 0.02 * np.clip(0.8 * grain[0] + grain[1] + grain[2] - 0.8, 0, 1.5)  # what is left in a lumen
    here = inside.astype(bool)
    for channel, (content, rim) in enumerate(((0.2 * cast + strands, 0.25), (cast + 0.6 * strands, 1.0))):
        plane = canvas.amounts[..., channel]
        painted = (plane * filled + rim * brush_border) * (1 - lumen) + content * lumen * (1 + 0.1 * grain[1])
        plane[here] = np.maximum(painted, 0)[here]


def _paint_rings_of_nuclei(canvas: Canvas, rng: np.random.Generator, tubules: tuple[Tubule, ...]) -> None:
    centres, lengths, darkness = [], [], []
    sparseness = rng.uniform(0.9, 1.9)
    for tubule in tubules:
        kind = TUBULE_KINDS[tubule.kind]
        ring = tubule.outline
        length_um = float(np.hypot(*tangents(ring).T).sum() / 2)
        spacing = sparseness * rng.uniform(*kind.nucleus_spacing_um)
        n = max(1, int(length_um / spacing))
        at = (np.arange(n) + rng.uniform(0, 1) + rng.normal(0, 0.3, n)) * (spacing / length_um * len(ring))
        index = at.astype(int) % len(ring)
        inset = 0.62 * kind.nucleus_um + rng.exponential(1.2, n)
        ring_centres = ring[index] + inward_normals(ring)[index] * inset[:, None]
        if abs(signed_area(ring)) < 900 and rng.random() < 0.6:  # cut along its wall: nuclei all over
            ring_centres = np.vstack([ring_centres, ring.mean(axis=0) + rng.normal(0, 7, (5, 2))])
        centres.append(ring_centres)
        lengths.append(np.full(len(ring_centres), kind.nucleus_um))
        tone = 1.15 if tubule.kind in ("crowded", "atrophic") else rng.uniform(0.75, 1.1)
        darkness.append(np.full(len(ring_centres), tone))
    paint_nuclei(
        canvas, rng, np.concatenate(centres), length_um=np.concatenate(lengths), aspect=1.15,
        darkness=np.concatenate(darkness), vesicular=0.7,
    )  # fmt: skip


def paint_vessels(canvas: Canvas, rng: np.random.Generator, vessels: tuple[Vessel, ...]) -> None:
    """Paint vessels: a white lumen in a wall of pink striated muscle with spindle nuclei along it."""
    for vessel in vessels:
        _paint_vessel(canvas, rng, vessel)


def _paint_vessel(canvas: Canvas, rng: np.random.Generator, vessel: Vessel) -> None:
    centre = np.asarray(vessel.centre)
    radius = float(np.hypot(*(vessel.outline - centre).T).mean())
    wall_um = vessel.wall_share * radius
    inner = centre + (vessel.outline - centre) * (1 - vessel.wall_share)
    tone = rng.uniform(0.85, 1.25)
    canvas.fill(vessel.outline, (0.06 * tone, 0.26 * tone))
    for _ in range(int(np.clip(wall_um * 2.2, 4, 260))):
        _paint_fibre(canvas, rng, vessel.outline, inner, tone=tone)
    lumen_pas = rng.uniform(0.01, 0.03) if rng.random() < 0.75 else rng.uniform(0.10, 0.18)
    lumen = _wavy(rng, inner, amplitude_um=0.05 * radius * (1 - vessel.wall_share) + 0.5)
    canvas.fill(lumen, (0.01, lumen_pas))
    canvas.stroke(lumen, (0.10, 0.55 * tone), width_um=1.2 if radius < 30 else 1.8)
    n = int(min(wall_um * radius / 28, 700))
    at, depth = rng.integers(0, len(inner), n), np.sqrt(rng.uniform(0, 1, n))
    centres = inner[at] * (1 - depth[:, None]) + vessel.outline[at] * depth[:, None]
    tangent = tangents(inner)[at]
    angle = np.arctan2(tangent[:, 1], tangent[:, 0])
    length = 9.5 if radius > 24 else 6.0
    paint_nuclei(canvas, rng, centres, length_um=length, aspect=3.0, angle=angle, darkness=1.0, vesicular=0.4)
    endothelium = lumen[rng.integers(0, len(lumen), max(3, int(radius / 3)))]
    paint_nuclei(canvas, rng, endothelium, length_um=5.0, aspect=1.8, darkness=1.2, vesicular=0.2)


def _paint_fibre(canvas: Canvas, rng: np.random.Generator, outer: Points, inner: Points, *, tone: float) -> None:
    """Draw one wavy fibre along a part of the wall."""
    n = len(outer)
    start, length = int(rng.integers(0, n)), int(rng.integers(n // 10, n // 2))
    at = (start + np.arange(length)) % n
    depth = np.sqrt(rng.uniform(0, 1)) + np.cumsum(rng.normal(0, 0.006, length))
    depth = np.clip(depth, 0.0, 1.02)[:, None]
    fibre = inner[at] * (1 - depth) + outer[at] * depth
    pale = rng.random() < 0.45
    dye = (0.03, rng.uniform(0.08, 0.18)) if pale else (rng.uniform(0.05, 0.12), tone * rng.uniform(0.30, 0.46))
    canvas.stroke(fibre, dye, width_um=rng.uniform(0.5, 1.6), closed=False)


def _wavy(rng: np.random.Generator, outline: Points, *, amplitude_um: float) -> Points:
    """Return the outline folded along its length, as the inner elastic lamina of an artery is."""
    n = len(outline)
    wave = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * np.exp(-(((np.arange(n // 2 + 1) - 11) / 7.0) ** 2)), n)
    wave *= amplitude_um / max(float(wave.std()), 1e-9)
    return outline + inward_normals(outline) * wave[:, None]
