"""Changing the colours of a training window, in the ways that slides differ from one another.

Stains are separated by colour deconvolution in optical density (Ruifrok and Johnston, Anal Quant Cytol
Histol 23, 2001), changed one by one, and put together again (as Tellez et al., IEEE Trans Med Imaging 37, 2018).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.config import AugmentSettings
from glomseg.stain import MacenkoLook, change_densities, densities, look_of, stain_basis

Image = NDArray[np.uint8]

# Optical density of haematoxylin and of PAS in R, G, B (Ruifrok and Johnston's measurements, unit length).
_HAEMATOXYLIN = (0.650, 0.704, 0.286)
_PAS = (0.175, 0.972, 0.155)

_N_HUES = 180
"""Of OpenCV's bytes: a step is two degrees."""

_BEST_JPEG = 95


def augment_colors(image: Image, settings: AugmentSettings, *, rng: np.random.Generator) -> Image:
    """Return the window (H, W, 3) uint8 in another slide's colours, light and sharpness."""
    image = distort(image, settings, rng=rng)
    if settings.stain > 0 or settings.stain_hue:
        image = jitter_stain(
            image, strength=settings.stain, hue=settings.stain_hue, vectors=settings.stain_vectors, rng=rng
        )
    if settings.gamma > 0:
        image = change_gamma(image, exponent=float(np.exp(rng.normal(0, settings.gamma))))
    if settings.grey_share > 0 and rng.random() < settings.grey_share:
        image = np.repeat(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[..., None], 3, axis=2).astype(np.uint8)
    if settings.light > 0:
        image = tilt_light(
            image, share=rng.uniform(-settings.light, settings.light), angle_rad=rng.uniform(0, 2 * np.pi)
        )
    if settings.blur_px > 0 and rng.random() < 0.5:
        sigma = rng.uniform(0, settings.blur_px)
        if sigma > 0.2:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)
    if settings.noise > 0:
        image = add_noise(image, sigma=rng.uniform(0, settings.noise), rng=rng)
    if settings.jpeg_quality > 0 and rng.random() < 0.5:
        image = compress(image, quality=int(rng.integers(min(settings.jpeg_quality, _BEST_JPEG), _BEST_JPEG + 1)))
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


def jitter_stain(
    image: Image,
    *,
    strength: float,
    hue: float | None = None,
    vectors: str = "published",
    rng: np.random.Generator,
) -> Image:
    """Return the image with its stains' amounts and hues changed, each by itself; an empty pixel stays empty.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    strength
        Standard deviation of the log amount of each stain, and of what is neither.
    hue
        Standard deviation of each number of the stain vectors; None is a fifth of `strength`.
    vectors
        "published": haematoxylin and PAS of Ruifrok and Johnston. "estimated": the stains that the image itself shows,
        and the published ones where it does not show two.
    rng
        Source of the random numbers.
    """
    look = look_of(image, method="macenko") if vectors == "estimated" else None
    stains = look.stains if isinstance(look, MacenkoLook) else (_HAEMATOXYLIN, _PAS)
    basis = stain_basis(stains)
    moved = stain_basis(basis[:2] + rng.normal(0, strength / 5 if hue is None else hue, (2, 3)))
    amounts = np.diag(np.exp(rng.normal(0, strength, 3)))
    # The empty slide is not quite white; its own density is taken off so that it stays what it is.
    red, green, blue = densities(np.percentile(image, 99, axis=(0, 1)).astype(np.uint8)).tolist()
    return change_densities(image, np.linalg.inv(basis) @ amounts @ moved, white=(red, green, blue))


def change_gamma(image: Image, *, exponent: float) -> Image:
    """Return the image with each value v, from 0 to 1, raised to `exponent`."""
    table: Image = (255 * (np.arange(256) / 255) ** exponent + 0.5).astype(np.uint8)
    return np.asarray(table[image])


def tilt_light(image: Image, *, share: float, angle_rad: float) -> Image:
    """Return the image as if lit from one side: by `share` brighter at one edge and darker at the other.

    The middle stays as it is; `angle_rad` is the direction, 0 to the right, in which it becomes brighter.
    """
    height, width = image.shape[:2]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    slope = (columns * np.cos(angle_rad) + rows * np.sin(angle_rad)) / (abs(np.cos(angle_rad)) + abs(np.sin(angle_rad)))
    lit = image * (1 + share * slope[..., None]).astype(np.float32)
    return np.asarray(np.clip(lit + 0.5, 0, 255), dtype=np.uint8)


def compress(image: Image, *, quality: int) -> Image:
    """Return the image as JPEG of a quality from 1 to 100 would show it, with colours at half the resolution."""
    _, file = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1])


def add_noise(image: Image, *, sigma: float, rng: np.random.Generator) -> Image:
    """Return the image with Gaussian noise of `sigma` grey levels added to every channel alike in size."""
    noise = rng.standard_normal(image.shape, dtype=np.float32) * sigma
    return np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)
