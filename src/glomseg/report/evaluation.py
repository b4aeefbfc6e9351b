"""The page on an evaluation: what was found, what was missed, where, and how sure that is."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glomseg.data.findings import counted
from glomseg.errors import InvalidInputError
from glomseg.metrics.pixels import PixelCounts, pixel_metrics
from glomseg.report.embedding import TilePicture
from glomseg.report.evaluation_charts import doubt_charts, group_charts, training_charts
from glomseg.report.gallery import GalleryTile, Order, gallery_data
from glomseg.report.objects import (
    KINDS,
    object_charts,
    object_facts,
    object_kinds,
    object_sentences,
    object_tables,
)
from glomseg.report.page import percent, write_page
from glomseg.report.probabilities import (
    calibration_sentences,
    object_doubt_charts,
    probability_tables,
    reliability_charts,
)
from glomseg.report.records import Record, record_of
from glomseg.report.tables import group_table, matrix_rows, pixel_table
from glomseg.types import Classes

_VIEWS = {"image": "Image", "truth": "Truth", "prediction": "Prediction", "errors": "Errors"}
_KINDS = {
    "all-missed": "all missed",
    "part-missed": "partly missed",
    "invented": "invented, nothing there",
    "empty": "empty, left empty",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationContents:
    """What the page on an evaluation shows.

    Attributes
    ----------
    record
        As ``evaluation.json`` holds it.
    objects
        Rows of ``objects.csv``.
    pictures
        Of the tiles by name; a tile without one is listed with its figures only.
    doubts
        Share of each tile's pixels that the model itself expects to have wrong.
    training
        Lines of the run's metrics file.
    records
        Settings and versions of the run.
    notes
        What to know about the pictures.
    """

    record: Mapping[str, Any]
    objects: Sequence[Mapping[str, str]] = ()
    pictures: Mapping[str, TilePicture] = field(default_factory=dict)
    doubts: Mapping[str, float] = field(default_factory=dict)
    training: Sequence[Mapping[str, Any]] = ()
    records: Sequence[Record] = ()
    notes: Sequence[str] = ()


def write_evaluation_page(path: str | os.PathLike[str], contents: EvaluationContents, *, key: str) -> None:
    """Write the page on an evaluation as one HTML file.

    Parameters
    ----------
    path
        The file.
    contents
        What it shows.
    key
        What the reader's list is remembered under: different for different evaluations.

    Raises
    ------
    InvalidInputError
        If the record lacks something that every evaluation has.
    OutputError
        If the file cannot be written.
    """
    try:
        values = _values(contents, key=key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"the evaluation is damaged or of another version ({type(error).__name__}: {error}); "
            "write it again with `glomseg evaluate`"
        ) from error
    write_page(path, "evaluation.html", **values)


def summary(record: Mapping[str, Any]) -> list[str]:
    """Return what an evaluation says, in sentences: one on the whole, one for each class but the background."""
    figures, intervals = record["figures"], record["intervals"]
    where = "all tiles" if record["part"] == "all" else f"the part “{record['part']}”"
    on = f"On {counted(record['n_tiles'], 'tile')} of {counted(record['n_groups'], 'group')} ({where})"
    lines = []
    for name in record["classes"]["names"][1:]:
        iou, recall, precision = (figures[key][name] for key in ("iou", "recall", "precision"))
        if iou is None:
            lines.append(f"{on} there is no {name}, and none was predicted.")
            continue
        interval = intervals["iou"][name]
        level = f"{100 * record['interval_level']:.0f} %"
        within = f" ({level} interval {percent(interval[0])} to {percent(interval[1])} %)" if interval else ""
        found = "none of it is there" if recall is None else f"{percent(recall)} % of its pixels were found"
        right = "none was predicted" if precision is None else f"{percent(precision)} % of the predicted ones are right"
        lines.append(f"{on} the model drew {name} with an IoU of {percent(iou)} %{within}: {found}, and {right}.")
    return lines


def _values(contents: EvaluationContents, *, key: str) -> dict[str, Any]:
    record = contents.record
    classes = Classes(
        names=tuple(record["classes"]["names"]),
        colors=tuple((int(r), int(g), int(b)) for r, g, b in record["classes"]["colors"]),
    )
    tiles = [_tile(name, contents, classes=classes) for name in record["tiles"]]
    charts = [
        *training_charts(contents.training),
        *group_charts(record),
        *object_charts(record, contents.objects),
        *reliability_charts(record),
        *doubt_charts(tiles),
        *object_doubt_charts(record, contents.objects),
    ]
    objects = object_tables(record)
    sections = {
        "figures": "Figures",
        **({"charts": "Charts"} if charts else {}),
        "groups": "Groups",
        "tiles": "Tiles",
        "record": "Settings",
    }
    shown = ("glomseg", "model", "data", "mpp", "part", "split", "device", "precision", "interval_level", "failed")
    return {
        "title": f"{', '.join(classes.names[1:])} on {Path(record['data']).name or record['data']}",
        "kind": "Evaluation",
        "sentences": [*object_sentences(record), *summary(record), *calibration_sentences(record)],
        "notes": [*record["notes"], *_failures(record["failed"])],
        "sections": list(sections.items()),
        "tables": [*objects[:1], pixel_table(record)],
        "more_tables": objects[1:],
        "probability_tables": probability_tables(record),
        "class_names": classes.names,
        "matrix": matrix_rows(record),
        "charts": charts,
        "groups": group_table(record),
        "records": [record_of("Evaluation", {name: record.get(name) for name in shown}), *contents.records],
        "page": gallery_data(
            tiles,
            key=key,
            classes=classes,
            views=_VIEWS,
            orders=(
                Order(key="error", label="most wrong pixels first"),
                *([Order(key="doubt", label="most doubt first")] if contents.doubts else []),
            ),
            kinds=KINDS if "objects" in record else _KINDS,
            review_file="review.csv",
            notes=contents.notes,
        ),
    }


def _failures(failed: Mapping[str, str]) -> list[str]:
    if not failed:
        return []
    name, reason = next(iter(failed.items()))
    return [f"{counted(len(failed), 'tile')} could not be read and count nowhere; the first, {name}: {reason}"]


def _tile(name: str, contents: EvaluationContents, *, classes: Classes) -> GalleryTile:
    tile, doubt = contents.record["tiles"][name], contents.doubts.get(name)
    metrics = pixel_metrics(PixelCounts(matrix=np.array(tile["confusion_matrix"])))
    error = None if metrics.n_pixels == 0 else 1 - metrics.pixel_accuracy
    facts = [("wrong pixels", f"{percent(error, digits=2)} %")]
    if doubt is not None:
        facts.append(("expected by the model", f"{percent(doubt, digits=2)} %"))
    facts += object_facts(tile)
    for index, class_name in list(enumerate(classes.names))[1:]:
        for words, values in (("IoU", metrics.iou), ("precision", metrics.precision), ("recall", metrics.recall)):
            label = f"{words} {class_name}" if len(classes) > 2 else words
            facts.append((label, "-" if values[index] != values[index] else f"{percent(values[index])} %"))
    return GalleryTile(
        name=name,
        group=tile["group"],
        picture=contents.pictures.get(name, TilePicture()),
        line=f"{percent(error)} % wrong",
        values={"error": error, "doubt": doubt},
        kinds=object_kinds(tile) if "objects" in tile else _kinds(tile["confusion_matrix"]),
        facts=tuple(facts),
    )


def _kinds(matrix: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """Return what happened on a tile as a whole, of the foreground classes together."""
    n_true = sum(map(sum, matrix[1:]))
    n_predicted = sum(sum(row[1:]) for row in matrix)
    n_found = sum(sum(row[1:]) for row in matrix[1:])
    if not n_true:
        return ("invented",) if n_predicted else ("empty",)
    if not n_found:
        return ("all-missed",)
    return ("part-missed",) if 2 * n_found < n_true else ()
