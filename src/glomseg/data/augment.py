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

_N_HUES = 180
"""Of OpenCV's bytes: a step is two degrees."""

_OPTICAL_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def augment_colors(image: Image, settings: AugmentSettings, *, rng: np.random.Generator) -> Image:
    """Return the window (H, W, 3) uint8 in another slide's colours, light and sharpness."""
    image = distort(image, settings, rng=rng)
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


def distort(image: Image, settings: AugmentSettings, *, rng: np.random.Generator) -> Image:
    """Return the image with its brightness, contrast, saturation and hue changed, each in half of the cases.

    Contrast comes second or last. Grey levels that fall out of 0 to 255 are cut off, fractions are dropped.

    Conventions
    -----------
    This is MMSegmentation's PhotoMetricDistortion, draw for draw; as there, the hue turns by `hue_delta` to the one
    side and one step less to the other. A change that is switched off leaves the image as it is, bit for bit.
    """
    contrast = settings.contrast_range != (1.0, 1.0)
    saturation = settings.saturation_range != (1.0, 1.0)
    if not (settings.brightness_delta or contrast or saturation or settings.hue_delta):
        return image
    if settings.brightness_delta and rng.integers(2):
        image = _levels(image, added=rng.uniform(-settings.brightness_delta, settings.brightness_delta))
    contrast_first = rng.integers(2) == 1
    if contrast and contrast_first and rng.integers(2):
        image = _levels(image, factor=rng.uniform(*settings.contrast_range))
    if saturation and rng.integers(2):
        hsv = _hsv(image)
        hsv[..., 1] = _levels(hsv[..., 1], factor=rng.uniform(*settings.saturation_range))
        image = _rgb(hsv)
    if settings.hue_delta and rng.integers(2):
        hsv = _hsv(image)
        hsv[..., 0] = (hsv[..., 0].astype(int) + rng.integers(-settings.hue_delta, settings.hue_delta)) % _N_HUES
        image = _rgb(hsv)
    if contrast and not contrast_first and rng.integers(2):
        image = _levels(image, factor=rng.uniform(*settings.contrast_range))
    return image


def _levels(values: Image, *, factor: float = 1.0, added: float = 0.0) -> Image:
    return np.asarray(np.clip(values.astype(np.float32) * factor + added, 0, 255), dtype=np.uint8)


def _hsv(image: Image) -> Image:
    return np.array(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), dtype=np.uint8)


def _rgb(hsv: Image) -> Image:
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.uint8)


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
