"""Say what is in whole slides, find their tissue, and draw it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from glomseg.errors import GlomsegError, OutputError
from glomseg.export.pictures import overlay
from glomseg.files import make_folder
from glomseg.images import write_png
from glomseg.progress import ProgressBars, no_progress
from glomseg.slides.opening import open_slide
from glomseg.slides.slide import Slide
from glomseg.slides.tissue import Tissue, find_tissue
from glomseg.steps.naming import file_stems
from glomseg.types import Classes, Region

_THUMBNAIL_PX = 1536
_TISSUE = Classes.of(("glass", "tissue"), ((255, 255, 255), (0, 140, 60)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideDescription:
    """What there is to know about one slide.

    Attributes
    ----------
    path
        The file.
    file_format
        What kind of file it is: "aperio", "OME-TIFF" and others.
    size_px
        (width, height) in pixels of full resolution.
    level_sizes_px
        (width, height) of every level in the file, the finest first.
    mpp
        Micrometres per pixel, or None where it is not known.
    tissue_share
        Share of the slide that is tissue, 0 to 1.
    tissue_mm2
        Area of the tissue, or None where the mpp is not known.
    notes
        What a user has to know about the file, in sentences.
    thumbnail
        The picture of the slide with its tissue outlined, or None where none was asked for.
    """

    path: Path
    file_format: str
    size_px: tuple[int, int]
    level_sizes_px: tuple[tuple[int, int], ...]
    mpp: float | None
    tissue_share: float
    tissue_mm2: float | None
    notes: tuple[str, ...]
    thumbnail: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidesResult:
    """What there is to know about some slides.

    Attributes
    ----------
    slides
        In the order of the input.
    failed
        Files that could not be read, with the reason.
    """

    slides: tuple[SlideDescription, ...]
    failed: dict[Path, str]


def describe_slides(
    slides: Sequence[str | os.PathLike[str]],
    *,
    mpp: float | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: ProgressBars = no_progress,
) -> SlidesResult:
    """Return what is in whole slides; a file that cannot be read is reported and the rest goes on.

    Parameters
    ----------
    slides
        Files that `open_slide` reads.
    mpp
        Micrometres per pixel of full resolution, in place of what the files say.
    out
        Folder for ``<name>.png``, each slide with its tissue outlined; None draws none.
    progress
        Where to report.

    Raises
    ------
    OutputError
        If a picture cannot be written.
    """
    paths = [Path(slide) for slide in slides]
    folder = None if out is None else make_folder(out)
    described: list[SlideDescription] = []
    failed: dict[Path, str] = {}
    with progress("looking at slides", unit="slide") as bar:
        for done, (path, name) in enumerate(zip(paths, file_stems(path.stem for path in paths), strict=True), start=1):
            try:
                with open_slide(path, mpp=mpp) as slide:
                    described.append(_describe(slide, None if folder is None else folder / f"{name}.png"))
            except OutputError:
                raise  # a full disk stays full for the next slide too
            except GlomsegError as error:
                failed[path] = str(error)
            bar(done, len(paths), path.name)
    return SlidesResult(slides=tuple(described), failed=failed)


def _describe(slide: Slide, thumbnail: Path | None) -> SlideDescription:
    tissue = find_tissue(slide)
    if thumbnail is not None:
        _draw(thumbnail, slide, tissue)
    return SlideDescription(
        path=slide.path,
        file_format=slide.file_format,
        size_px=slide.size_px,
        level_sizes_px=slide.level_sizes_px,
        mpp=slide.mpp,
        tissue_share=float(tissue.mask.mean()),
        tissue_mm2=tissue.area_mm2,
        notes=slide.notes,
        thumbnail=thumbnail,
    )


def _draw(path: Path, slide: Slide, tissue: Tissue) -> None:
    width, height = slide.size_px
    downsample = max(1.0, max(width, height) / _THUMBNAIL_PX)
    image = slide.read(Region(x=0, y=0, width=width, height=height), downsample=downsample)
    size = (image.shape[1], image.shape[0])
    mask = np.asarray(cv2.resize(tissue.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)
    write_png(path, overlay(image, mask, classes=_TISSUE, opacity=0, legend=False))
