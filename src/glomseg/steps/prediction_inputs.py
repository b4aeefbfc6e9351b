"""Which of the files to predict are tiles and which are slides."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tifffile

from glomseg.errors import GlomsegError, InvalidInputError, UnsafeFileError, did_you_mean
from glomseg.images import IMAGE_SUFFIXES, image_header
from glomseg.steps.inputs import find_images

SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".dcm", ".svslide", ".vms", ".vmu"})
"""Suffixes, in lower case, of files that are always slides."""

KINDS = ("auto", "tile", "slide")


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionInputs:
    """The files to predict, each once."""

    tiles: tuple[Path, ...]
    slides: tuple[Path, ...]


def find_inputs(inputs: Sequence[str | os.PathLike[str]], *, kind: str = "auto") -> PredictionInputs:
    """Return the tiles and the slides that files, folders (not their subfolders) and patterns stand for.

    A slide is a file in a slide scanner's format, a TIFF stored in tiles or levels, or a picture with more
    pixels than a tile may have. Of a folder's or pattern's DICOM files in one folder, which are the levels of one
    slide, only the first is taken.

    Parameters
    ----------
    inputs
        Files, folders and patterns.
    kind
        "tile" or "slide" takes all of them for that; "auto" looks at each.

    Raises
    ------
    MissingInputError, InvalidInputError
        As in `find_images`.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"--as {kind!r} is no kind of input: {did_you_mean(kind, KINDS)}")
    paths = find_images(inputs, suffixes=IMAGE_SUFFIXES if kind == "tile" else IMAGE_SUFFIXES | SLIDE_SUFFIXES)
    named = {os.fspath(item) for item in inputs}
    tiles, slides, dicom_folders = [], [], set()
    for path in paths:
        if kind == "tile" or (kind == "auto" and not is_slide(path)):
            tiles.append(path)
            continue
        if path.suffix.lower() == ".dcm" and os.fspath(path) not in named:
            if path.parent in dicom_folders:
                continue
            dicom_folders.add(path.parent)
        slides.append(path)
    return PredictionInputs(tiles=tuple(tiles), slides=tuple(slides))


def is_slide(path: Path) -> bool:
    """Return whether a file is a slide rather than a tile, from its suffix and its header; damage makes it neither."""
    if path.suffix.lower() in SLIDE_SUFFIXES:
        return True
    try:
        header = image_header(path)
    except UnsafeFileError:  # more pixels than a tile may have
        return True
    except GlomsegError:  # whoever reads it says what is wrong
        return path.suffix.lower() in (".tif", ".tiff") and _is_tiled_tiff(path)
    return header.file_format == "TIFF" and _is_tiled_tiff(path)


def _is_tiled_tiff(path: Path) -> bool:
    try:
        with tifffile.TiffFile(path) as file:
            return bool(file.is_ome) or file.pages.first.is_tiled or len(file.series[0].levels) > 1
    except Exception:  # tifffile raises many kinds on damage; whoever reads the file says what is wrong
        return False
