"""Changing the colours of a training window, in the ways that slides differ from one another.

Stains are separated by colour deconvolution in optical density (Ruifrok and Johnston, Anal Quant Cytol
Histol 23, 2001), changed one by one, and put together again.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.config import AugmentSettings

Image = NDArray[np.uint8]

# Optical density of haematoxylin and of PAS in R, G, B (Ruifrok and Johnston's measurements, unit length).
_HAEMATOXYLIN = (0.650, 0.704, 0.286)
_PAS = (0.175, 0.972, 0.155)

_OPTICAL_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def augment_colors(image: Image, settings: AugmentSettings, *, rng: np.random.Generator) -> Image:
    """Return the window (H, W, 3) uint8 in another slide's colours, light and sharpness."""
    if settings.stain > 0:
        image = jitter_stain(image, strength=settings.stain, rng=rng)
    if settings.gamma > 0:
        image = change_gamma(image, exponent=float(np.exp(rng.normal(0, settings.gamma))))
    if settings.grey_share > 0 and rng.random() < settings.grey_share:
        image = np.repeat(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[..., None], 3, axis=2).astype(np.uint8)
    if settings.blur_px > 0 and rng.random() < 0.5:
        sigma = rng.uniform(0, settings.blur_px)
        if sigma > 0.2:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)
    if settings.noise > 0:
        image = add_noise(image, sigma=rng.uniform(0, settings.noise), rng=rng)
    return image


def jitter_stain(image: Image, *, strength: float, rng: np.random.Generator) -> Image:
    """Return the image with its stains' amounts and hues changed; an empty pixel stays empty.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    strength
        Standard deviation of the log amount of each stain; the stain vectors move by a fifth of it.
    rng
        Source of the random numbers.
    """
    basis = _stain_basis(np.array([_HAEMATOXYLIN, _PAS]))
    moved = _stain_basis(basis[:2] + rng.normal(0, strength / 5, (2, 3)))
    amounts = np.diag(np.exp(rng.normal(0, strength, 3)))
    change = (np.linalg.inv(basis) @ amounts @ moved).astype(np.float32)
    # The empty slide is not quite white; its own density is taken off so that it stays what it is.
    white = _OPTICAL_DENSITY[np.percentile(image, 99, axis=(0, 1)).astype(np.uint8)]
    density = (_OPTICAL_DENSITY[image] - white) @ change + white
    changed: Image = np.clip(256 * np.exp(-density) - 0.5, 0, 255).astype(np.uint8)
    return changed


def _stain_basis(stains: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = (stain / np.linalg.norm(stain) for stain in np.clip(stains, 0.01, None))
    residual = np.cross(first, second)
    return np.stack([first, second, residual / np.linalg.norm(residual)])


def change_gamma(image: Image, *, exponent: float) -> Image:
    """Return the image with each value v, from 0 to 1, raised to `exponent`."""
    table: Image = (255 * (np.arange(256) / 255) ** exponent + 0.5).astype(np.uint8)
    return np.asarray(table[image])


def add_noise(image: Image, *, sigma: float, rng: np.random.Generator) -> Image:
    """Return the image with Gaussian noise of `sigma` grey levels added to every channel alike in size."""
    noise = rng.standard_normal(image.shape, dtype=np.float32) * sigma
    return np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)
