"""The tables of an evaluation: by tile, by group and by object."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glomseg.files import write_csv
from glomseg.metrics.calibration import CalibrationCounts, calibration_figures
from glomseg.metrics.doubt import DOUBTS
from glomseg.metrics.evaluation import Evaluation, TileCounts
from glomseg.metrics.object_evaluation import FoundCounts, TileObjects, figures_of
from glomseg.metrics.pixels import PixelCounts, pixel_metrics

OBJECT_COLUMNS = (
    *("tile", "group", "class", "outcome", "iou", "true_area_px", "predicted_area_px", "true_area_um2"),
    *("predicted_area_um2", "centroid_x_px", "centroid_y_px", "touches_border", "merges", "splits"),
    *("mean_probability", "entropy", "disagreement"),
)
"""Columns of objects.csv, in order."""

_CALIBRATION_COLUMNS = ("ece", "foreground_ece", "brier", "log_loss")


def write_tables(out: Path, evaluation: Evaluation, *, mpp: float | None) -> None:
    """Write ``tiles.csv``, ``groups.csv`` and ``objects.csv`` of tiles at so many micrometres per pixel."""
    write_csv(out / "objects.csv", _object_rows(evaluation, mpp=mpp), columns=OBJECT_COLUMNS)
    names = evaluation.classes.names
    pixel_columns = ["pixel_accuracy", "mean_iou"]
    pixel_columns += [f"{figure} {name}" for figure in ("iou", "dice", "precision", "recall") for name in names]
    object_columns = ("true", "predicted", "found", "missed", "invented", "merges", "splits", "f1", "surface dice")
    found_columns = [*pixel_columns, *(f"objects {column} {name}" for name in names[1:] for column in object_columns)]

    def row(counts: PixelCounts, found: list[FoundCounts]) -> dict[str, Any]:
        metrics = pixel_metrics(counts)
        values = [metrics.pixel_accuracy, metrics.mean_iou]
        values += [*metrics.iou, *metrics.dice, *metrics.precision, *metrics.recall]
        for of_class in found:
            n, figures = of_class.objects, figures_of(of_class)
            values += [n.n_targets, n.n_predictions, n.n_found, n.n_missed, n.n_invented, n.n_merges, n.n_splits]
            values += [figures["f1"], figures["surface_dice"]]
        cells = {key: _cell(value) for key, value in zip(found_columns, values, strict=True)}
        return {"n_pixels": metrics.n_pixels, **cells}

    columns = [*found_columns, *_CALIBRATION_COLUMNS]

    write_csv(
        out / "tiles.csv",
        (
            {
                "tile": tile.name,
                "group": tile.group,
                **row(tile.counts, [found.tiles[index] for found in evaluation.objects]),
                **_calibration_cells(tile.calibration),
                **_doubt_cells(tile),
            }
            for index, tile in enumerate(evaluation.tiles)
        ),
        columns=["tile", "group", "n_pixels", *columns, *DOUBTS],
    )
    n_tiles = Counter(tile.group for tile in evaluation.tiles)
    write_csv(
        out / "groups.csv",
        (
            {
                "group": group,
                "n_tiles": n_tiles[group],
                **row(counts, [found.groups[group] for found in evaluation.objects]),
                **_calibration_cells(None if evaluation.calibration is None else evaluation.calibration.groups[group]),
            }
            for group, counts in sorted(evaluation.groups.items())
        ),
        columns=["group", "n_tiles", "n_pixels", *columns],
    )


def _cell(value: float) -> float | str:
    return "" if value != value else round(value, 6)


def _calibration_cells(counts: CalibrationCounts | None) -> dict[str, float | str]:
    if counts is None:
        return dict.fromkeys(_CALIBRATION_COLUMNS, "")
    figures = calibration_figures(counts.vector)
    return {name: _cell(float(figures[name].value)) for name in _CALIBRATION_COLUMNS}


def _doubt_cells(tile: TileCounts) -> dict[str, float | str]:
    return {name: _cell(tile.doubt[name]) if name in tile.doubt else "" for name in DOUBTS}


def _object_rows(evaluation: Evaluation, *, mpp: float | None) -> Iterator[dict[str, Any]]:
    """Yield one row a pair, a missed and an invented object."""
    for tile in evaluation.tiles:
        for name, objects in zip(evaluation.classes.names[1:], tile.objects, strict=True):
            for row in _rows_of(objects, mpp=mpp):
                yield {"tile": tile.name, "group": tile.group, "class": name, **row}


def _rows_of(objects: TileObjects, *, mpp: float | None) -> Iterator[dict[str, Any]]:
    matching = objects.matching
    partner = dict(matching.pairs.tolist())
    iou = dict(zip(matching.pairs[:, 0].tolist(), matching.iou.tolist(), strict=True))
    invented = sorted(set(range(len(matching.predictions))) - set(partner.values()))
    for true, predicted in [
        *((t, partner.get(t)) for t in range(len(matching.targets))),
        *((None, p) for p in invented),
    ]:
        sides = {
            "true": None if true is None else (matching.targets, true),
            "predicted": None if predicted is None else (matching.predictions, predicted),
        }
        areas = {side: None if place is None else int(place[0].area_px[place[1]]) for side, place in sides.items()}
        shown, position = sides["true"] or sides["predicted"] or (matching.targets, 0)
        yield {
            "outcome": "invented" if true is None else "missed" if predicted is None else "found",
            "iou": "" if true is None or predicted is None else round(iou[true], 6),
            **{f"{side}_area_px": "" if area is None else area for side, area in areas.items()},
            **{
                f"{side}_area_um2": "" if area is None or mpp is None else round(area * mpp * mpp, 2)
                for side, area in areas.items()
            },
            "centroid_x_px": round(float(shown.centroid_px[position, 1]), 2),
            "centroid_y_px": round(float(shown.centroid_px[position, 0]), 2),
            "touches_border": bool(shown.touches_border[position]),
            "merges": predicted is not None and bool(matching.merges[predicted]),
            "splits": true is not None and bool(matching.splits[true]),
            **_object_doubt(objects, predicted),
        }


def _object_doubt(objects: TileObjects, predicted: int | None) -> dict[str, float | str]:
    """Return the mean probability of a predicted object's class over its pixels, and the other doubts about it."""
    cells: dict[str, float | str] = {
        name: _cell(float(values[predicted])) for name, values in objects.doubt.items() if predicted is not None
    }
    expected = cells.pop("expected_error", "")
    return {"mean_probability": "" if isinstance(expected, str) else round(1 - expected, 6), **cells}
