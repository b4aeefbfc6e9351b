"""The page on an evaluation: what was found, what was missed, where, and how sure that is."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glomseg.data.findings import counted
from glomseg.errors import InvalidInputError
from glomseg.metrics.pixels import PixelCounts, PixelMetrics, pixel_metrics
from glomseg.report.charts import Chart, interval_chart, line_chart, scatter_chart
from glomseg.report.embedding import TilePicture
from glomseg.report.gallery import GalleryTile, Order, gallery_data
from glomseg.report.page import percent, write_page
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
_MAX_GROUPS_DRAWN = 40


def write_evaluation_page(
    path: str | os.PathLike[str],
    record: Mapping[str, Any],
    *,
    key: str,
    pictures: Mapping[str, TilePicture],
    doubts: Mapping[str, float],
    training: Sequence[Mapping[str, Any]] = (),
    records: Sequence[Record] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write the page on an evaluation as one HTML file.

    Parameters
    ----------
    path
        The file.
    record
        As ``evaluation.json`` holds it.
    key
        What the reader's list is remembered under: different for different evaluations.
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

    Raises
    ------
    InvalidInputError
        If the record lacks something that every evaluation has.
    OutputError
        If the file cannot be written.
    """
    try:
        values = _values(dict(record), key=key, pictures=pictures, doubts=doubts, training=training, notes=notes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"the evaluation is damaged or of another version ({type(error).__name__}: {error}); "
            "write it again with `glomseg evaluate`"
        ) from error
    shown = ("model", "data", "mpp", "part", "split", "device", "precision", "interval_level", "failed")
    own = {"glomseg": record["glomseg"], **{name: record[name] for name in shown if name in record}}
    write_page(path, "evaluation.html", **values, records=[record_of("Evaluation", own), *records])


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


def _values(
    record: dict[str, Any],
    *,
    key: str,
    pictures: Mapping[str, TilePicture],
    doubts: Mapping[str, float],
    training: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
) -> dict[str, Any]:
    classes = Classes(
        names=tuple(record["classes"]["names"]),
        colors=tuple((int(r), int(g), int(b)) for r, g, b in record["classes"]["colors"]),
    )
    measured = {
        name: pixel_metrics(PixelCounts(matrix=np.array(tile["confusion_matrix"])))
        for name, tile in record["tiles"].items()
    }
    tiles = [
        _tile(
            name,
            record["tiles"][name],
            metrics,
            classes=classes,
            doubt=doubts.get(name),
            picture=pictures.get(name, TilePicture()),
        )
        for name, metrics in measured.items()
    ]
    page = gallery_data(
        tiles,
        key=key,
        classes=classes,
        views=_VIEWS,
        orders=(
            Order(key="error", label="most wrong pixels first"),
            *([Order(key="doubt", label="most doubt first")] if doubts else []),
        ),
        kinds=_KINDS,
        review_file="review.csv",
        notes=notes,
    )
    charts = [*_training_charts(training), *_figure_charts(record), *_doubt_chart(tiles)]
    sections = [("figures", "Figures"), *([("charts", "Charts")] if charts else []), ("groups", "Groups")]
    return {
        "title": f"{', '.join(classes.names[1:])} on {Path(record['data']).name or record['data']}",
        "kind": "Evaluation",
        "sentences": summary(record),
        "notes": [*record["notes"], *_failures(record["failed"])],
        "sections": [*sections, ("tiles", "Tiles"), ("record", "Settings")],
        "tables": [pixel_table(record)],
        "class_names": classes.names,
        "matrix": matrix_rows(record),
        "charts": charts,
        "groups": group_table(record),
        "page": page,
    }


def _failures(failed: Mapping[str, str]) -> list[str]:
    if not failed:
        return []
    name, reason = next(iter(failed.items()))
    return [f"{counted(len(failed), 'tile')} could not be read and count nowhere; the first, {name}: {reason}"]


