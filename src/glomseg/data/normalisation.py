"""Bringing the stains of tiles and slides to a reference: each slide judged as a whole, never by a window of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg.data.crops import at_working_size
from glomseg.data.slide_tiles import slide_of
from glomseg.data.tiles import read_tile_image, tile_size
from glomseg.errors import InvalidInputError
from glomseg.progress import Progress
from glomseg.slides.opening import open_slide
from glomseg.slides.slide import Slide
from glomseg.slides.tissue import Tissue, find_tissue
from glomseg.stain import Look, look_of, median_look, normalise
from glomseg.types import Dataset, ModelCard, Region, Sample, Scaling

Image = NDArray[np.uint8]

_N_PLACES, _PLACE_PX = 64, 128
_MAX_TILES = 64


def look_of_slide(slide: Slide, tissue: Tissue, *, method: str, downsample: float) -> Look | None:
    """Return what the stains of a whole slide look like, at the size that a model works at; None if it cannot be told.

    It is judged by up to 64 places of 128 x 128 working pixels, evenly spread over the tissue, all together. A picture
    of the whole slide small enough to be read at once would not do: nuclei, the only pure haematoxylin, are lost in it.

    Parameters
    ----------
    slide, tissue
        The slide, and where it has tissue.
    method
        "macenko" or "reinhard".
    downsample
        Pixels of full resolution per working pixel.
    """
    rows, columns = np.nonzero(tissue.mask)
    side = _PLACE_PX * downsample
    pixels = []
    for index in np.unique(np.linspace(0, max(len(rows) - 1, 0), _N_PLACES).astype(int)) if len(rows) else ():
        x, y = ((place[index] + 0.5) * tissue.downsample - side / 2 for place in (columns, rows))
        pixels.append(slide.read(Region(x=x, y=y, width=side, height=side), downsample=downsample).reshape(-1, 3))
    return look_of(np.concatenate(pixels), method=method) if pixels else None


def look_of_region(dataset: Dataset, sample: Sample, card: ModelCard) -> Look | None:
    """Return the look of the slide that a tile is a region of, as the model of `card` needs it.

    None for a tile that is a file of its own, which is judged by itself, and where the model does not ask.
    """
    if card.stain is None or sample.region is None:
        return None
    return _look_of_whole(dataset, sample, card.stain.method, card.scaling) or card.stain


@dataclass(frozen=True, slots=True, kw_only=True)
class TileNormaliser:
    """Brings the stains of a data set's tiles to a reference, as `Predictor` does with images.

    Attributes
    ----------
    dataset
        That the tiles are of.
    reference
        The look that they get.
    scaling
        Of the model: the look of a tile is judged at the working size, whatever its size is here.
    """

    dataset: Dataset
    reference: Look
    scaling: Scaling

    def __call__(self, sample: Sample, image: Image) -> Image:
        """Return a tile's image (H, W, 3) uint8 RGB, of any size, with the stains of the reference."""
        look: Look | None
        if sample.region is not None:
            look = _look_of_whole(self.dataset, sample, self.reference.method, self.scaling) or self.reference
        else:
            look = look_of(self._working(sample, image), method=self.reference.method)
        return normalise(image, look=look, reference=self.reference)

    def _working(self, sample: Sample, image: Image) -> Image:
        height, width = tile_size(self.dataset, sample)
        return at_working_size(image, (height, width), scaling=self.scaling, mpp=self.dataset.mpp)


def reference_look(
    dataset: Dataset, samples: Sequence[Sample], *, method: str, scaling: Scaling, progress: Progress | None = None
) -> Look:
    """Return the look in the middle of up to 64 of the tiles, or of the slides that they are regions of.

    Raises
    ------
    InvalidInputError
        If no tile shows stains.
    """
    slides = {sample.image_path: sample for sample in samples}
    chosen = list(slides.values())
    chosen = chosen[:: math.ceil(len(chosen) / _MAX_TILES)]
    looks = []
    for done, sample in enumerate(chosen, start=1):
        if sample.region is not None:
            look = _look_of_whole(dataset, sample, method, scaling)
        else:
            image = read_tile_image(dataset, sample)
            working = at_working_size(image, image.shape[:2], scaling=scaling, mpp=dataset.mpp)
            look = look_of(working, method=method)
        looks += [] if look is None else [look]
        if progress is not None:
            progress(done, len(chosen))
    middle = median_look(looks)
    if middle is None:
        raise InvalidInputError(
            f"none of {len(chosen)} training tiles of {str(dataset.root)!r} shows "
            + ("two stains" if method == "macenko" else "tissue")
            + f", so colors.normalise = {method!r} has no reference: leave it out"
        )
    return middle


def _look_of_whole(dataset: Dataset, sample: Sample, method: str, scaling: Scaling) -> Look | None:
    slide = slide_of(dataset, sample.image_path)
    assert dataset.mpp is not None and slide.mpp is not None  # `open_slides` lets nothing else through
    height, width = tile_size(dataset, sample)
    ratio = scaling.ratio(height=height, width=width, mpp=dataset.mpp)
    return _look_of_file(sample.image_path, dataset.slide_mpp, method, dataset.mpp / slide.mpp / ratio)


@lru_cache(maxsize=1024)
def _look_of_file(path: Path, mpp: float | None, method: str, downsample: float) -> Look | None:
    with open_slide(path, mpp=mpp) as slide:
        return look_of_slide(slide, find_tissue(slide), method=method, downsample=downsample)
