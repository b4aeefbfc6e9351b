"""The colours that stains give to tissue, and bringing an image from one slide's to another's.

Optical density is -ln(intensity / light), with 256 for the light and a grey level v counted as v + 1, so that black is
not infinitely dense.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Image = NDArray[np.uint8]
Triple = tuple[float, float, float]

METHODS = ("macenko", "reinhard")

TISSUE_DENSITY = 0.15
"""Pixels of a smaller mean optical density are glass, or too pale to tell a colour (Macenko's beta)."""

_EXTREME_PERCENT = 1.0
"""The robust ends of angles and amounts: the 1st and the 99th percentile."""

_LEAST_PIXELS = 50
_LEAST_ANGLE_DEG = 4.0
"""Below it two stains are one: rounding to grey levels alone spreads a single one over some 2 degrees."""

_LEAST_STD = 0.1
_DENSITIES = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class MacenkoLook:
    """How the two stains of a slide look, and how much of each there is.

    Attributes
    ----------
    stains
        Optical density of each in red, green and blue, of length 1. The first absorbs more red: haematoxylin.
    amounts
        99th percentile of the amount of each over the tissue.
    """

    method: ClassVar[str] = "macenko"

    stains: tuple[Triple, Triple]
    amounts: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReinhardLook:
    """Mean and standard deviation of the tissue of a slide in CIELAB (L from 0 to 100)."""

    method: ClassVar[str] = "reinhard"

    mean: Triple
    std: Triple


Look = MacenkoLook | ReinhardLook


def look_of(pixels: Image, *, method: str) -> Look | None:
    """Return what the stains in an image look like; None where that cannot be told.

    Parameters
    ----------
    pixels
        (..., 3) uint8 RGB. Those of glass do not count.
    method
        "macenko": the two stains are the robust extremes of the directions that the optical densities have in the plane
        that fits them best; None where there is only one, as on grey or black pictures. "reinhard": mean and standard
        deviation in CIELAB. None for both where there are fewer than 50 pixels of tissue.

    Conventions
    -----------
    Macenko's paper takes logarithms to the base 10, the code that goes with it natural ones and a light of 240; here
    they are natural and the light is 256, so that no pixel has a density below 0. The threshold holds for the mean of
    the three channels: for all of them, as in that code, it would leave out pale PAS, which hardly absorbs red. The
    plane goes through the origin, as in the paper and unlike that of a covariance: glass has no stain.
    Reinhard's space of logarithmic cone responses is replaced by CIELAB, as is usual for tissue.

    References
    ----------
    M. Macenko et al., A method for normalizing histology slides for quantitative analysis, ISBI 2009.
    E. Reinhard et al., Color transfer between images, IEEE Computer Graphics and Applications 21 (2001).
    """
    colors = pixels.reshape(-1, 3)
    tissue = colors[_DENSITIES[colors].mean(axis=1) > TISSUE_DENSITY]
    if len(tissue) < _LEAST_PIXELS:
        return None
    if method == "reinhard":
        lab = _lab(tissue[None])[0].astype(np.float64)
        return ReinhardLook(mean=_triple(lab.mean(axis=0)), std=_triple(lab.std(axis=0)))
    density = _DENSITIES[tissue].astype(np.float64)
    stains = _extreme_stains(density)
    if stains is None:
        return None
    amounts = np.percentile(density @ np.linalg.pinv(stains), 100 - _EXTREME_PERCENT, axis=0)
    if amounts.min() <= 0:
        return None
    return MacenkoLook(stains=(_triple(stains[0]), _triple(stains[1])), amounts=(float(amounts[0]), float(amounts[1])))


def normalise(image: Image, *, look: Look | None, reference: Look) -> Image:
    """Return an image (H, W, 3) uint8 RGB as it would look with the stains of `reference`.

    Parameters
    ----------
    look
        Of the image, or better of the whole slide that it is from: a window of it may lack a stain. Of the same method
        as `reference`. Where it is None, the image stays as it is.

    Conventions
    -----------
    Macenko's: each stain's amount is scaled so that the 99th percentiles agree, and what is neither stain is dropped.
    Reinhard's: the mean and the standard deviation of each channel become those of the reference. Both would colour
    the glass too; here pixels fade into what they were as their density falls from the threshold of tissue to 0.
    """
    if isinstance(look, MacenkoLook) and isinstance(reference, MacenkoLook):
        changed = change_densities(image, stain_change(look, reference)).astype(np.float32)
    elif isinstance(look, ReinhardLook) and isinstance(reference, ReinhardLook):
        own_std = np.asarray(look.std)
        factor = np.where(own_std < _LEAST_STD, 1.0, np.asarray(reference.std) / np.maximum(own_std, _LEAST_STD))
        lab = (_lab(image) - np.asarray(look.mean)) * factor + np.asarray(reference.mean)
        changed = 255 * np.asarray(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB))
    else:
        return image
    share = np.clip(_DENSITIES[image].mean(axis=2, keepdims=True) / TISSUE_DENSITY, 0, 1)
    return np.asarray(np.clip(changed * share + image * (1 - share) + 0.5, 0, 255), dtype=np.uint8)


