"""Dividing a data set so that no slide is on both sides, and writing the division down."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from glomseg.data.balance import balanced_parts
from glomseg.data.layout import without_suffix
from glomseg.data.statistics import TileStatistics
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import read_json, read_text, write_json, write_text
from glomseg.types import Dataset, Split

PARTS = ("train", "val", "test")

_FORMAT = "glomseg split 1"
_SPLIT = TypeAdapter(Split)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSummary:
    """How large one part of a split is."""

    part: str
    n_tiles: int
    n_groups: int
    n_tiles_with_foreground: int
    foreground_share: float


def make_split(
    dataset: Dataset,
    *,
    val: float = 0.2,
    test: float = 0.0,
    seed: int = 0,
    by: Literal["group", "tile"] = "group",
    statistics: Sequence[TileStatistics] | None = None,
) -> Split:
    """Return a division into training, validation and test tiles that never divides a group.

    Of many divisions the one is taken whose parts come nearest to the wanted shares of tiles, of tiles
    with foreground and of foreground pixels. Where groups are few, another seed may find the same one.

    Parameters
    ----------
    dataset
        What to divide.
    val, test
        Wanted shares of the tiles.
    seed
        The same seed gives the same split.
    by
        "tile" shuffles the tiles and cuts, as is often done: tiles of one slide then stand on both
        sides, and the figures flatter. The leaking groups are named in the split.
    statistics
        From `scan_masks`; without them only the number of tiles is balanced.

    Raises
    ------
    InvalidInputError
        If the shares are impossible, or there are fewer groups than parts.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise InvalidInputError(f"shares val {val:g} and test {test:g} must be at least 0 and together below 1")
    shares = {"train": 1 - val - test, "val": val, "test": test}
    shares = {part: share for part, share in shares.items() if share > 0}
    units = _units(dataset, by)
    if len(units) < len(shares):
        raise InvalidInputError(_too_few(dataset, len(units), len(shares), by))
    rng = np.random.default_rng(seed)
    if by == "tile":
        assignment = _shuffled_parts(len(units), list(shares.values()), rng)
    else:
        sizes = _sizes(dataset, units, statistics)
        assignment = balanced_parts(sizes, np.array(list(shares.values())), rng=rng)
    parts = _named_parts(dataset, units, dict(zip(shares, assignment, strict=True)))
    return Split(
        train=parts["train"],
        val=parts["val"],
        test=parts["test"],
        seed=seed,
        by=by,
        leaking_groups=leaking_groups(dataset, parts),
        origin=f"{by} split, val {val:g}, test {test:g}, seed {seed}; groups: {dataset.grouping}",
    )


def make_folds(
    dataset: Dataset, *, folds: int, seed: int = 0, statistics: Sequence[TileStatistics] | None = None
) -> tuple[Split, ...]:
    """Return one split a fold; every group is in the validation part of exactly one of them.

    Raises
    ------
    InvalidInputError
        If there are fewer groups than folds, or fewer than two folds.
    """
    units = _units(dataset, "group")
    if folds < 2 or folds > len(units):
        raise InvalidInputError(
            f"{folds} folds of {len(units)} groups ({dataset.grouping}) cannot be made: from 2 to as many as groups"
        )
    rng = np.random.default_rng(seed)
    assignment = balanced_parts(_sizes(dataset, units, statistics), np.full(folds, 1 / folds), rng=rng)
    splits = []
    for number, held_out in enumerate(assignment, start=1):
        rest = [index for other in assignment if other is not held_out for index in other]
        parts = _named_parts(dataset, units, {"train": rest, "val": held_out})
        origin = f"fold {number} of {folds}, seed {seed}; groups: {dataset.grouping}"
        splits.append(Split(train=parts["train"], val=parts["val"], seed=seed, origin=origin))
    return tuple(splits)


