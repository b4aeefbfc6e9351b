"""The file of an evaluation for programs: every figure, interval and count as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glomseg.files import write_json
from glomseg.metrics.calibration import N_FIGURE_BINS, CalibrationCounts, Reliability, calibration_figures
from glomseg.metrics.calibration_evaluation import CalibrationEvaluation, ReliabilityBin
from glomseg.metrics.doubt import DoubtFigure
from glomseg.metrics.evaluation import Evaluation, bounds, named_figures, named_intervals
from glomseg.metrics.matching import MATCH_IOU
from glomseg.metrics.object_evaluation import FoundCounts, ObjectEvaluation, figures_of
from glomseg.metrics.pixels import pixel_metrics
from glomseg.steps.evaluation.tables import write_tables

EVALUATION_FILE = "evaluation.json"


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
    write_tables(out, evaluation, mpp=mpp)
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
        "calibration": None if evaluation.calibration is None else _calibration(evaluation.calibration),
        "doubt": {name: _doubt(figure) for name, figure in evaluation.doubt.items()},
        "groups": {
            name: {
                "figures": named_figures(pixel_metrics(counts), names),
                "confusion_matrix": counts.matrix,
                "objects": {
                    of: {"counts": _counts(found.groups[name]), "figures": figures_of(found.groups[name])}
                    for of, found in _by_class(evaluation)
                },
                **(
                    {}
                    if evaluation.calibration is None
                    else {"calibration": _calibration_of_group(evaluation.calibration.groups[name])}
                ),
            }
            for name, counts in sorted(evaluation.groups.items())
        },
        "tiles": {
            tile.name: {
                "group": tile.group,
                "sha256": tile_hashes[tile.name],
                "confusion_matrix": tile.counts.matrix,
                "objects": {of: _counts(found.tiles[index]) for of, found in _by_class(evaluation)},
                "calibration": None if tile.calibration is None else _figures_of(tile.calibration),
                "doubt": tile.doubt,
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
        "doubt": {name: _doubt(figure) for name, figure in found.doubt.items()},
    }


def _counts(found: FoundCounts) -> dict[str, Any]:
    derived = {"n_missed": found.objects.n_missed, "n_invented": found.objects.n_invented}
    return {**asdict(found.objects), **derived, **asdict(found.boundary)}


def _calibration(found: CalibrationEvaluation) -> dict[str, Any]:
    return {
        "n_bins": N_FIGURE_BINS,
        "figures": found.figures,
        "intervals": {name: bounds(interval) for name, interval in found.intervals.items()},
        "n_groups": {name: interval.n_groups for name, interval in found.intervals.items()},
        "top_label": [_bin(one) for one in found.top_label],
        "foreground": [_bin(one) for one in found.foreground],
    }


def _bin(found: ReliabilityBin) -> dict[str, Any]:
    return {
        "n": found.n,
        "mean_probability": found.mean_probability,
        "share_true": found.share_true,
        "interval": bounds(found.interval),
    }


def _calibration_of_group(counts: CalibrationCounts) -> dict[str, Any]:
    """Return the figures of a group, and its counts, which add up to those of others."""
    return {
        "figures": _figures_of(counts),
        "counts": {
            "top_label": _reliability(counts.top_label),
            "foreground": _reliability(counts.foreground),
            "sum_brier": counts.sum_brier,
            "sum_log_loss": counts.sum_log_loss,
        },
    }


def _reliability(counts: Reliability) -> dict[str, Any]:
    return {"n": counts.n, "n_true": counts.n_true, "sum_probability": counts.sum_probability.round(3)}


def _figures_of(counts: CalibrationCounts) -> dict[str, float]:
    return {name: float(figure.value) for name, figure in calibration_figures(counts.vector).items()}


def _doubt(figure: DoubtFigure) -> dict[str, Any]:
    interval = figure.interval
    return {"value": figure.value, "interval": bounds(interval), "n": figure.n, "n_groups": interval.n_groups}
