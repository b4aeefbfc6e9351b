"""The pixels of one tile, wherever they are: in files of its own, or in a slide and its annotations."""

import numpy as np
from numpy.typing import NDArray

from glomseg.data import slide_tiles
from glomseg.errors import InvalidInputError
from glomseg.files import sha256_of
from glomseg.images import ImageHeader, image_header, read_image, read_mask
from glomseg.types import Dataset, Sample


def read_tile(dataset: Dataset, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a tile's image (H, W, 3) uint8 RGB and mask (H, W) uint8 class index, as large as each other.

    Raises
    ------
    InvalidInputError
        If the tile has no mask, a file is damaged, or image and mask differ in size.
    """
    mask = read_tile_mask(dataset, sample)
    image = read_tile_image(dataset, sample)
    if image.shape[:2] != mask.shape:
        height, width = image.shape[:2]
        raise InvalidInputError(
            f"mask {str(sample.mask_path)!r} is {mask.shape[1]}x{mask.shape[0]} but its image is {width}x{height}; "
            "masks must have their image's size: export the mask again at full size"
        )
    return image, mask


def read_tile_image(dataset: Dataset, sample: Sample) -> NDArray[np.uint8]:
    """Return a tile's image (H, W, 3) uint8 RGB."""
    if sample.region is not None:
        return slide_tiles.read_region(dataset, sample)
    return read_image(sample.image_path)


def read_tile_mask(dataset: Dataset, sample: Sample) -> NDArray[np.uint8]:
    """Return a tile's mask (H, W) uint8 class index, 255 where it counts neither in training nor in evaluation.

    Raises
    ------
    InvalidInputError
        If the tile has no mask, or its file is damaged or holds other values than the data set's classes.
    """
    if sample.mask_path is None:
        raise InvalidInputError(f"tile {sample.name!r} has no mask, and this step needs one")
    if sample.region is not None:
        return slide_tiles.read_region_mask(dataset, sample)
    return read_mask(
        sample.mask_path,
        classes=dataset.classes,
        mask_values=dataset.mask_values,
        ignore_value=dataset.ignore_value,
    )


def tile_header(dataset: Dataset, sample: Sample) -> ImageHeader:
    """Return size and kind of a tile's image, without decoding it."""
    if sample.region is not None:
        return _region_header(dataset, sample, mode="RGB")
    return image_header(sample.image_path)


def mask_header(dataset: Dataset, sample: Sample) -> ImageHeader:
    """Return size and kind of a tile's mask, without decoding it."""
    if sample.region is not None:
        return _region_header(dataset, sample, mode="L")
    assert sample.mask_path is not None
    return image_header(sample.mask_path, what="mask")


def _region_header(dataset: Dataset, sample: Sample, *, mode: str) -> ImageHeader:
    height, width = slide_tiles.region_size(dataset, sample)
    return ImageHeader(height=height, width=width, mode=mode, file_format="slide", is_deep=False)


def tile_size(dataset: Dataset, sample: Sample) -> tuple[int, int]:
    """Return a tile's (height, width) in pixels, without decoding it."""
    header = tile_header(dataset, sample)
    return header.height, header.width


def hash_of_mask(sample: Sample) -> str:
    """Return the SHA-256 of the file that a tile's mask is read from; "" where there is none."""
    if sample.mask_path is None:
        return ""
    return sha256_of(sample.mask_path) if sample.region is None else slide_tiles.hash_of_file(sample.mask_path)


def hash_of_image(sample: Sample) -> str:
    """Return the SHA-256 by which a tile's image is recognised wherever it turns up again, under whatever name."""
    if sample.region is not None:
        return slide_tiles.hash_of_region(sample)
    return sha256_of(sample.image_path)
