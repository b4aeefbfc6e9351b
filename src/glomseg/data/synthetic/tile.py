"""One synthetic tile: picture and truth from a seed."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.data.synthetic.canvas import Canvas
from glomseg.data.synthetic.glomeruli import paint_glomeruli
from glomseg.data.synthetic.layout import draw_layout
from glomseg.data.synthetic.look import SlideLook, develop, draw_slide_look
from glomseg.data.synthetic.painting import paint_interstitium, paint_tubules, paint_vessels
from glomseg.errors import InvalidInputError

_FOREGROUND_SHARE = 0.3
_FINEST_MPP = 0.5
"""Painting finer than this adds nothing: the finest structures are about 1 um wide."""

_OVERSAMPLING = 1.5
"""Coarser tiles are painted with so many times their pixels a side, then averaged; 2 looks no better."""


def draw_tile(
    *,
    seed: int | Sequence[int],
    size_px: int = 512,
    mpp: float = 1.0,
    n_glomeruli: int | None = None,
    slide: SlideLook | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a synthetic tile of PAS-stained kidney cortex and its exact truth.

    Sizes are physical: 512 pixels at 1 um and 1024 pixels at 0.5 um show the same field of view of the
    same tissue.

    Parameters
    ----------
    seed
        The same seed and settings give the same bytes.
    size_px
        Height and width.
    mpp
        Micrometres per pixel.
    n_glomeruli
        How many glomeruli are (at least partly) in the tile; None draws the number, mostly 0.
    slide
        Stain and scanner; None draws one.

    Returns
    -------
    image
        (H, W, 3) uint8 RGB.
    mask
        (H, W) uint8, 1 inside a glomerulus (Bowman's capsule and all it holds), else 0.

    Raises
    ------
    InvalidInputError
        If the seed, the size, the scale or the number of glomeruli is out of range.
    """
    check_tile_settings(size_px=size_px, mpp=mpp, n_glomeruli=n_glomeruli)
    if np.min(seed) < 0:
        raise InvalidInputError(f"the seed is {seed}; it must be 0 or more")
    # One stream a step: how many numbers a step draws, which the resolution may change, moves no other step.
    layout_rng, *paint_rngs, warp_rng, scanner_rng = np.random.default_rng(seed).spawn(7)
    extent_um = size_px * mpp
    count = n_glomeruli
    if count is None:
        count = draw_glomerulus_count(layout_rng, extent_um=extent_um) if layout_rng.random() < _FOREGROUND_SHARE else 0
    layout = draw_layout(layout_rng, extent_um=extent_um, n_glomeruli=count)
    look = draw_slide_look(scanner_rng.integers(0, 2**32, 4).tolist()) if slide is None else slide
    canvas = Canvas(extent_um=extent_um, mpp=min(mpp, max(mpp / _OVERSAMPLING, _FINEST_MPP)))
    paint_interstitium(canvas, paint_rngs[0], layout)
    paint_tubules(canvas, paint_rngs[1], layout.tubules)
    paint_vessels(canvas, paint_rngs[2], layout.vessels)
    paint_glomeruli(canvas, paint_rngs[3], layout.glomeruli)
    truth = canvas.mask_of([glomerulus.outline for glomerulus in layout.glomeruli]).astype(np.float32)
    grain = 1 + 0.10 * canvas.noise(warp_rng, 1.6) + 0.09 * canvas.noise(warp_rng, 5.0)
    canvas.amounts *= np.clip(grain, 0.5, 1.5)[..., None]
    amounts, truth = _warped(canvas, warp_rng, truth)
    image = develop(amounts, look, scanner_rng, extent_um=extent_um, size_px=size_px)
    share = cv2.resize(truth, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return image, (share >= 0.5).astype(np.uint8)


def draw_glomerulus_count(rng: np.random.Generator, *, extent_um: float) -> int:
    """Return how many glomeruli a tile of `extent_um` shows if it shows any: 1 to 3 in 512 um, by area beyond."""
    n = int(rng.choice([1, 2, 3], p=[0.76, 0.2, 0.04]))
    if extent_um < 350:  # no room for two whole ones
        return 1
    return round(n * max(1.0, (extent_um / 512) ** 2))


def check_tile_settings(*, size_px: int, mpp: float, n_glomeruli: int | None) -> None:
    """Raise InvalidInputError for a tile that cannot be drawn."""
    if not 32 <= size_px <= 8192:
        raise InvalidInputError(f"a tile of {size_px} pixels cannot be drawn; choose a size from 32 to 8192 pixels")
    if not 0.1 <= mpp <= 8:
        raise InvalidInputError(
            f"{mpp} um per pixel is not a scale at which tissue can be drawn; choose one from 0.1 to 8"
        )
    if n_glomeruli is not None and n_glomeruli < 0:
        raise InvalidInputError(f"{n_glomeruli} glomeruli cannot be drawn; give 0 or more")


def _warped(
    canvas: Canvas, rng: np.random.Generator, truth: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return dye and truth displaced together by a fine noise that takes the ruler out of the outlines."""
    row, column = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    for wavelength_um, amplitude_um in ((4.0, 0.45), (12.0, 0.9)):
        column += canvas.noise(rng, wavelength_um) * np.float32(amplitude_um / canvas.mpp)
        row += canvas.noise(rng, wavelength_um) * np.float32(amplitude_um / canvas.mpp)
    moved = [
        cv2.remap(plane, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for plane in (canvas.amounts, truth)
    ]
    return np.asarray(moved[0], dtype=np.float32), np.asarray(moved[1], dtype=np.float32)
