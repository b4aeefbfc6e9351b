"""How far what an engine computes is from what PyTorch computes, on images of several sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glomseg.data.crops import resize
from glomseg.data.synthetic import draw_tile
from glomseg.errors import InvalidInputError
from glomseg.inference.predictor import Predictor, class_probabilities

Image = NDArray[np.uint8]

TOLERANCE = 1e-3
"""Of every probability, and of every logit as a share of the largest: rounding stays a hundred times below."""

# (height, width) in working pixels: small, odd, not square; multiples of every stride, and of none.
_SIZES = ((64, 96), (131, 77), (250, 191), (320, 320))
N_IMAGES = 8
"""Tried at most: each is compared whole and in crops, and more of them tell nothing new about sizes."""

_MAX_SIDE_PX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The largest differences between an engine and PyTorch in float32, over all pixels of all images tried.

    Attributes
    ----------
    logit
        Of a logit, as the network gives them enlarged to the working size.
    largest_logit
        The largest one there is, without its sign.
    probability
        Of a probability before the temperature.
    n_pixels, n_other_class
        Pixels tried, and those of another class.
    sizes
        (height, width) of the working images.
    """

    logit: float
    largest_logit: float
    probability: float
    n_pixels: int
    n_other_class: int
    sizes: tuple[tuple[int, int], ...]

    @property
    def is_close(self) -> bool:
        """Whether all of it can be rounding; NaN never is."""
        return self.probability <= TOLERANCE and self.logit <= TOLERANCE * max(self.largest_logit, 1e-6)

    def describe(self) -> str:
        """Return the differences in words."""
        return (
            f"logits differ by at most {self.logit:.1e} where the largest is {self.largest_logit:.3g}, probabilities "
            f"by {self.probability:.1e}, and {self.n_other_class:,} of {self.n_pixels:,} pixels get another class, on "
            f"{len(self.sizes)} images of {len(set(self.sizes))} sizes"
        )


def compare_with_torch(engine: Predictor, reference: Predictor, *, images: Sequence[Image] = ()) -> Agreement:
    """Return how far an engine's network is from PyTorch's.

    Parameters
    ----------
    engine, reference
        The same model.
    images
        (H, W, 3) uint8 RGB at the working size, of which the first 8 are tried, whole (at most 1024 pixels a side) and
        in crops of several sizes that no stride divides; none draws synthetic tissue.
    """
    images = [image[:_MAX_SIDE_PX, :_MAX_SIDE_PX] for image in images[:N_IMAGES]] or [synthetic_tissue()]
    views = [*images, *(_crop(images[index % len(images)], size) for index, size in enumerate(_SIZES))]
    views = [reference.restained(view) for view in views]
    batches = [reference.prepare([view]) for view in views]
    batches.append(reference.prepare([views[-3], views[-3][::-1]]))  # two different images at once
    logit = largest = probability = 0.0
    n_pixels = n_other = 0
    for batch in batches:
        size = (batch.shape[-2], batch.shape[-1])
        found, true = (side.enlarged_logits(batch, image_size=size).cpu() for side in (engine, reference))
        if found.shape != true.shape:
            raise InvalidInputError(
                f"the engine gives {tuple(found.shape)} logits where PyTorch gives {tuple(true.shape)}"
            )
        logit, largest = _larger(logit, found - true), _larger(largest, true)
        ours, theirs = class_probabilities(found), class_probabilities(true)
        probability = _larger(probability, ours - theirs)
        n_pixels += true[:, 0].numel()
        n_other += int((ours.argmax(1) != theirs.argmax(1)).sum())
    sizes = tuple((view.shape[0], view.shape[1]) for view in views)
    return Agreement(
        logit=logit,
        largest_logit=largest,
        probability=probability,
        n_pixels=n_pixels,
        n_other_class=n_other,
        sizes=sizes,
    )


def require_agreement(agreement: Agreement, *, engine: str) -> None:
    """Raise InvalidInputError if the differences are more than rounding."""
    if not agreement.is_close:
        raise InvalidInputError(
            f"as {engine} computes it, this network is not what it is in PyTorch: {agreement.describe()}. More than "
            f"{TOLERANCE:g} is not rounding: use --engine torch for this model"
        )


def synthetic_tissue(size_px: int = 320) -> Image:
    """Return a synthetic tile (size, size, 3) uint8 RGB with glomeruli, at about 2 um per pixel."""
    return draw_tile(seed=0, size_px=size_px, mpp=2.0, n_glomeruli=2)[0]


def _crop(image: Image, size: tuple[int, int]) -> Image:
    """Return the middle of an image, enlarged first where it is smaller than the crop."""
    height, width = max(size[0], image.shape[0]), max(size[1], image.shape[1])
    if (height, width) != image.shape[:2]:
        image = resize(image, height=height, width=width, interpolation="bilinear")
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return image[top : top + size[0], left : left + size[1]]


def _larger(before: float, numbers: Tensor) -> float:
    return float(torch.maximum(torch.tensor(before), numbers.abs().max()))  # NaN stays NaN
