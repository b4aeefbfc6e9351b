"""The folds of a cross-validation: every group is held out once, and the step is chosen on neither side of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from glomseg.data.findings import counted
from glomseg.data.groups import groups_by_pattern
from glomseg.data.layout import find_files
from glomseg.data.split import make_folds, make_split
from glomseg.data.statistics import TileStatistics
from glomseg.errors import InvalidInputError
from glomseg.types import Dataset, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fold of a cross-validation.

    Attributes
    ----------
    split
        Its held-out tiles are the test part; the step of the training is chosen on the validation part, which may be
        empty.
    held_out
        What is held out, in words: the site, or the groups.
    choice
        How the step is chosen, in words.
    """

    split: Split
    held_out: str
    choice: str


def make_crossval_folds(
    dataset: Dataset,
    *,
    folds: int = 5,
    sites: Mapping[str, str] | None = None,
    val: float = 0.2,
    seed: int = 0,
    statistics: Sequence[TileStatistics],
) -> tuple[Fold, ...]:
    """Return folds in which every group is held out once, and validated on only where it is not held out.

    Parameters
    ----------
    dataset
        What to divide.
    folds
        How many; as many as groups leave one group out each time.
    sites
        The site of each tile by name: each site is then a fold.
    val
        Share of a fold's other tiles that its step is chosen on, divided by group. 0 chooses none: the last step is
        kept.
    seed
        The same seed gives the same folds.
    statistics
        From `scan_masks`.

    Raises
    ------
    InvalidInputError
        If there are too few groups or sites, a group is of two sites, or a share makes no sense.
    """
    if not 0 <= val < 1:
        raise InvalidInputError(f"--val {val:g} is no share of the tiles; it is from 0 to below 1")
    if sites is None:
        made = make_folds(dataset, folds=folds, seed=seed, statistics=statistics)
        held_out = [(_listed(dataset, split.val), split.val) for split in made]
    else:
        held_out = list(_by_site(dataset, sites).items())
    return tuple(
        _fold(dataset, names, what=what, number=number, n_folds=len(held_out), val=val, seed=seed, tiles=statistics)
        for number, (what, names) in enumerate(held_out, start=1)
    )


def sites_of(dataset: Dataset, *, pattern: str | None = None, column: str | None = None) -> dict[str, str]:
    """Return the site of each tile by name, which a pattern finds in its name or a column of a table tells.

    Parameters
    ----------
    dataset
        From `open_dataset` or `open_slides`.
    pattern
        Regular expression with one group, searched in a tile's name; in the slide's name where tiles are of slides.
    column
        Of the CSV of pairs that was opened, or of ``tiles.csv`` in the folder.

    Raises
    ------
    InvalidInputError
        If not one of the two is given, or one finds no site.
    """
    if (pattern is None) == (column is None):
        raise InvalidInputError(
            "--by site needs to know a tile's site: give --site-pattern '^([^_]+)_', whose group is the site in a "
            "tile's name, or --site-column, a column of tiles.csv or of the CSV of pairs"
        )
    if pattern is not None:
        searched = {
            sample.name: sample.name if sample.region is None else sample.image_path.stem for sample in dataset.samples
        }
        found = groups_by_pattern(set(searched.values()), pattern, flag="--site-pattern")
        return {name: found[text] for name, text in searched.items()}
    if any(sample.region is not None for sample in dataset.samples):
        raise InvalidInputError("--site-column is for tiles; the sites of slides are found with --site-pattern")
    sites = {pair.name: pair.case or "" for pair in find_files(dataset.root, group_column=column).pairs}
    without = next((sample.name for sample in dataset.samples if not sites.get(sample.name)), None)
    if without is not None:
        raise InvalidInputError(f"the column {column!r} of {str(dataset.root)!r} names no site for {without!r}")
    return {sample.name: sites[sample.name] for sample in dataset.samples}


def _by_site(dataset: Dataset, sites: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    tiles: dict[str, list[str]] = {}
    site_of_group: dict[str, str] = {}
    for sample in dataset.samples:
        site = sites[sample.name]
        tiles.setdefault(site, []).append(sample.name)
        if (other := site_of_group.setdefault(sample.group, site)) != site:
            raise InvalidInputError(
                f"group {sample.group!r} has tiles of the sites {other!r} and {site!r}: held out with one, it would be "
                "trained on with the other. Name the groups with --group-pattern or --group-column"
            )
    if len(tiles) < 2:
        raise InvalidInputError(
            f"all {len(dataset)} tiles are of one site, {next(iter(tiles), '')!r}: there is none to hold out"
        )
    return {f"site {site}": tuple(names) for site, names in sorted(tiles.items())}


def _fold(
    dataset: Dataset,
    held_out: Sequence[str],
    *,
    what: str,
    number: int,
    n_folds: int,
    val: float,
    seed: int,
    tiles: Sequence[TileStatistics],
) -> Fold:
    names = set(held_out)
    rest = replace(dataset, samples=tuple(sample for sample in dataset.samples if sample.name not in names))
    n_groups = len({sample.group for sample in rest.samples})
    origin = f"fold {number} of {n_folds}, seed {seed}; groups: {dataset.grouping}"
    if val > 0 and n_groups > 1:
        inner = make_split(rest, val=val, seed=seed, statistics=tiles)
        n_val = len({sample.group for sample in rest.select(inner.val)})
        choice = (
            f"on {counted(len(inner.val), 'tile')} of {counted(n_val, 'group')} that are neither trained on nor held "
            "out"
        )
    else:
        inner = Split(train=tuple(sample.name for sample in rest.samples), val=())
        # Tiles of the one group would be neighbours of those trained on, and prefer the step that remembers best.
        few = "one group is left to train on, which cannot be divided: " if val > 0 else ""
        choice = f"{few}no step is chosen, the last one is kept"
    split = Split(train=inner.train, val=inner.val, test=tuple(held_out), seed=seed, origin=origin)
    return Fold(split=split, held_out=what, choice=choice)


def _listed(dataset: Dataset, names: Sequence[str]) -> str:
    groups = sorted({sample.group for sample in dataset.select(names)})
    return f"{', '.join(groups[:3])}{f' and {len(groups) - 3} more' if len(groups) > 3 else ''}"
