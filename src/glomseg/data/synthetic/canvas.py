"""A section of tissue as amounts of dye, and the primitives that paint on it in um."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.data.synthetic.shapes import Points, noise_field

Dye = tuple[float, float]
"""Amounts (hematoxylin, PAS); 1 is an optical density of 1 along the dye's vector."""

_SHIFT = 4  # fractional bits of the coordinates OpenCV draws with


@dataclass(slots=True, kw_only=True)
class Canvas:
    """Amounts of dye on a square of tissue, painted over and over; the only mutable thing here.

    Attributes
    ----------
    extent_um
        Side of the square.
    mpp
        Micrometres per pixel.
    amounts
        (H, W, 2) float32 hematoxylin and PAS.
    """

    extent_um: float
    mpp: float
    amounts: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        side = round(self.extent_um / self.mpp)
        self.amounts = np.zeros((side, side, 2), dtype=np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.amounts.shape[0], self.amounts.shape[1]

    def noise(self, rng: np.random.Generator, wavelength_um: float) -> NDArray[np.float32]:
        """Return smooth noise (H, W) of unit variance."""
        return noise_field(rng, wavelength_um, extent_um=self.extent_um, shape=self.shape)

    def spread(self, coarse: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a field on a coarser grid over the same square, interpolated to the pixels."""
        return np.asarray(cv2.resize(coarse, self.shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)

    def to_pixels(self, points: Points) -> NDArray[np.int32]:
        """Return points in um as fixed-point pixel coordinates for OpenCV; pixel centres are whole numbers."""
        limit = 4.0 * self.extent_um  # far outside is outside: keeps the integers small
        return np.rint((np.clip(points, -limit, limit) / self.mpp - 0.5) * (1 << _SHIFT)).astype(np.int32)

    def fill(self, outline: Points, dye: Dye) -> None:
        """Fill a closed outline."""
        cv2.fillPoly(self.amounts, [self.to_pixels(outline)], dye, cv2.LINE_8, _SHIFT)

    def fill_plane(self, plane: NDArray[np.float32], outline: Points, value: Sequence[float]) -> None:
        """Fill a closed outline in another (H, W) or (H, W, C) plane over the same square."""
        cv2.fillPoly(plane, [self.to_pixels(outline)], tuple(value), cv2.LINE_8, _SHIFT)

    def stroke(self, points: Points, dye: Dye, *, width_um: float, closed: bool = True) -> None:
        """Draw a line along points."""
        width_px = max(1, round(width_um / self.mpp))
        # Whole pixels are wider or narrower than the line: the dye in its cross-section stays the same.
        share = min(width_um / self.mpp / width_px, 1.4)
        dye = (dye[0] * share, dye[1] * share)
        cv2.polylines(self.amounts, [self.to_pixels(points)], closed, dye, width_px, cv2.LINE_8, _SHIFT)

    def fill_convex(self, outlines: NDArray[np.float64], dyes: NDArray[np.float64]) -> None:
        """Fill convex outlines (N, P, 2) with amounts (N, 2), those within sight."""
        reach = self.extent_um + 20
        seen = ((outlines[:, 0] > -20) & (outlines[:, 0] < reach)).all(axis=1)
        for pixels, dye in zip(self.to_pixels(outlines[seen]), dyes[seen].tolist(), strict=True):
            cv2.fillConvexPoly(self.amounts, pixels, dye, cv2.LINE_8, _SHIFT)

    def mask_of(self, outlines: Sequence[Points]) -> NDArray[np.uint8]:
        """Return (H, W) uint8, 1 inside the outlines."""
        mask = np.zeros(self.shape, dtype=np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [self.to_pixels(outline)], 1, cv2.LINE_8, _SHIFT)
        return mask

    def sample(self, plane: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
        """Return the values of a plane (H, W) at points (N, 2); beyond the border, of the nearest pixel."""
        column, row = np.clip((points / self.mpp).astype(int), 0, np.array(self.shape)[::-1, None].T - 1).T
        return np.asarray(plane[row, column], dtype=np.float32)


def paint_nuclei(
    canvas: Canvas,
    rng: np.random.Generator,
    centres: Points,
    *,
    length_um: float | NDArray[np.float64],
    aspect: float | NDArray[np.float64],
    angle: NDArray[np.float64] | None = None,
    darkness: float | NDArray[np.float64] = 1.0,
    vesicular: float = 0.5,
) -> None:
    """Paint cell nuclei: blue-grey, some pale and out of focus, some dense.

    Parameters
    ----------
    canvas, rng
        Where, and the source of randomness.
    centres
        (N, 2).
    length_um, aspect
        Long axis on average, and its ratio to the short one: one number, or one a nucleus.
    angle
        (N,) direction of the long axis; None for random.
    darkness
        Amount of dye relative to a usual nucleus, likewise.
    vesicular
        Share of the nuclei with a pale centre.
    """
    n = len(centres)
    if not n:
        return
    direction = rng.uniform(0, np.pi, n) if angle is None else angle + rng.normal(0, 0.25, n)
    long_axis = 0.5 * length_um * rng.normal(1, 0.12, n).clip(0.7, 1.35)
    short_axis = long_axis / np.maximum(aspect * rng.normal(1, 0.12, n), 1.0)
    theta = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    bumps = 1 + 0.07 * rng.normal(size=(n, 1)) * np.cos(2 * theta + rng.uniform(0, 6, (n, 1)))
    bumps += 0.05 * rng.normal(size=(n, 1)) * np.cos(3 * theta + rng.uniform(0, 6, (n, 1)))
    along, across = long_axis[:, None] * np.cos(theta) * bumps, short_axis[:, None] * np.sin(theta) * bumps
    cos, sin = np.cos(direction)[:, None], np.sin(direction)[:, None]
    shape = np.stack([along * cos - across * sin, along * sin + across * cos], axis=-1)
    tone = darkness * np.exp(rng.normal(0, 0.24, n))
    dyes = np.column_stack([0.50 * tone, 0.10 + 0.09 * tone]).clip(0.08, 0.95)
    canvas.fill_convex(centres[:, None] + shape, dyes)
    pale = rng.random(n) < vesicular
    shift = rng.normal(0, 0.06, (n, 1, 2)) * short_axis[:, None, None]
    canvas.fill_convex((centres[:, None] + shift + 0.66 * shape)[pale], dyes[pale] * [0.76, 0.85])
    speck = (centres[:, None] + 3 * shift + 0.22 * shape)[pale]
    canvas.fill_convex(speck, dyes[pale] * [1.15, 1.1])
