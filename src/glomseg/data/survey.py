"""Looking at every file of a data set once, sound or broken, and noting what is in it."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg.data.statistics import ObjectSize, TileStatistics, object_sizes
from glomseg.data.tiles import mask_header, read_tile_image, read_tile_mask, tile_header
from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.images import ImageHeader, read_mask_values
from glomseg.progress import Progress
from glomseg.types import IGNORE_INDEX, Dataset, Sample

THUMBNAIL_PX = 64
"""Side of the grey thumbnails that near-duplicates are found by."""

Problem = Literal["missing", "empty", "too-large", "not-an-image", "damaged", "deep", "not-indices"]
"""Why a file cannot be used; "deep" is more than 8 bits a channel, "not-indices" a mask of colours or large values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a file cannot be read: its kind and the reader's own words."""

    problem: Problem
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSurvey:
    """What an image file is.

    Attributes
    ----------
    path
        The file.
    header
        None where not even the header can be read.
    fault
        Why it cannot be read, or None.
    digest
        Of the decoded pixels: equal for equal pictures, whatever the file format; "" with a fault.
    thumbnail
        (64, 64) uint8 grey, the picture's ratio not kept; None with a fault.
    mean_rgb
        Mean of the red, green and blue values, each 0 to 255; None with a fault.
    """

    path: Path
    header: ImageHeader | None = None
    fault: Fault | None = None
    digest: str = ""
    thumbnail: NDArray[np.uint8] | None = None
    mean_rgb: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSurvey:
    """What a mask file is.

    Attributes
    ----------
    path
        The file.
    header
        None where not even the header can be read.
    fault
        Why it cannot be read, or None.
    digest
        Of the decoded values; "" with a fault.
    value_pixels
        For every value in the file, how many pixels have it.
    class_pixels
        Pixels of each class; empty where a value stands for no class.
    unknown_values
        Values that stand for no class.
    objects
        Connected pieces of the foreground classes.
    """

    path: Path
    header: ImageHeader | None = None
    fault: Fault | None = None
    digest: str = ""
    value_pixels: tuple[tuple[int, int], ...] = ()
    class_pixels: tuple[int, ...] = ()
    unknown_values: tuple[int, ...] = ()
    objects: tuple[ObjectSize, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSurvey:
    """What was found in the two files of one tile; `mask` is None where there is none."""

    sample: Sample
    image: ImageSurvey
    mask: MaskSurvey | None

    @property
    def is_sound(self) -> bool:
        """Whether image and mask can be read, fit each other, and the mask holds known values."""
        return (
            self.image.fault is None
            and self.mask is not None
            and self.mask.fault is None
            and not self.mask.unknown_values
            and self.has_one_size
        )

    @property
    def has_one_size(self) -> bool:
        """Whether image and mask are as large as each other, as far as their headers tell."""
        image = self.image.header
        mask = None if self.mask is None else self.mask.header
        return image is None or mask is None or (image.height, image.width) == (mask.height, mask.width)


def survey_tiles(dataset: Dataset, *, progress: Progress | None = None) -> tuple[TileSurvey, ...]:
    """Return what is in every image and mask, in the order of the samples; each file is decoded once.

    A file that cannot be read is no error here: its survey says what is wrong with it.
    """
    surveys: list[TileSurvey] = []
    with ThreadPoolExecutor() as pool:
        for item in pool.map(lambda sample: _survey_tile(dataset, sample), dataset.samples):
            surveys.append(item)
            if progress is not None:
                progress(len(surveys), len(dataset))
    return tuple(surveys)


def statistics_of(surveys: Sequence[TileSurvey]) -> tuple[TileStatistics, ...]:
    """Return the class counts of the tiles whose masks can be read, as `scan_masks` would."""
    return tuple(
        TileStatistics(
            name=item.sample.name,
            group=item.sample.group,
            height=item.mask.header.height,
            width=item.mask.header.width,
            class_pixels=item.mask.class_pixels,
            ignored_pixels=sum(count for _, count in item.mask.value_pixels) - sum(item.mask.class_pixels),
            objects=item.mask.objects,
        )
        for item in surveys
        if item.mask is not None and item.mask.header is not None and item.mask.class_pixels
    )


def _survey_tile(dataset: Dataset, sample: Sample) -> TileSurvey:
    mask = None if sample.mask_path is None else _survey_mask(dataset, sample, sample.mask_path)
    return TileSurvey(sample=sample, image=_survey_image(dataset, sample), mask=mask)


def _survey_image(dataset: Dataset, sample: Sample) -> ImageSurvey:
    path, header = sample.image_path, None
    try:
        header = tile_header(dataset, sample)
        image = read_tile_image(dataset, sample)
    except GlomsegError as error:
        return ImageSurvey(path=path, header=header, fault=_fault(path, header, error, what="image"))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    thumbnail = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    red, green, blue, _ = cv2.mean(image)
    return ImageSurvey(
        path=path,
        header=header,
        digest=_digest(image),
        thumbnail=np.asarray(thumbnail, dtype=np.uint8),
        mean_rgb=(red, green, blue),
    )


def _survey_mask(dataset: Dataset, sample: Sample, path: Path) -> MaskSurvey:
    header = None
    try:
        header = mask_header(dataset, sample)
        values = read_mask_values(path) if sample.region is None else read_tile_mask(dataset, sample)
    except GlomsegError as error:
        return MaskSurvey(path=path, header=header, fault=_fault(path, header, error, what="mask"))
    counts = np.bincount(values.ravel(), minlength=256)
    class_values = range(len(dataset.classes)) if dataset.mask_values is None else dataset.mask_values
    lookup = np.full(256, IGNORE_INDEX, np.uint8)
    lookup[list(class_values)] = np.arange(len(class_values))
    present = [int(value) for value in np.flatnonzero(counts)]
    unknown = tuple(sorted(set(present) - {*class_values, IGNORE_INDEX, dataset.ignore_value}))
    return MaskSurvey(
        path=path,
        header=header,
        digest=_digest(values),
        value_pixels=tuple((value, int(counts[value])) for value in present),
        class_pixels=() if unknown else tuple(int(counts[value]) for value in class_values),
        unknown_values=unknown,
        objects=() if unknown else object_sizes(lookup[values], n_classes=len(dataset.classes)),
    )


def _fault(path: Path, header: ImageHeader | None, error: GlomsegError, *, what: str) -> Fault:
    return Fault(problem=_problem(path, header, error, what=what), message=str(error))


def _problem(path: Path, header: ImageHeader | None, error: GlomsegError, *, what: str) -> Problem:
    if isinstance(error, MissingInputError):
        return "missing"
    if isinstance(error, UnsafeFileError):
        return "too-large"
    if header is None:
        return "empty" if _is_empty(path) else "not-an-image"
    if isinstance(error, InvalidInputError) and error.__cause__ is None:  # refused for what it is, not for damage
        return "deep" if what == "image" and header.is_deep else "not-indices"
    return "damaged"


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _digest(array: NDArray[np.uint8]) -> str:
    """Return a hash of an array's shape and content."""
    digest = hashlib.blake2b(repr(array.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