def leaking_groups(dataset: Dataset, parts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the groups that have tiles in more than one part."""
    seen: dict[str, set[str]] = {}
    for part, names in parts.items():
        for sample in dataset.select(names):
            seen.setdefault(sample.group, set()).add(part)
    return tuple(sorted(group for group, places in seen.items() if len(places) > 1))


def summarize_split(dataset: Dataset, split: Split, statistics: Sequence[TileStatistics]) -> tuple[PartSummary, ...]:
    """Return how many tiles and groups each part has, and how much foreground."""
    by_name = {item.name: item for item in statistics}
    summaries = []
    for part in PARTS:
        items = [by_name[sample.name] for sample in dataset.select(split.part(part))]
        foreground = sum(item.foreground_pixels for item in items)
        labelled = sum(sum(item.class_pixels) for item in items)
        summaries.append(
            PartSummary(
                part=part,
                n_tiles=len(items),
                n_groups=len({item.group for item in items}),
                n_tiles_with_foreground=sum(item.foreground_pixels > 0 for item in items),
                foreground_share=foreground / labelled if labelled else float("nan"),
            )
        )
    return tuple(summaries)


def write_split(path: str | os.PathLike[str], split: Split, *, summary: Sequence[PartSummary] = ()) -> None:
    """Write a split as JSON; the summary of its parts, if given, stands in it for readers."""
    parts = {item.part: {key: value for key, value in asdict(item).items() if key != "part"} for item in summary}
    write_json(path, {"format": _FORMAT, **asdict(split), **({"summary": parts} if parts else {})})


def write_mmseg_lists(folder: str | os.PathLike[str], split: Split) -> None:
    """Write ``train.txt``, ``val.txt`` and ``test.txt`` as MMSegmentation reads them: one tile's name a line.

    A part without tiles gets no list, and a list that an earlier split left for it is removed.

    Raises
    ------
    InvalidInputError
        If a tile's name has a line break, outer spaces or the ending of an image file, which such a list cannot
        hold; nothing is written then.
    """
    for name in (name for part in PARTS for name in split.part(part)):
        if name.strip() != name or len(name.splitlines()) > 1 or without_suffix(name) != name:
            raise InvalidInputError(
                f"tile {name!r} has a line break in its name, begins or ends with a space, or ends like an image file, "
                "which a list of names for MMSegmentation cannot hold: rename it"
            )
    for part in PARTS:
        path, names = Path(folder) / f"{part}.txt", split.part(part)
        if names:
            write_text(path, "".join(f"{name}\n" for name in names))
        else:
            path.unlink(missing_ok=True)


def read_split(path: str | os.PathLike[str]) -> Split:
    """Return the split of a JSON file, or of the lists of names that MMSegmentation reads.

    Parameters
    ----------
    path
        The JSON file; or a folder with ``train.txt``, ``val.txt`` or ``test.txt``; or one of these lists,
        which stands for its folder. Their names may have the ending of an image file.

    Raises
    ------
    MissingInputError
        If there is no such file, or the folder has no lists.
    InvalidInputError
        If the file is damaged, or a tile stands twice.
    """
    path = Path(path)
    if path.is_dir() or path.suffix == ".txt":
        split = _read_lists(path if path.is_dir() else path.parent)
    else:
        values: Any = read_json(path, what="split file")
        if not isinstance(values, dict) or values.pop("format", None) != _FORMAT:
            raise InvalidInputError(
                f"split file {str(path)!r} was not written by `glomseg split`; other splits are read as a folder with "
                "train.txt and val.txt, one name a line"
            )
        values.pop("summary", None)
        try:
            split = _SPLIT.validate_python(values)
        except ValidationError as error:
            reason = error.errors()[0]
            place = ".".join(str(item) for item in reason["loc"])
            raise InvalidInputError(f"split file {str(path)!r} is damaged: {place}: {reason['msg']}") from error
    names = [name for part in PARTS for name in split.part(part)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        places = [part for part in PARTS for name in split.part(part) if name == twice]
        raise InvalidInputError(
            f"tile {twice!r} stands twice in the split {str(path)!r} (in {' and '.join(places)}): take it out of one"
        )
    return split


def _read_lists(folder: Path) -> Split:
    paths = {part: folder / f"{part}.txt" for part in PARTS}
    if not any(path.is_file() for path in paths.values()):
        raise MissingInputError(
            f"folder {str(folder)!r} has none of train.txt, val.txt and test.txt; a split is a JSON file that "
            "`glomseg split` wrote, or a folder with such lists"
        )
    parts = {}
    for part, path in paths.items():
        lines = read_text(path, what="list of tiles").splitlines() if path.is_file() else []
        parts[part] = tuple(without_suffix(line.strip()) for line in lines if line.strip())
    return Split(
        train=parts["train"], val=parts["val"], test=parts["test"], by="unknown", origin=f"lists in {str(folder)!r}"
    )


def _units(dataset: Dataset, by: str) -> list[list[int]]:
    """Return the positions of the tiles that stay together."""
    if by == "tile":
        return [[index] for index in range(len(dataset))]
    if by != "group":
        raise InvalidInputError(f"--by {by!r} is neither group nor tile")
    groups: dict[str, list[int]] = {}
    for index, sample in enumerate(dataset.samples):
        groups.setdefault(sample.group, []).append(index)
    return [groups[name] for name in sorted(groups)]


def _sizes(
    dataset: Dataset, units: Sequence[Sequence[int]], statistics: Sequence[TileStatistics] | None
) -> NDArray[np.float64]:
    """Return for each unit its share of the tiles, of the tiles with foreground and of the foreground."""
    tiles = np.array([len(unit) for unit in units], dtype=float)
    columns = [tiles]
    if statistics is not None:
        by_name = {item.name: item.foreground_pixels for item in statistics}
        foreground = np.array([by_name[sample.name] for sample in dataset.samples], dtype=float)
        columns.append(np.array([np.count_nonzero(foreground[unit]) for unit in units], dtype=float))
        columns.append(np.array([foreground[unit].sum() for unit in units]))
    table = np.stack(columns, axis=1)
    shares: NDArray[np.float64] = table / np.maximum(table.sum(axis=0), 1)
    return shares


def _shuffled_parts(n_units: int, shares: Sequence[float], rng: np.random.Generator) -> list[list[int]]:
    """Return positions shuffled and cut into parts: the later ones rounded, at least 1, the first gets the rest."""
    order = rng.permutation(n_units).tolist()
    parts = []
    for later, share in reversed(list(enumerate(shares))[1:]):
        size = min(max(1, round(share * n_units)), len(order) - later)
        parts.append(order[-size:])
        order = order[:-size]
    return [order, *reversed(parts)]


def _named_parts(
    dataset: Dataset, units: Sequence[Sequence[int]], parts: Mapping[str, Sequence[int]]
) -> dict[str, tuple[str, ...]]:
    named = {
        part: tuple(dataset.samples[index].name for index in sorted(i for unit in chosen for i in units[unit]))
        for part, chosen in parts.items()
    }
    return {"train": named.get("train", ()), "val": named.get("val", ()), "test": named.get("test", ())}


def _too_few(dataset: Dataset, n_units: int, n_parts: int, by: str) -> str:
    what = "tile" if by == "tile" else "group"
    text = f"{str(dataset.root)!r} has {n_units} {what}{'s' if n_units != 1 else ''} for {n_parts} parts"
    if by == "tile":
        return f"{text}: add tiles, or leave parts out with --val 0 or --test 0"
    return (
        f"{text}; groups come from: {dataset.grouping}. Add slides, name the groups with --group-pattern, leave parts "
        "out with --val 0 or --test 0, or divide one slide's tiles with --by tile, whose figures flatter"
    )
