"""What people drew on slides, whatever program they drew it in."""

import os
import re
from pathlib import Path

import cv2
import numpy as np
from shapely.affinity import affine_transform

from glomseg.errors import InvalidInputError
from glomseg.images import IMAGE_SUFFIXES, read_mask
from glomseg.polygons import pixel_outline
from glomseg.slides.annotation_files import read_annotation_bytes
from glomseg.slides.annotation_record import IGNORE_NAME, Annotation
from glomseg.slides.imagescope import parse_imagescope
from glomseg.slides.qupath import parse_geojson
from glomseg.types import GLOMERULUS, IGNORE_INDEX, Classes


def read_annotations(
    path: str | os.PathLike[str], *, classes: Classes | None = None, downsample: float = 1.0
) -> list[Annotation]:
    """Return what was drawn on a slide, in the order of the file, in pixels of full resolution.

    Understood are GeoJSON of QuPath, also in a ``.zip`` or ``.gz``; XML of Aperio ImageScope; and mask pictures,
    of which every connected piece is an annotation.

    Parameters
    ----------
    path
        The file.
    classes, downsample
        For mask pictures only: what their values mean (by default 1 is a glomerulus), and pixels of full resolution
        per pixel.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidInputError
        If it is empty, damaged, or something else; the message names the object that is wrong.
    UnsafeFileError
        If it would exhaust the machine: a decompression bomb, a document type with entities.
    """
    path = Path(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _from_mask(path, classes=classes or GLOMERULUS, downsample=downsample)
    content = read_annotation_bytes(path)
    start = re.sub(rb"^(\xef\xbb\xbf)?\s*", b"", content[:1024])[:1]
    if start in (b"{", b"["):
        return parse_geojson(content, path=path)
    if start == b"<" or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return parse_imagescope(content, path=path)
    raise InvalidInputError(
        f"annotation file {str(path)!r} is neither GeoJSON, XML of ImageScope nor a mask picture; export the "
        "annotations from QuPath with File > Export objects as GeoJSON"
    )


def _from_mask(path: Path, *, classes: Classes, downsample: float) -> list[Annotation]:
    if not 0 < downsample < np.inf:
        raise InvalidInputError(
            f"downsample is {downsample}; it is a positive number of full-resolution pixels per pixel"
        )
    mask = read_mask(path, classes=classes)
    found = []
    for value in np.unique(mask[mask > 0]).tolist():
        name = IGNORE_NAME if value == IGNORE_INDEX else classes.names[value]
        n_labels, labels, stats, _ = cv2.connectedComponentsWithStats((mask == value).view(np.uint8), connectivity=8)
        for label in range(1, n_labels):
            x, y, width, height, _ = (int(number) for number in stats[label])
            outline = pixel_outline(labels[y : y + height, x : x + width] == label)
            affine = (downsample, 0, 0, downsample, x * downsample, y * downsample)
            found.append(Annotation(outline=affine_transform(outline, affine), class_name=name))
    return found
