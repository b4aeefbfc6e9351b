"""Turn annotations that somebody drew or corrected into a mask picture."""

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glomseg.data.findings import counted
from glomseg.errors import InvalidInputError
from glomseg.images import write_png
from glomseg.slides.annotation_record import Annotation, n_beyond
from glomseg.slides.annotations import read_annotations
from glomseg.slides.opening import open_slide
from glomseg.slides.rasterize import rasterize
from glomseg.types import GLOMERULUS, Classes, Region


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterizeResult:
    """A mask that was made of annotations.

    Attributes
    ----------
    path
        The mask picture: 8-bit class indices, 255 where ignored.
    size_px
        Its (width, height).
    n_annotations
        How many annotations with an area there are.
    shares
        For each class its share of the pixels.
    notes
        What a reader has to know, in sentences.
    """

    path: Path
    size_px: tuple[int, int]
    n_annotations: int
    shares: tuple[float, ...]
    notes: tuple[str, ...]


def rasterize_annotations(
    annotations: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    like: str | os.PathLike[str] | None = None,
    size_px: tuple[int, int] | None = None,
    downsample: float = 1.0,
    classes: Classes = GLOMERULUS,
    class_names: Mapping[str, str] | None = None,
    unclassified: str | None = None,
) -> RasterizeResult:
    """Write the annotations of one slide as a mask picture.

    Parameters
    ----------
    annotations
        GeoJSON of QuPath or XML of ImageScope.
    out
        The picture to write; its name ends in ``.png``.
    like, size_px
        The slide or picture that was annotated, or its (width, height) in pixels of full resolution; one of them.
    downsample
        Pixels of full resolution per pixel of the mask.
    classes, class_names, unclassified
        As in `glomseg.slides.rasterize.rasterize`.

    Raises
    ------
    MissingInputError
        If a file does not exist.
    InvalidInputError
        If a file or an option makes no sense, or an annotation's class is not known.
    OutputError
        If the mask cannot be written.
    """
    if (like is None) == (size_px is None):
        raise InvalidInputError("say how large the mask is: --like SLIDE or --size WIDTH,HEIGHT, one of them")
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise InvalidInputError(
            f"the mask {str(out)!r} should be a .png file: others smear class indices or are not read"
        )
    if size_px is None:
        assert like is not None
        with closing(open_slide(like)) as slide:
            size_px = slide.size_px
    width, height = size_px
    drawn = read_annotations(annotations)
    mask = rasterize(
        drawn,
        region=Region(x=0, y=0, width=width, height=height),
        downsample=downsample,
        classes=classes,
        class_names=class_names,
        unclassified=unclassified,
    )
    write_png(out, mask)
    counts = np.bincount(mask.ravel(), minlength=len(classes))
    return RasterizeResult(
        path=out,
        size_px=(mask.shape[1], mask.shape[0]),
        n_annotations=sum(not item.outline.is_empty for item in drawn),
        shares=tuple(float(count / mask.size) for count in counts[: len(classes)]),
        notes=_notes(drawn, size_px=(width, height)),
    )


def _notes(drawn: list[Annotation], *, size_px: tuple[int, int]) -> tuple[str, ...]:
    n_outside = n_beyond(drawn, size_px)
    n_repaired = sum(item.repaired for item in drawn)
    n_empty = sum(item.outline.is_empty for item in drawn)
    notes = {
        f"{counted(n_outside, 'annotation')} beyond the image; is it the slide that was annotated?": n_outside,
        f"{counted(n_repaired, 'annotation')} that crossed themselves were repaired: look at them": n_repaired,
        f"{counted(n_empty, 'annotation')} without an area (points, lines) left out": n_empty,
    }
    return tuple(note for note, n in notes.items() if n)
