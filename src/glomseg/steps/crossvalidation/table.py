"""The table of a cross-validation: one row a fold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glomseg.data.folds import Fold
from glomseg.files import write_csv


def fold_row(number: int, fold: Fold, record: Mapping[str, Any], *, step: int) -> dict[str, Any]:
    """Return what is held out in a fold, and the figures on it; None where one is undefined.

    Parameters
    ----------
    number
        Of the fold, from 1.
    fold
        The fold.
    record
        The evaluation of its held-out tiles, as ``evaluation.json`` has it.
    step
        The step whose model was kept.
    """
    row = {
        "fold": number,
        "held_out": fold.held_out,
        "n_tiles": record["n_tiles"],
        "n_groups": record["n_groups"],
        "n_train_tiles": len(fold.split.train),
        "n_val_tiles": len(fold.split.val),
        "step": step,
        "mean_iou": record["figures"]["mean_iou"],
    }
    for name in record["classes"]["names"][1:]:
        objects = record["objects"]["classes"][name]
        row |= {
            f"iou {name}": record["figures"]["iou"][name],
            f"true {name}": objects["counts"]["n_targets"],
            f"found {name}": objects["counts"]["n_found"],
            f"invented {name}": objects["counts"]["n_invented"],
            f"f1 {name}": objects["figures"]["f1"],
        }
    return row


def write_fold_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows as CSV, blank where a figure is undefined; at least one row."""
    cells = [{key: _cell(value) for key, value in row.items()} for row in rows]
    write_csv(path, cells, columns=list(rows[0]))


def _cell(value: Any) -> Any:
    return "" if value is None else round(value, 6) if isinstance(value, float) else value
