"""glomseg compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.cli.console import say, show_table
from glomseg.data.findings import counted

if TYPE_CHECKING:
    from glomseg.metrics.comparison import Difference
    from glomseg.steps.compare import Comparison

_SHOWN = (
    ("recall", "recall"),
    ("precision", "precision"),
    ("f1", "F1"),
    ("panoptic_quality", "PQ"),
    ("count_ratio", "number"),
    ("area_ratio", "area"),
    ("surface_dice", "surface Dice"),
    ("hausdorff_95", "Hausdorff 95 %"),
)


def compare(
    *runs: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("comparison"),
    worst: int = 5,
) -> None:
    """Compare evaluations of the same tiles, each with the first, paired by slide.

    Parameters
    ----------
    runs
        Two or more folders that glomseg evaluate wrote, or run folders with a single evaluation.
    out
        Folder for the tables.
    worst
        Show this many of the tiles that differ most.
    """
    from glomseg.steps.compare import compare_evaluations

    result = compare_evaluations(runs, out=out)
    for letter, file in result.files.items():
        say(f"{letter}: {file.parent}")
    for comparison in result.comparisons:
        say("", *comparison.verdicts)
        for name, found in comparison.objects.items():
            index = list(comparison.objects).index(name) + 1
            rows = [(label, found[figure]) for figure, label in _SHOWN]
            rows += [("IoU of pixels", comparison.pixels[f"iou {index}"])]
            _show(f"{name}, {counted(len(comparison.groups), 'group')}", comparison.letter, rows)
        _show_tiles(comparison, n=worst)
    say(f"Written to {result.out}")


def _show(title: str, letter: str, rows: "list[tuple[str, Difference]]") -> None:
    show_table(
        title,
        ["figure", "A", letter, f"{letter} - A", "95 % interval", "p", "lowest p"],
        [
            [
                label,
                _number(one.a),
                _number(one.b),
                _number(one.difference, sign="+"),
                "-" if one.interval.low != one.interval.low else f"{one.interval.low:+.2f} to {one.interval.high:+.2f}",
                _number(one.p_value),
                _number(one.smallest_p),
            ]
            for label, one in rows
        ],
    )


def _show_tiles(comparison: "Comparison", *, n: int) -> None:
    differing = [
        tile
        for tile in comparison.tiles[: max(n, 0)]
        if tile.n_wrong_objects[0] != tile.n_wrong_objects[1] or tile.n_wrong_pixels[0] != tile.n_wrong_pixels[1]
    ]
    if differing:
        letter = comparison.letter
        show_table(
            "where they differ most: missed and invented objects, wrong pixels",
            ["tile", "group", "objects A", f"objects {letter}", "pixels A", f"pixels {letter}"],
            [[tile.tile, tile.group, *tile.n_wrong_objects, *tile.n_wrong_pixels] for tile in differing],
            n_left=2,
        )


def _number(value: float, *, sign: str = "") -> str:
    return "-" if value != value else f"{value:{sign}.3f}"
