"""The files of an evaluation: figures as JSON for programs, and tables by tile, group and object."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glomseg.files import write_csv, write_json
from glomseg.metrics.evaluation import Evaluation, bounds, named_figures, named_intervals
from glomseg.metrics.matching import MATCH_IOU
from glomseg.metrics.object_evaluation import FoundCounts, ObjectEvaluation, TileObjects, figures_of
from glomseg.metrics.pixels import PixelCounts, pixel_metrics

EVALUATION_FILE = "evaluation.json"

OBJECT_COLUMNS = (
    *("tile", "group", "class", "outcome", "iou", "true_area_px", "predicted_area_px", "true_area_um2"),
    *("predicted_area_um2", "centroid_x_px", "centroid_y_px", "touches_border", "merges", "splits"),
)
"""Columns of objects.csv, in order."""


def write_evaluation(
    out: Path,
    evaluation: Evaluation,
    *,
    circumstances: Mapping[str, Any],
    tile_hashes: Mapping[str, str],
    mpp: float | None,
    min_area_px: int,
    tolerance: float,
) -> None:
    """Write ``evaluation.json``, ``tiles.csv``, ``groups.csv`` and ``objects.csv`` into a folder.

    Parameters
    ----------
    out
        The folder.
    evaluation
        The figures.
    circumstances
        What was evaluated on what, for the JSON file.
    tile_hashes
        Of each tile, as `data.record.hash_tile` has it.
    mpp
        Micrometres per pixel of the tiles.
    min_area_px, tolerance
        What objects were measured with.
    """
    _write_tables(out, evaluation)
    write_csv(out / "objects.csv", _object_rows(evaluation, mpp=mpp), columns=OBJECT_COLUMNS)
    objects = {
        "unit": "px" if mpp is None else "um",
        "match_iou": MATCH_IOU,
        "min_area_px": min_area_px,
        "tolerance": tolerance,
        "classes": {name: _of_class(found, mpp=mpp) for name, found in _by_class(evaluation)},
    }
    content = {**circumstances, **_figures(evaluation, tile_hashes), "objects": objects}
    write_json(out / EVALUATION_FILE, content)


def _by_class(evaluation: Evaluation) -> Iterator[tuple[str, ObjectEvaluation]]:
    return zip(evaluation.classes.names[1:], evaluation.objects, strict=True)


def _figures(evaluation: Evaluation, tile_hashes: Mapping[str, str]) -> dict[str, Any]:
    names = evaluation.classes.names
    return {
        "classes": asdict(evaluation.classes),
        "n_tiles": len(evaluation.tiles),
        "n_groups": len(evaluation.groups),
        "n_pixels": evaluation.counts.n_pixels,
        "figures": named_figures(evaluation.metrics, names),
        "interval_level": evaluation.intervals.mean_iou.level,
        "intervals": named_intervals(evaluation.intervals, names),
        "confusion_matrix": evaluation.counts.matrix,  # rows truth, columns prediction
        "groups": {
            name: {
                "figures": named_figures(pixel_metrics(counts), names),
                "confusion_matrix": counts.matrix,
                "objects": {
                    of: {"counts": _counts(found.groups[name]), "figures": figures_of(found.groups[name])}
                    for of, found in _by_class(evaluation)
                },
            }
            for name, counts in sorted(evaluation.groups.items())
        },
        "tiles": {
            tile.name: {
                "group": tile.group,
                "sha256": tile_hashes[tile.name],
                "confusion_matrix": tile.counts.matrix,
                "objects": {of: _counts(found.tiles[index]) for of, found in _by_class(evaluation)},
            }
            for index, tile in enumerate(evaluation.tiles)
        },
    }


def _of_class(found: ObjectEvaluation, *, mpp: float | None) -> dict[str, Any]:
    return {
        "size_limits_px": found.size_limits_px,
        "size_limits_um2": None if mpp is None else [limit * mpp * mpp for limit in found.size_limits_px],
        "counts": _counts(found.counts),
        "figures": found.figures,
        "intervals": {name: bounds(interval) for name, interval in found.intervals.items()},
        "n_groups": {name: interval.n_groups for name, interval in found.intervals.items()},
    }


def _counts(found: FoundCounts) -> dict[str, Any]:
    derived = {"n_missed": found.objects.n_missed, "n_invented": found.objects.n_invented}
    return {**asdict(found.objects), **derived, **asdict(found.boundary)}


def _write_tables(out: Path, evaluation: Evaluation) -> None:
    names = evaluation.classes.names
    pixel_columns = ["pixel_accuracy", "mean_iou"]
    pixel_columns += [f"{figure} {name}" for figure in ("iou", "dice", "precision", "recall") for name in names]
    object_columns = ("true", "predicted", "found", "missed", "invented", "merges", "splits", "f1", "surface dice")
    columns = [*pixel_columns, *(f"objects {column} {name}" for name in names[1:] for column in object_columns)]

    def row(counts: PixelCounts, found: list[FoundCounts]) -> dict[str, Any]:
        metrics = pixel_metrics(counts)
        values = [metrics.pixel_accuracy, metrics.mean_iou]
        values += [*metrics.iou, *metrics.dice, *metrics.precision, *metrics.recall]
        for of_class in found:
            n, figures = of_class.objects, figures_of(of_class)
            values += [n.n_targets, n.n_predictions, n.n_found, n.n_missed, n.n_invented, n.n_merges, n.n_splits]
            values += [figures["f1"], figures["surface_dice"]]
        cells = {key: "" if value != value else round(value, 6) for key, value in zip(columns, values, strict=True)}
        return {"n_pixels": metrics.n_pixels, **cells}

    write_csv(
        out / "tiles.csv",
        (
            {
                "tile": tile.name,
                "group": tile.group,
                **row(tile.counts, [found.tiles[index] for found in evaluation.objects]),
            }
            for index, tile in enumerate(evaluation.tiles)
        ),
        columns=["tile", "group", "n_pixels", *columns],
    )
    n_tiles = Counter(tile.group for tile in evaluation.tiles)
    write_csv(
        out / "groups.csv",
        (
            {
                "group": group,
                "n_tiles": n_tiles[group],
                **row(counts, [found.groups[group] for found in evaluation.objects]),
            }
            for group, counts in sorted(evaluation.groups.items())
        ),
        columns=["group", "n_tiles", "n_pixels", *columns],
    )


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
        }
