"""Compare evaluations of the same tiles, pair by pair: which model finds more, and how sure that is."""

import os
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glomseg._version import __version__
from glomseg.errors import InvalidInputError
from glomseg.files import make_folder, write_csv, write_json
from glomseg.metrics.comparison import Difference, compare_counts
from glomseg.metrics.evaluation import bounds
from glomseg.metrics.object_evaluation import found_figures
from glomseg.metrics.pixel_intervals import pixel_figures
from glomseg.steps.evaluation.recorded import RecordedEvaluation, RecordedTile, read_evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class TileDifference:
    """How much is wrong in one tile by either evaluation.

    Attributes
    ----------
    tile, group
        Names.
    n_wrong_objects
        Missed and invented objects of A and of B.
    n_wrong_pixels
        Pixels of another class than the true one, of A and of B.
    """

    tile: str
    group: str
    n_wrong_objects: tuple[int, int]
    n_wrong_pixels: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One evaluation against the first.

    Attributes
    ----------
    letter
        "B" for the second evaluation, "C" for the third, ... The first is "A".
    groups
        Names, in the order of `Difference.groups`.
    pixels
        Differences of pixel figures by the names of `pixel_figures`.
    objects
        Differences of the figures of objects and outlines, by class and name.
    verdicts
        What it comes to, a sentence a class.
    tiles
        Those with the largest difference first.
    """

    letter: str
    groups: tuple[str, ...]
    pixels: dict[str, Difference]
    objects: dict[str, dict[str, Difference]]
    verdicts: tuple[str, ...]
    tiles: tuple[TileDifference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """Every evaluation against the first.

    Attributes
    ----------
    files
        The evaluations by letter: "A", "B", ...
    comparisons
        B against A, C against A, and so on.
    out
        The folder that everything was written to.
    """

    files: dict[str, Path]
    comparisons: tuple[Comparison, ...]
    out: Path


def compare_evaluations(
    paths: Sequence[str | os.PathLike[str]], *, out: str | os.PathLike[str] = "comparison"
) -> ComparisonResult:
    """Compare each evaluation with the first, and write down what differs.

    Writes ``comparison.json``, ``comparison.csv`` (a row a figure), ``groups.csv`` (a row a figure and group) and
    ``tiles.csv`` (a row a tile, the largest difference first).

    Parameters
    ----------
    paths
        Two or more folders of evaluations, run folders with a single one, or their JSON files.
    out
        The folder to write to.

    Raises
    ------
    InvalidInputError
        If the evaluations are not of the same tiles, truth, groups, classes and conditions, or there are fewer than
        two.
    """
    if not 2 <= len(paths) <= len(string.ascii_uppercase):
        raise InvalidInputError(f"a comparison needs 2 to 26 evaluations, not {len(paths)}")
    evaluations = dict(zip(string.ascii_uppercase, [read_evaluation(path) for path in paths], strict=False))
    first, *others = evaluations.values()
    for other in others:
        check_same_truth(first, other)
    comparisons = tuple(
        _compare(first, other, letter=letter) for letter, other in zip(list(evaluations)[1:], others, strict=True)
    )
    out = make_folder(out)
    files = {letter: evaluation.file for letter, evaluation in evaluations.items()}
    _write(out, files, comparisons, class_names=first.class_names)
    return ComparisonResult(files=files, comparisons=comparisons, out=out)


def check_same_truth(first: RecordedEvaluation, other: RecordedEvaluation) -> None:
    """Raise InvalidInputError unless both evaluations are of the same tiles with the same truth, read alike."""
    both = f"{str(first.file)!r} and {str(other.file)!r} cannot be compared"
    if first.class_names != other.class_names:
        raise InvalidInputError(
            f"{both}: their classes are {', '.join(first.class_names)} and {', '.join(other.class_names)}"
        )
    for one, two in ((first, other), (other, first)):
        if only := [name for name in one.tiles if name not in two.tiles]:
            raise InvalidInputError(
                f"{both}: {len(only)} of the tiles are only in {str(one.file)!r}, the first is {only[0]!r}; "
                "evaluate both models on the same part of the same data set"
            )
    for condition, value in first.conditions.items():
        if value != other.conditions[condition]:
            raise InvalidInputError(
                f"{both}: {condition} is {value} in one and {other.conditions[condition]} in the other; "
                "evaluate both alike"
            )
    for name, tile in first.tiles.items():
        if difference := _difference_of_truth(tile, other.tiles[name]):
            raise InvalidInputError(f"{both}: tile {name!r} {difference}")


def _difference_of_truth(one: RecordedTile, other: RecordedTile) -> str:
    if one.sha256 != other.sha256:
        images = one.sha256.partition(":")[0], other.sha256.partition(":")[0]
        what = "image" if images[0] != images[1] else "mask"
        return (
            f"had another {what} file when the other was evaluated; evaluate both models on the files as they are now"
        )
    if one.group != other.group:
        return f"is of the group {one.group!r} in one and {other.group!r} in the other; use the same --group-pattern"
    if not np.array_equal(one.pixels.matrix.sum(axis=1), other.pixels.matrix.sum(axis=1)):
        return "has another truth in the other: its mask was read with other --mask-values"
    return ""


def _compare(first: RecordedEvaluation, other: RecordedEvaluation, *, letter: str) -> Comparison:
    groups = sorted({tile.group for tile in first.tiles.values()})
    position = {group: index for index, group in enumerate(groups)}
    sums = []
    for evaluation in (first, other):
        parts = [np.zeros((len(groups), len(vector))) for vector in next(iter(evaluation.tiles.values())).vectors]
        for tile in evaluation.tiles.values():
            for part, vector in zip(parts, tile.vectors, strict=True):
                part[position[tile.group]] += vector
        sums.append(parts)
    pixels, *objects = [
        compare_counts(a, b, figures=found_figures if index else pixel_figures)
        for index, (a, b) in enumerate(zip(*sums, strict=True))
    ]
    by_class = dict(zip(first.class_names[1:], objects, strict=True))
    return Comparison(
        letter=letter,
        groups=tuple(groups),
        pixels=pixels,
        objects=by_class,
        verdicts=tuple(verdict(found, name=name, letter=letter) for name, found in by_class.items()),
        tiles=_tile_differences(first, other),
    )


def verdict(found: Mapping[str, Difference], *, name: str, letter: str) -> str:
    """Return in a sentence whether more of a class are found and fewer invented, and how sure that is."""
    parts = []
    for figure, better, worse in (
        ("recall", "finds more", "finds fewer"),
        ("precision", "invents fewer", "invents more"),
    ):
        one = found[figure]
        if one.interval.low > 0 or one.interval.high < 0:
            parts.append((one.difference > 0, f"{better if one.difference > 0 else worse}: {shown(one, figure)}"))
    if parts:
        link = " and " if len({good for good, _ in parts}) == 1 else ", but "
        words, of = f"{letter} {link.join(text for _, text in parts)}", found["recall"]
    elif np.isnan(found["f1"].difference):
        return f"{name}: none in the truth, and none predicted"
    else:
        words, of = f"A and {letter} cannot be told apart: {shown(found['f1'], 'F1')}", found["f1"]
    n = of.interval.n_groups
    doubt = "" if of.interval.trustworthy else "; so few cannot tell how unlike slides are: look at each"
    return f"{name}: {words}, over {n} group{'' if n == 1 else 's'}{doubt}"


def shown(one: Difference, name: str) -> str:
    """Return a difference in words: "recall +0.06 [0.02, 0.10]"."""
    low, high = one.interval.low, one.interval.high
    brackets = "" if np.isnan(low) else f" [{low:+.2f}, {high:+.2f}]"
    return f"{name} {one.difference:+.2f}{brackets}"


def _tile_differences(first: RecordedEvaluation, other: RecordedEvaluation) -> tuple[TileDifference, ...]:
    found = []
    for name, tile in first.tiles.items():
        pair = (tile, other.tiles[name])
        objects = [sum(of.objects.n_missed + of.objects.n_invented for of in one.objects) for one in pair]
        pixels = [one.pixels.n_pixels - int(np.trace(one.pixels.matrix)) for one in pair]
        found.append(
            TileDifference(
                tile=name,
                group=tile.group,
                n_wrong_objects=(objects[0], objects[1]),
                n_wrong_pixels=(pixels[0], pixels[1]),
            )
        )

    def size(one: TileDifference) -> tuple[int, int]:
        return abs(one.n_wrong_objects[1] - one.n_wrong_objects[0]), abs(one.n_wrong_pixels[1] - one.n_wrong_pixels[0])

    return tuple(sorted(found, key=size, reverse=True))


def named_differences(comparison: Comparison, class_names: Sequence[str]) -> Iterator[tuple[str, str, Difference]]:
    """Yield class (blank for figures of all), name and difference of every figure; those of pixels begin "pixel_"."""
    for name, difference in comparison.pixels.items():
        figure, _, index = name.partition(" ")
        of = class_names[int(index)] if index else ""
        yield of, f"pixel_{figure.removeprefix('pixel_')}", difference
    for of, found in comparison.objects.items():
        for name, difference in found.items():
            yield of, name, difference


def _write(
    out: Path, files: Mapping[str, Path], comparisons: Sequence[Comparison], *, class_names: Sequence[str]
) -> None:
    rows: list[dict[str, Any]] = []
    group_rows: list[dict[str, Any]] = []
    tile_rows: list[dict[str, Any]] = []
    for comparison in comparisons:
        for of, name, found in named_differences(comparison, class_names):
            about = {"comparison": f"{comparison.letter} - A", "class": of, "figure": name}
            interval = bounds(found.interval) or [np.nan, np.nan]
            rows.append(
                {
                    **about,
                    **{"a": found.a, "b": found.b, "difference": found.difference},
                    **{"low": interval[0], "high": interval[1], "n_groups": found.interval.n_groups},
                    **{"p_value": found.p_value, "smallest_p": found.smallest_p},
                }
            )
            for group, (a, b) in zip(comparison.groups, found.groups, strict=True):
                group_rows.append({**about, "group": group, "a": a, "b": b, "difference": b - a})
        tile_rows += [
            {
                "comparison": f"{comparison.letter} - A",
                **{"tile": tile.tile, "group": tile.group},
                **dict(zip(("wrong_objects_a", "wrong_objects_b"), tile.n_wrong_objects, strict=True)),
                **dict(zip(("wrong_pixels_a", "wrong_pixels_b"), tile.n_wrong_pixels, strict=True)),
            }
            for tile in comparison.tiles
        ]
    for name, table in (("comparison.csv", rows), ("groups.csv", group_rows), ("tiles.csv", tile_rows)):
        cells = [{key: _cell(value) for key, value in row.items()} for row in table]
        write_csv(out / name, cells, columns=list(table[0]))
    write_json(
        out / "comparison.json",
        {
            "glomseg": __version__,
            "evaluations": files,
            "verdicts": {comparison.letter: comparison.verdicts for comparison in comparisons},
            "figures": rows,
            "groups": group_rows,
            "tiles": tile_rows,
        },
    )


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if np.isnan(value) else round(value, 6)
    return value
