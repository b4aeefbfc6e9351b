"""How a slide looks: its stain and its scanner, and the step from amounts of dye to an RGB picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.data.synthetic.shapes import noise_field

# Unit optical density (R, G, B) of the two dyes, measured on Aperio scans of PAS-stained human kidney.
_HEMATOXYLIN = (0.66, 0.67, 0.34)
_PAS = (0.17, 0.91, 0.37)
_BACKGROUND = (243.0, 243.0, 243.0)
_PIVOT = np.float32(0.45)  # the amount of dye that a change of contrast leaves as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideLook:
    """What all tiles of one slide share: dyes, section and scanner.

    Attributes
    ----------
    hematoxylin, pas
        Unit optical density of the dye in (R, G, B).
    hematoxylin_amount, pas_amount
        Strength of the dye relative to a usual slide.
    contrast
        Exponent on the amounts of dye: above 1 the pale ground stain is washed out further.
    thickness_variation
        Relative standard deviation of the section's thickness over a tile.
    background
        Colour (R, G, B) of the empty slide, 0 to 255.
    blur_um
        Standard deviation of the optical blur.
    sharpening
        Strength of the scanner's unsharp mask, 0 for none.
    noise
        Standard deviation of the sensor noise in grey levels.
    shading
        Relative fall of the illumination from one side of a tile to the other.
    jpeg_quality
        Quality of the JPEG compression the scanner stored, 1 to 100.
    """

    hematoxylin: tuple[float, float, float] = _HEMATOXYLIN
    pas: tuple[float, float, float] = _PAS
    hematoxylin_amount: float = 1.0
    pas_amount: float = 1.0
    contrast: float = 1.0
    thickness_variation: float = 0.08
    background: tuple[float, float, float] = _BACKGROUND
    blur_um: float = 0.45
    sharpening: float = 0.3
    noise: float = 1.5
    shading: float = 0.01
    jpeg_quality: int = 85


def draw_slide_look(seed: int | Sequence[int]) -> SlideLook:
    """Return the look of a random slide: the same for the same seed."""
    rng = np.random.default_rng(seed)
    return SlideLook(
        hematoxylin=_turned(rng, _HEMATOXYLIN),
        pas=_turned(rng, _PAS),
        hematoxylin_amount=float(rng.uniform(0.75, 1.3)),
        pas_amount=float(rng.uniform(0.72, 1.3)),
        contrast=float(rng.uniform(0.85, 1.2)),
        thickness_variation=float(rng.uniform(0.04, 0.12)),
        background=_tinted(rng),
        blur_um=float(rng.uniform(0.35, 0.9)),
        sharpening=float(rng.uniform(0.0, 0.6)),
        noise=float(rng.uniform(0.8, 3.0)),
        shading=float(rng.uniform(0.0, 0.03)),
        jpeg_quality=int(rng.integers(70, 95)),
    )


def _turned(rng: np.random.Generator, dye: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the dye with its hue turned a little, as between two batches of stain."""
    density = np.maximum(np.asarray(dye) + rng.normal(0, 0.05, 3), 0.02)
    red, green, blue = (density / np.linalg.norm(density)).tolist()
    return red, green, blue


def _tinted(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the colour of the empty slide: white, a little off in brightness and balance."""
    red, green, blue = (241 + rng.uniform(-6, 6) + rng.uniform(-3, 3, 3)).tolist()
    return red, green, blue


def develop(
    amounts: NDArray[np.float32],
    look: SlideLook,
    rng: np.random.Generator,
    *,
    extent_um: float,
    size_px: int,
) -> NDArray[np.uint8]:
    """Return the RGB picture (`size_px`, `size_px`, 3) uint8 of a section with these amounts of dye.

    Light is absorbed by the dyes (Beer-Lambert: intensity = background * 10^-density), blurred by the
    optics and summed on the sensor's pixels, then sharpened, disturbed and compressed by the scanner.

    Parameters
    ----------
    amounts
        (H, W, 2) hematoxylin and PAS, 1 = a density of 1 along the dye's vector.
    look
        The slide.
    rng
        Source of the section's and the scanner's randomness.
    extent_um
        Side of the square that `amounts` covers.
    size_px
        Side of the picture; at most that of `amounts`.
    """
    thickness = noise_field(rng, 130.0, extent_um=extent_um, shape=amounts.shape[:2])
    thickness = np.clip(1 + look.thickness_variation * thickness, 0.6, 1.4)
    amounts = _PIVOT * cv2.pow(np.maximum(amounts, 0) / _PIVOT, look.contrast)
    dyes = np.array([look.hematoxylin, look.pas], dtype=np.float32)
    strength = np.array([[look.hematoxylin_amount], [look.pas_amount]], dtype=np.float32)
    density = (amounts @ (dyes * strength)) * thickness[..., None]  # (H, W, 3)
    light = cv2.exp(density * np.float32(-np.log(10))) * np.array(look.background, dtype=np.float32)
    sigma_px = look.blur_um * amounts.shape[0] / extent_um
    light = cv2.GaussianBlur(light, (0, 0), sigma_px)
    if size_px != light.shape[0]:
        light = cv2.resize(light, (size_px, size_px), interpolation=cv2.INTER_AREA)
    if look.sharpening > 0:
        halo = cv2.GaussianBlur(light, (0, 0), max(1.0 * size_px / extent_um, 0.6))
        light += look.sharpening * (light - halo)
    slope = np.linspace(-0.5, 0.5, size_px, dtype=np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    light *= (1 + look.shading * (np.cos(turn) * slope[None] + np.sin(turn) * slope[:, None]))[..., None]
    light += look.noise * rng.standard_normal(light.shape, dtype=np.float32)
    picture = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return _compressed(picture, look.jpeg_quality)


def _compressed(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return the picture as it comes back from a JPEG file."""
    _, stored = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    assert decoded is not None  # the encoder's own output
    return np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)