def median_look(looks: Sequence[Look]) -> Look | None:
    """Return the look in the middle of several of one method, number by number; None if there is none."""
    if not looks:
        return None
    first = looks[0]
    if isinstance(first, ReinhardLook):
        alike = [look for look in looks if isinstance(look, ReinhardLook)]
        mean, std = (np.median([getattr(look, name) for look in alike], axis=0) for name in ("mean", "std"))
        return ReinhardLook(mean=_triple(mean), std=_triple(std))
    others = [look for look in looks if isinstance(look, MacenkoLook)]
    stains = np.median([look.stains for look in others], axis=0)  # (2, 3)
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    amounts = np.median([look.amounts for look in others], axis=0)
    return MacenkoLook(stains=(_triple(stains[0]), _triple(stains[1])), amounts=(float(amounts[0]), float(amounts[1])))


def stain_change(look: MacenkoLook, reference: MacenkoLook) -> NDArray[np.float64]:
    """Return the (3, 3) matrix that turns densities, as rows, of one look into those of another."""
    factors = np.asarray(reference.amounts) / np.asarray(look.amounts)
    change: NDArray[np.float64] = np.linalg.pinv(np.asarray(look.stains)) @ np.diag(factors) @ reference.stains
    return change


def stain_basis(stains: ArrayLike) -> NDArray[np.float64]:
    """Return (3, 3) optical densities of unit length: two stains (2, 3), and what is neither, at right angles to both.

    A stain absorbs every colour a little, so no number of theirs is below 0.01.
    """
    first, second = (stain / np.linalg.norm(stain) for stain in np.clip(np.asarray(stains, np.float64), 0.01, None))
    residual = np.cross(first, second)
    return np.stack([first, second, residual / np.linalg.norm(residual)])


def change_densities(image: Image, change: NDArray[np.float64], *, white: Triple | None = None) -> Image:
    """Return an image (H, W, 3) uint8 RGB whose optical densities, as rows, are multiplied by a (3, 3) matrix.

    `white` is the density of the empty glass: where it is given, it is taken off before and added again afterwards, so
    that glass stays what it is.
    """
    offset = np.zeros(3, np.float32) if white is None else np.asarray(white, np.float32)
    density = (_DENSITIES[image] - offset) @ change.astype(np.float32) + offset
    return np.asarray(np.clip(256 * np.exp(-density) - 0.5, 0, 255), dtype=np.uint8)


def densities(image: Image) -> NDArray[np.float32]:
    """Return the optical densities of an image, in its shape."""
    return _DENSITIES[image]


def _extreme_stains(density: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return (2, 3) unit vectors of the two stains, the one that absorbs more red first; None if there is one only."""
    _, vectors = np.linalg.eigh(
        density.T @ density
    )  # the right singular vectors of the densities, the last the largest
    first, second = vectors[:, 2], vectors[:, 1]
    if first.sum() < 0:
        first = -first
    angle = np.arctan2(density @ second, density @ first)
    low, high = np.percentile(angle, (_EXTREME_PERCENT, 100 - _EXTREME_PERCENT))
    if np.degrees(high - low) < _LEAST_ANGLE_DEG:
        return None
    ends = [np.cos(end) * first + np.sin(end) * second for end in (low, high)]
    # Noise may turn a stain a little beyond what absorbs; no dye emits light.
    stains = np.clip(np.array(ends, np.float64), 0, None)
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    return stains if stains[0, 0] >= stains[1, 0] else stains[::-1]


def _lab(image: Image) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def _triple(values: NDArray[np.float64]) -> Triple:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