def _tile(
    name: str,
    record: Mapping[str, Any],
    metrics: PixelMetrics,
    *,
    classes: Classes,
    doubt: float | None,
    picture: TilePicture,
) -> GalleryTile:
    error = None if metrics.n_pixels == 0 else 1 - metrics.pixel_accuracy
    facts = [("wrong pixels", f"{percent(error, digits=2)} %")]
    if doubt is not None:
        facts.append(("expected by the model", f"{percent(doubt, digits=2)} %"))
    for index, class_name in list(enumerate(classes.names))[1:]:
        for words, values in (("IoU", metrics.iou), ("precision", metrics.precision), ("recall", metrics.recall)):
            label = f"{words} {class_name}" if len(classes) > 2 else words
            facts.append((label, "-" if values[index] != values[index] else f"{percent(values[index])} %"))
    return GalleryTile(
        name=name,
        group=record["group"],
        picture=picture,
        line=f"{percent(error)} % wrong",
        values={"error": error, "doubt": doubt},
        kinds=_kinds(record["confusion_matrix"]),
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


def _figure_charts(record: Mapping[str, Any]) -> list[Chart]:
    """Return the IoU of every group beside that of all together, for every class but the background."""
    groups = list(record["groups"].items())[:_MAX_GROUPS_DRAWN]
    charts = []
    for name in record["classes"]["names"][1:]:
        whole = record["figures"]["iou"][name]
        rows: list[tuple[str, float | None, tuple[float, float] | None]] = [
            (group, _hundredfold(item["figures"]["iou"][name]), None) for group, item in groups
        ]
        interval = record["intervals"]["iou"][name]
        ends = None if interval is None else (100 * interval[0], 100 * interval[1])
        rows.append(("all groups", _hundredfold(whole), ends))
        if whole is not None and len(groups) > 1:
            more = len(record["groups"]) - len(groups)
            caption = "Dots are groups; the last line is all of them, with its interval."
            charts.append(
                Chart(
                    title=f"IoU of {name} by group",
                    caption=caption + (f" {more} more groups stand in the table." if more else ""),
                    drawing=interval_chart(rows, x_label="IoU (%)", marked_x=100 * whole),
                )
            )
    return charts


def _doubt_chart(tiles: Sequence[GalleryTile]) -> list[Chart]:
    points = [
        (100 * tile.values["doubt"], 100 * tile.values["error"], tile.name)
        for tile in tiles
        if tile.values["doubt"] is not None and tile.values["error"] is not None
    ]
    if len(points) < 2:
        return []
    caption = "Each dot is a tile. Above the line the model is surer than it should be, below it less sure."
    drawing = scatter_chart(points, x_label="pixels that the model expects wrong (%)", y_label="wrong pixels (%)")
    return [Chart(title="Doubt and error", caption=caption, drawing=drawing)]


def _training_charts(rows: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return the training loss, and the validation IoU of each class, over the steps."""
    loss = [(float(row["step"]), float(row["loss"])) for row in rows if _is_number(row.get("loss"))]
    validated = [row for row in rows if isinstance(row.get("iou"), Mapping)]
    series = {
        name: [(float(row["step"]), 100 * row["iou"][name]) for row in validated if _is_number(row["iou"].get(name))]
        for name in (validated[-1]["iou"] if validated else ())
    }
    series = {name: points for name, points in series.items() if points}
    charts = []
    if loss:
        drawing = line_chart({"loss": loss}, x_label="step", y_label="training loss")
        charts.append(Chart(title="Training loss", caption="Over the steps of the training.", drawing=drawing))
    if series:
        drawing = line_chart(series, x_label="step", y_label="validation IoU (%)")
        caption = "IoU of each class on the validation part, at the tiles' own resolution."
        charts.append(Chart(title="Validation", caption=caption, drawing=drawing))
    return charts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _hundredfold(value: float | None) -> float | None:
    return None if value is None else 100 * value
