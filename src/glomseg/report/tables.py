"""The tables of a page: words to read, and numbers that the page can sort by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glomseg.report.page import percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A cell that holds a number: how it reads, and what it is sorted by (None goes last)."""

    text: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: its title, a sentence on how to read it, the heads of its columns, and its rows."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | Number, ...], ...]
    caption: str = ""


def share_cell(value: float | None) -> Number:
    """Return a share as a percentage."""
    return Number(text=percent(value), value=value)


def count_cell(value: float | None) -> Number:
    """Return a whole number."""
    return Number(text="-" if value is None else f"{value:,.0f}", value=value)


def number_cell(value: float | None, *, digits: int = 2) -> Number:
    """Return a number with so many digits after its point."""
    return Number(text="-" if value is None else f"{value:,.{digits}f}", value=value)


def interval_cell(interval: Sequence[float] | None) -> Number:
    """Return an interval of shares, sorted by its lower end; a dash where there is none."""
    if interval is None:
        return Number(text="-", value=None)
    low, high = interval
    return Number(text=f"{percent(low)} to {percent(high)}", value=low)


def pixel_table(record: Mapping[str, Any]) -> Table:
    """Return the pixel figures of an evaluation, one row a class and one for their mean."""
    figures, intervals = record["figures"], record["intervals"]
    rows: list[tuple[str | Number, ...]] = [
        (
            name,
            share_cell(figures["iou"][name]),
            interval_cell(intervals["iou"][name]),
            share_cell(figures["dice"][name]),
            interval_cell(intervals["dice"][name]),
            share_cell(figures["precision"][name]),
            share_cell(figures["recall"][name]),
        )
        for name in record["classes"]["names"]
    ]
    rows.append(
        (
            "mean of the classes",
            share_cell(figures["mean_iou"]),
            interval_cell(intervals["mean_iou"]),
            share_cell(figures["mean_dice"]),
            interval_cell(intervals["mean_dice"]),
            "",
            share_cell(figures["mean_accuracy"]),
        )
    )
    level = f"{100 * record['interval_level']:.0f} % interval"
    return Table(
        title="Pixels",
        caption=(
            f"Pixels, in percent, added up over all tiles; {percent(figures['pixel_accuracy'])} of them are right. "
            "Intervals are from the groups: how the figure would vary with other slides."
        ),
        head=("class", "IoU", level, "Dice", level, "precision", "recall"),
        rows=tuple(rows),
    )


def group_table(record: Mapping[str, Any]) -> Table:
    """Return the figures of each group, for every class but the background."""
    names = record["classes"]["names"][1:]
    n_tiles: dict[str, int] = {}
    for tile in record["tiles"].values():
        n_tiles[tile["group"]] = n_tiles.get(tile["group"], 0) + 1
    several = len(names) > 1
    figures = (("IoU", "iou"), ("Dice", "dice"), ("precision", "precision"), ("recall", "recall"))
    of = [f" {name}" if several else "" for name in names]
    head = [f"{words}{name}" for name in of for words, _ in figures]
    if "objects" in record:
        head += [f"{words}{name}" for name in of for words in ("objects", "found", "F1")]
    return Table(
        title="Groups",
        caption=f"Figures of {', '.join(names)}, in percent; a dash where a group has nothing to measure.",
        head=("group", "tiles", *head),
        rows=tuple(
            (
                group,
                count_cell(n_tiles.get(group)),
                *(share_cell(item["figures"][key][name]) for name in names for _, key in figures),
                *(cell for name in names if "objects" in item for cell in _object_cells(item["objects"][name])),
            )
            for group, item in record["groups"].items()
        ),
    )


def _object_cells(objects: Mapping[str, Any]) -> tuple[Number, ...]:
    counts = objects["counts"]
    return count_cell(counts["n_targets"]), count_cell(counts["n_found"]), share_cell(objects["figures"]["f1"])


def matrix_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix: for each cell its share of the row, its number and its shade."""
    rows = []
    for name, counts in zip(record["classes"]["names"], record["confusion_matrix"], strict=True):
        total = sum(counts)
        cells = [
            {
                "share": _row_share(count, total),
                "count": f"{count:,}",
                "shade": round(count / total, 3) if total else 0,
            }
            for count in counts
        ]
        rows.append({"name": name, "cells": cells})
    return rows


def _row_share(count: int, total: int) -> str:
    """Return a share in percent that says 0 and 100 only where that is exactly so."""
    if not total:
        return "-"
    if count not in (0, total):
        share = min(max(100 * count / total, 0.1), 99.9)
        return f"{share:.1f} %"
    return "100 %" if count else "0 %"
