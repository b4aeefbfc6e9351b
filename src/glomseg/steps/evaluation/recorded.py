"""An evaluation read back from its folder: what a comparison needs of it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import read_json
from glomseg.metrics.boundary import BoundaryCounts
from glomseg.metrics.object_evaluation import FoundCounts
from glomseg.metrics.objects import ObjectCounts
from glomseg.metrics.pixels import PixelCounts
from glomseg.steps.evaluation.files import EVALUATION_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTile:
    """One tile of an evaluation.

    Attributes
    ----------
    group
        Its slide, case or patient.
    sha256
        As `data.record.hash_tile` has it.
    pixels
        The counts of its pixels.
    objects
        The counts of its objects and outlines for each class but the background.
    """

    group: str
    sha256: str
    pixels: PixelCounts
    objects: tuple[FoundCounts, ...]

    @property
    def vectors(self) -> tuple[NDArray[np.float64], ...]:
        """What `pixel_figures` takes, and then for each class what `found_figures` takes."""
        return (self.pixels.matrix.ravel().astype(np.float64), *(found.vector for found in self.objects))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvaluation:
    """An evaluation as its JSON file has it.

    Attributes
    ----------
    file
        The JSON file.
    class_names
        The background first.
    conditions
        What has to be the same for two evaluations to be compared, by name: mpp, match_iou, tolerance.
    tiles
        By name.
    """

    file: Path
    class_names: tuple[str, ...]
    conditions: dict[str, float | None]
    tiles: dict[str, RecordedTile]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    group: str
    sha256: str
    confusion_matrix: list[list[int]]
    objects: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Objects:
    match_iou: float
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Classes:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    classes: _Classes
    mpp: float | None
    objects: _Objects
    tiles: dict[str, _Tile]


_FILE = TypeAdapter(_File)
_OBJECT_COUNTS, _BOUNDARY_COUNTS = TypeAdapter(ObjectCounts), TypeAdapter(BoundaryCounts)


def read_evaluation(path: str | os.PathLike[str]) -> RecordedEvaluation:
    """Read the evaluation in a folder, in a run folder with a single one, or in a JSON file.

    Raises
    ------
    MissingInputError
        If there is none.
    InvalidInputError
        If there are several, or the file is damaged or of a version that wrote less.
    """
    file = _evaluation_file(Path(path))
    content = read_json(file, what="evaluation")
    if isinstance(content, dict) and "figures" in content and "objects" not in content:
        raise InvalidInputError(
            f"evaluation {str(file)!r} was written by glomseg {content.get('glomseg')}, which counted no objects and "
            "kept no hashes of the tiles; evaluate the model again with `glomseg evaluate`"
        )
    try:
        read = _FILE.validate_python(content)
        tiles = {name: _tile(tile, read.classes.names) for name, tile in read.tiles.items()}
    except (ValidationError, KeyError, ValueError) as error:
        raise InvalidInputError(f"evaluation {str(file)!r} is damaged: {_reason(error)}") from error
    if not tiles:
        raise InvalidInputError(f"evaluation {str(file)!r} has no tile")
    conditions = {"mpp": read.mpp, "match_iou": read.objects.match_iou, "tolerance": read.objects.tolerance}
    return RecordedEvaluation(file=file, class_names=read.classes.names, conditions=conditions, tiles=tiles)


def _evaluation_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    if (path / EVALUATION_FILE).is_file():
        return path / EVALUATION_FILE
    found = sorted(path.glob(f"evaluation-*/{EVALUATION_FILE}"))
    if not found:
        raise MissingInputError(
            f"{str(path)!r} holds no {EVALUATION_FILE}, nor a folder evaluation-... with one; "
            "make one with `glomseg evaluate`"
        )
    if len(found) > 1:
        names = ", ".join(repr(str(file.parent)) for file in found)
        raise InvalidInputError(f"{str(path)!r} holds several evaluations; name one of them: {names}")
    return found[0]


def _tile(tile: _Tile, names: tuple[str, ...]) -> RecordedTile:
    matrix = np.array(tile.confusion_matrix)
    if matrix.shape != (len(names), len(names)):
        raise ValueError(f"a confusion matrix has the shape {matrix.shape}, but there are {len(names)} classes")
    objects = []
    for name in names[1:]:
        counts = FoundCounts(
            objects=_OBJECT_COUNTS.validate_python(tile.objects[name]),
            boundary=_BOUNDARY_COUNTS.validate_python(tile.objects[name]),
        )
        vector = counts.vector
        if vector.shape != FoundCounts().vector.shape or not np.isfinite(vector).all():
            raise ValueError(f"the counts of {name} are not as many numbers as there should be")
        objects.append(counts)
    return RecordedTile(group=tile.group, sha256=tile.sha256, pixels=PixelCounts(matrix=matrix), objects=tuple(objects))


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(item) for item in first['loc'])}: {first['msg']}"
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)
