"""Tiles that are regions of slides: their pixels straight from the slide, their masks drawn from annotations."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.files import sha256_of
from glomseg.slides.annotation_record import Annotation
from glomseg.slides.annotations import read_annotations
from glomseg.slides.opening import open_slide
from glomseg.slides.rasterize import rasterize
from glomseg.slides.slide import Slide
from glomseg.types import Dataset, Region, Sample

_MAX_OPEN_SLIDES = 16


def read_region(dataset: Dataset, sample: Sample) -> NDArray[np.uint8]:
    """Return the image (H, W, 3) uint8 RGB of a slide's region at the data set's micrometres per pixel."""
    return slide_of(dataset, sample.image_path).read(_region(sample), downsample=_downsample(dataset, sample))


def read_region_mask(dataset: Dataset, sample: Sample) -> NDArray[np.uint8]:
    """Return the mask (H, W) uint8 of a slide's region, drawn from the slide's annotations."""
    assert sample.mask_path is not None
    region = _region(sample)
    box = shapely.box(region.x, region.y, region.x + region.width, region.y + region.height)
    try:
        return rasterize(
            # Regions of interest decide also where they are not: what lies in none of them is ignored.
            [item for item in annotations_of(sample.mask_path) if item.is_region or item.outline.intersects(box)],
            region=region,
            downsample=_downsample(dataset, sample),
            classes=dataset.classes,
            class_names=dataset.annotation_classes,
        )
    except InvalidInputError as error:
        raise InvalidInputError(f"annotations {str(sample.mask_path)!r}: {error}") from error


def region_size(dataset: Dataset, sample: Sample) -> tuple[int, int]:
    """Return (height, width) in pixels of a slide's region at the data set's micrometres per pixel."""
    region, downsample = _region(sample), _downsample(dataset, sample)
    return round(region.height / downsample), round(region.width / downsample)


def hash_of_region(sample: Sample) -> str:
    """Return a SHA-256 of the slide's bytes and of the region."""
    region = _region(sample)
    where = f"{region.x:.3f} {region.y:.3f} {region.width:.3f} {region.height:.3f}"
    return hashlib.sha256(f"{hash_of_file(sample.image_path)} {where}".encode()).hexdigest()


def slide_of(dataset: Dataset, path: Path) -> Slide:
    """Return the open slide of a file; the slides used last stay open."""
    # A process that was forked must not share the place in the file that its parent reads at.
    return _open(path, dataset.slide_mpp, os.getpid(), _version(path))


def annotations_of(path: Path) -> tuple[Annotation, ...]:
    """Return the annotations of a file; those used last are kept until the file changes."""
    return _annotations(path, _version(path))


def hash_of_file(path: Path) -> str:
    """Return the SHA-256 of the bytes of a slide or its annotations, read once until the file changes."""
    return _hash(path, _version(path))


@lru_cache(maxsize=_MAX_OPEN_SLIDES)
def _open(path: Path, mpp: float | None, process: int, version: tuple[int, int]) -> Slide:
    return open_slide(path, mpp=mpp)


@lru_cache(maxsize=_MAX_OPEN_SLIDES)
def _annotations(path: Path, version: tuple[int, int]) -> tuple[Annotation, ...]:
    return tuple(read_annotations(path))


@lru_cache
def _hash(path: Path, version: tuple[int, int]) -> str:
    return sha256_of(path)


def _version(path: Path) -> tuple[int, int]:
    """Return what changes when a file is written again; for one that is not there, whoever reads it says so."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _region(sample: Sample) -> Region:
    assert sample.region is not None
    return sample.region


def _downsample(dataset: Dataset, sample: Sample) -> float:
    slide = slide_of(dataset, sample.image_path)
    assert dataset.mpp is not None and slide.mpp is not None  # `open_slides` lets nothing else through
    return dataset.mpp / slide.mpp
