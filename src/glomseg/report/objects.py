"""What an evaluation says about objects: counts, figures with their intervals, sizes and numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glomseg.data.findings import counted
from glomseg.report.charts import Chart, scatter_chart
from glomseg.report.page import percent
from glomseg.report.tables import Number, Table, count_cell, interval_cell, number_cell, share_cell

KINDS = {
    "missed": "with a missed object",
    "invented": "with an invented object",
    "merged": "with merged objects",
    "split": "with an object in pieces",
    "clean": "every object right",
}
"""What can have happened to the objects of a tile."""

_SHARES = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "panoptic_quality": "panoptic quality (PQ)",
    "segmentation_quality": "mean IoU of the found",
    "ap_dsb": "AP of IoU 0.5 to 0.95",
    "recall_small": "recall, small objects",
    "recall_middle": "recall, middling objects",
    "recall_large": "recall, large objects",
    "recall_cut": "recall, cut by the border",
    "surface_dice": "surface Dice",
}
"""Figures that are shown in percent."""

_NUMBERS = {
    "count_ratio": "predicted / true count",
    "count_error_per_tile": "count error per tile",
    "area_ratio": "predicted / true area",
    "matched_area_ratio": "predicted / true area of a found object",
    "matched_area_low": "its lower limit of agreement",
    "matched_area_high": "its upper limit of agreement",
}

_DISTANCES = {"hausdorff_95": "Hausdorff distance, 95 %", "surface_distance": "mean distance of outlines"}


def object_tables(record: Mapping[str, Any]) -> list[Table]:
    """Return what became of the objects of each class, and every figure of them with its interval."""
    if "objects" not in record:
        return []
    classes = record["objects"]["classes"]
    counts = Table(
        title="Objects",
        caption=(
            "An object is found where a predicted one overlaps it with an IoU of "
            f"{record['objects']['match_iou']:g} or more, one to one."
        ),
        head=("class", "true", "predicted", "found", "missed", "invented", "merges", "in pieces"),
        rows=tuple((name, *(count_cell(item["counts"][key]) for key in _COUNTED)) for name, item in classes.items()),
    )
    level = f"{100 * record['interval_level']:.0f} % interval"
    figures = Table(
        title="Figures of objects",
        caption=f"F1 to surface Dice in percent; distances in {_unit(record)}.",
        head=("figure", *(["class"] if len(classes) > 1 else []), "value", level),
        rows=tuple(
            (words, *([name] if len(classes) > 1 else []), value, interval)
            for name, item in classes.items()
            for words, value, interval in _figure_rows(item, unit=_unit(record))
        ),
    )
    return [counts, figures]


_COUNTED = ("n_targets", "n_predictions", "n_found", "n_missed", "n_invented", "n_merges", "n_splits")


def object_sentences(record: Mapping[str, Any]) -> list[str]:
    """Return in a sentence for each class what became of its objects."""
    sentences = []
    for name, item in record.get("objects", {}).get("classes", {}).items():
        n, f1 = item["counts"], item["figures"]["f1"]
        if f1 is None:
            continue
        interval = item["intervals"]["f1"]
        level = f"{100 * record['interval_level']:.0f} %"
        within = f" (F1 {percent(f1)} %" + (
            f", {level} interval {interval_cell(interval).text} %)" if interval else ")"
        )
        sentences.append(
            f"{name}: of {counted(n['n_targets'], 'object')} {n['n_found']:,} found and {n['n_missed']:,} missed; "
            f"{n['n_invented']:,} more invented{within}."
        )
    return sentences


def object_kinds(tile: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what happened to the objects of a tile, of all classes together."""
    counts = list(tile["objects"].values())
    happened = {
        "missed": "n_missed",
        "invented": "n_invented",
        "merged": "n_merges",
        "split": "n_splits",
    }
    return tuple(kind for kind, key in happened.items() if any(n[key] for n in counts)) or ("clean",)


def object_facts(tile: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what became of the objects of each class of a tile, in words."""
    for name, n in tile.get("objects", {}).items():
        words = [f"{n['n_found']} of {n['n_targets']} found"]
        words += [
            f"{n[key]} {what}"
            for key, what in (("n_invented", "invented"), ("n_merges", "merged"), ("n_splits", "in pieces"))
            if n[key]
        ]
        yield f"objects, {name}", ", ".join(words)


def object_charts(record: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    """Return the sizes of the found objects, and the numbers of objects of the tiles, predicted against true.

    Parameters
    ----------
    record
        As ``evaluation.json`` holds it.
    rows
        Of ``objects.csv``.
    """
    if "objects" not in record:
        return []
    charts = []
    unit, words = ("um2", "µm²") if _unit(record) == "µm" else ("px", "px")
    for name in record["objects"]["classes"]:
        sizes = [
            (float(row[f"true_area_{unit}"]), float(row[f"predicted_area_{unit}"]), row["tile"])
            for row in rows
            if row["class"] == name and row["outcome"] == "found" and row["touches_border"] != "True"
        ]
        if len(sizes) > 1:
            drawing = scatter_chart(sizes, x_label=f"true area ({words})", y_label=f"predicted area ({words})")
            caption = "Each dot is a found object that the tile's border does not cut. On the line both are equal."
            charts.append(Chart(title=f"Size of {name}", caption=caption, drawing=drawing))
        counts = [
            (float(tile["objects"][name]["n_targets"]), float(tile["objects"][name]["n_predictions"]), tile_name)
            for tile_name, tile in record["tiles"].items()
        ]
        if len(counts) > 1:
            drawing = scatter_chart(counts, x_label="true objects of a tile", y_label="predicted objects of a tile")
            caption = (
                "Each dot is a tile; the darker, the more tiles. Above the line there are too many, below too few."
            )
            charts.append(Chart(title=f"Number of {name}", caption=caption, drawing=drawing))
    return charts


def _figure_rows(item: Mapping[str, Any], *, unit: str) -> Iterator[tuple[str, Number, Number]]:
    figures, intervals = item["figures"], item["intervals"]
    for key, words in _SHARES.items():
        if key in figures:
            yield words, share_cell(figures[key]), interval_cell(intervals.get(key))
    for key, words in (_NUMBERS | {key: f"{words} ({unit})" for key, words in _DISTANCES.items()}).items():
        if key in figures:
            yield words, number_cell(figures[key]), _number_interval(intervals.get(key))


def _number_interval(interval: Sequence[float] | None) -> Number:
    if interval is None:
        return Number(text="-", value=None)
    low, high = interval
    return Number(text=f"{low:.2f} to {high:.2f}", value=low)


def _unit(record: Mapping[str, Any]) -> str:
    return "µm" if record["objects"]["unit"] == "um" else "px"
