"""The charts of an evaluation: training, groups, and what the model thinks of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from glomseg.report.charts import Chart, interval_chart, line_chart, scatter_chart
from glomseg.report.gallery import GalleryTile

_MAX_GROUPS_DRAWN = 40


def group_charts(record: Mapping[str, Any]) -> list[Chart]:
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


def doubt_charts(tiles: Sequence[GalleryTile]) -> list[Chart]:
    """Return which share of each tile's pixels is wrong against the share that the model expects to be."""
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


def training_charts(rows: Sequence[Mapping[str, Any]]) -> list[Chart]:
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
