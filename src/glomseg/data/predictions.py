"""The predicted masks that an evaluation keeps, and where the tiles lie that they belong to.

::

    evaluation/
      predictions.json       the data set as it was read, and for each tile its files and its doubt
      predictions/           the predicted masks: PNG of class indices, as large as the tiles
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.files import read_json, write_json
from glomseg.types import Classes, Dataset, Region, Sample

FILE_NAME = "predictions.json"
_FORMAT = "glomseg predictions 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPrediction:
    """The prediction of one tile.

    Attributes
    ----------
    name
        Of the tile.
    file
        The predicted mask, below the evaluation's folder: ``predictions/<tile>.png``.
    doubt
        Share of the tile's pixels that the model itself expects to have wrong: ``expected_error`` of
        `metrics.doubt.doubt_maps`, its mean.
    """

    name: str
    file: str
    doubt: float


def write_predictions(folder: str | os.PathLike[str], dataset: Dataset, predictions: Sequence[KeptPrediction]) -> None:
    """Write into an evaluation's folder which tiles its predicted masks belong to, and how these are read."""
    samples = dataset.select([item.name for item in predictions])
    write_json(
        Path(folder) / FILE_NAME,
        {
            "format": _FORMAT,
            "root": dataset.root.resolve(),
            "classes": {"names": dataset.classes.names, "colors": dataset.classes.colors},
            "mask_values": dataset.mask_values,
            "ignore_value": dataset.ignore_value,
            "mpp": dataset.mpp,
            "slide_mpp": dataset.slide_mpp,
            "annotation_classes": dict(dataset.annotation_classes),
            "tiles": [
                {
                    "name": sample.name,
                    "group": sample.group,
                    "image": _below(dataset.root, sample.image_path),
                    "mask": None if sample.mask_path is None else _below(dataset.root, sample.mask_path),
                    "region": None if sample.region is None else asdict(sample.region),
                    "prediction": item.file,
                    "doubt": item.doubt,
                }
                for sample, item in zip(samples, predictions, strict=True)
            ],
        },
    )


def read_predictions(
    folder: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None
) -> tuple[Dataset, tuple[KeptPrediction, ...]]:
    """Return the tiles of an evaluation and, in the same order, what it predicted for them.

    Parameters
    ----------
    folder
        The evaluation's folder.
    root
        Where the data set lies now; None takes the place where it was evaluated.

    Raises
    ------
    MissingInputError, InvalidInputError
        If there is no such file, or it is not what `write_predictions` writes.
    """
    path = Path(folder) / FILE_NAME
    record = read_json(path, what="list of predictions")
    if not isinstance(record, Mapping) or record.get("format") != _FORMAT:
        raise InvalidInputError(f"{str(path)!r} is not a list of predictions ({_FORMAT}); evaluate again")
    try:
        return _parsed(record, root=root)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"list of predictions {str(path)!r} is damaged ({type(error).__name__}: {error}); evaluate again"
        ) from error


def _parsed(
    record: Mapping[str, Any], *, root: str | os.PathLike[str] | None
) -> tuple[Dataset, tuple[KeptPrediction, ...]]:
    found = Path(record["root"] if root is None else root)
    folder = found if found.is_dir() else found.parent
    names, colors, values = record["classes"]["names"], record["classes"]["colors"], record["mask_values"]
    tiles = record["tiles"]
    dataset = Dataset(
        root=found,
        samples=tuple(
            Sample(
                name=str(tile["name"]),
                image_path=folder / tile["image"],
                mask_path=None if tile["mask"] is None else folder / tile["mask"],
                group=str(tile["group"]),
                region=None if tile["region"] is None else Region(**tile["region"]),
            )
            for tile in tiles
        ),
        classes=Classes(names=tuple(names), colors=tuple((int(r), int(g), int(b)) for r, g, b in colors)),
        mask_values=None if values is None else tuple(int(value) for value in values),
        ignore_value=record["ignore_value"],
        mpp=record["mpp"],
        slide_mpp=record["slide_mpp"],
        annotation_classes=record["annotation_classes"],
    )
    kept = (
        KeptPrediction(name=str(tile["name"]), file=str(tile["prediction"]), doubt=float(tile["doubt"]))
        for tile in tiles
    )
    return dataset, tuple(kept)


def _below(root: Path, path: Path) -> str:
    """Return a path as text, below `root` where it lies there, so that the folder may move."""
    folder = (root if root.is_dir() else root.parent).resolve()
    path = path.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else os.fspath(path)
