"""What the words of a prediction stand for: a model, tiles, slides."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tifffile

from glomseg.box import BOX, box_model, is_box
from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError, UnsafeFileError, did_you_mean
from glomseg.images import IMAGE_SUFFIXES, image_header
from glomseg.inference.engines.exported_files import SUFFIXES as EXPORTED_SUFFIXES
from glomseg.inference.loading import CHECKPOINT_SUFFIXES
from glomseg.models.model_files import SUFFIX, is_safetensors
from glomseg.runs import ENSEMBLE, RunFolder
from glomseg.steps.inputs import find_images

SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".dcm", ".svslide", ".vms", ".vmu"})
"""Suffixes, in lower case, of files that are always slides."""

KINDS = ("auto", "tile", "slide")

_MODEL_SUFFIXES = (SUFFIX, *CHECKPOINT_SUFFIXES, ".json", ".py", *EXPORTED_SUFFIXES)
"""Ends of models, and of records and configs that stand for models."""


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


def split_model(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the model and the inputs that words stand for, the first of which may be a model; without one, the box.

    A model is the name of the one in the box, the folder of a training or a cross-validation, a safetensors file, or a
    path that ends as models and configs do. Nothing that may be a mistyped model is taken for an input. `words` are
    one or more.

    Raises
    ------
    MissingInputError
        If the first word is neither a model nor an input that is there.
    InvalidInputError
        If the first word is a file of another kind, or a model stands behind the first input.
    """
    late = next((word for word in words[1:] if _is_model(word, by_suffix=(SUFFIX,))), None)
    if late is not None:
        raise InvalidInputError(f"{late!r} is a model: name one model, before the files that it is to predict")
    first, path = words[0], Path(words[0])
    if _is_model(first, by_suffix=_MODEL_SUFFIXES):
        return first, tuple(words[1:])
    is_known = path.suffix.lower() in IMAGE_SUFFIXES | SLIDE_SUFFIXES
    if path.is_file() and not is_known:
        raise InvalidInputError(
            f"{first!r} is neither a model nor an image by its name and its first bytes; write `{BOX}` before it "
            "to have it read as an image by the model in the box"
        )
    if not (is_known or path.exists() or glob.has_magic(first)):
        raise MissingInputError(
            f"{first!r} is neither a model nor an image: it does not exist. The first word may be a model: a model "
            f"file, the folder of a training, or {BOX}, which is taken where none is named"
        )
    return os.fspath(box_model()), tuple(words)


def _is_model(word: str, *, by_suffix: tuple[str, ...]) -> bool:
    if is_box(word):
        return True
    path = Path(word)
    if path.is_dir():
        run = RunFolder(path)
        return (path / ENSEMBLE).is_file() or (run.manifest.is_file() and run.settings.is_file())
    return path.suffix.lower() in by_suffix or (path.is_file() and is_safetensors(path))


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
