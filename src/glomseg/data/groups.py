"""Which slide, case or patient a tile is from, as its name tells."""

import math
import re
from collections.abc import Iterable, Sequence
from statistics import median

from glomseg.data.layout import PART_FOLDERS
from glomseg.errors import InvalidInputError

NO_GROUPS = "none: every tile is a group of its own"
"""What `Dataset.grouping` says when names hide no group."""

_SMALLEST_STRIDE_PX = 32  # tiles of a grid lie a multiple of more than this apart
_LARGE = 1000  # running numbers of slides and tiles seldom reach this, places on a slide nearly always do

# Coordinates with their letters or brackets: x1024_y2048, [x=1,y=2], [1024,2048].
_MARKED = re.compile(r"[_\- ](\[?x=?\d+[_\-, ]*y=?\d+\]?|\[\d+[, ]+\d+\])$", re.IGNORECASE)
# Two bare numbers, which are coordinates or a slide's and a tile's number.
_BARE = re.compile(r"(?P<slide>.+)(?P<mark>[_\- ])(?P<x>\d{1,9})(?P=mark)(?P<y>\d{1,9})$")
_SLIDE_AND_TILE = re.compile(r"([^_]*\d[^_]*)_\d+$")


def groups_of_names(names: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return the slide of each tile as the names tell it, and in words which rules found it.

    A name is ``<site>_<slide>_<tile>`` (any number of parts, the last one is the tile), ``<slide>_<tile>``
    with a digit in the slide, or a slide with coordinates at its end. Folders belong to the group, but for
    train/ and val/. Two bare numbers at the end are coordinates only where they are as large as places on a slide
    (multiples of a tile's size, or thousands), or where each slide would else have one tile.

    Examples
    --------
    >>> groups_of_names(["A_1_6", "A_1_7", "slide12_x1024_y2048"])[0]
    {'A_1_6': 'A_1', 'A_1_7': 'A_1', 'slide12_x1024_y2048': 'slide12'}
    """
    bare: dict[str, list[tuple[int, int]]] = {}
    for name in names:
        if match := _BARE.match(name):
            bare.setdefault(_beginning(match), []).append((int(match["x"]), int(match["y"])))
    placed = {beginning for beginning, pairs in bare.items() if _are_places(pairs)}
    groups, rules = _assigned(names, placed)
    if len(set(groups.values())) == len(names):
        # No two tiles share a first number: scattered rows and columns, unless every second number is the same.
        is_scattered = len({y for pairs in bare.values() for _, y in pairs}) > 1
        all_placed = placed | {beginning for beginning in bare if is_scattered and beginning.endswith("_")}
        merged, merged_rules = _assigned(names, all_placed)
        if len(set(merged.values())) < len(names):
            groups, rules = merged, merged_rules
    return groups, rules


def _assigned(names: Sequence[str], placed: set[str]) -> tuple[dict[str, str], str]:
    """Return the groups, and the rules in words, if the bare numbers after these beginnings are coordinates."""
    groups, rules = {}, []
    for name in names:
        *folders, last = name.split("/")
        case = "/".join(folder for folder in folders if folder.lower() not in PART_FOLDERS)
        slide, rule = _slide(last, is_placed=(match := _BARE.match(name)) is not None and _beginning(match) in placed)
        groups[name] = "/".join(part for part in (case, slide) if part) or name
        rules.append(" and ".join(part for part in ("folder" if case else "", rule) if part))
    n_without = rules.count("")
    if n_without == len(names):
        return groups, NO_GROUPS
    words = " or ".join(dict.fromkeys(rule for rule in rules if rule))
    if n_without:
        words += f"; {n_without:,} of {len(names):,} tiles are groups of their own, since their names tell none"
    return groups, words


def _slide(name: str, *, is_placed: bool) -> tuple[str, str]:
    """Return the slide in a name without folders, and the rule that found it; both empty where there is none."""
    if match := _MARKED.search(name):
        return name[: match.start()], "name <slide>_<x>_<y>"
    if is_placed and (match := _BARE.match(name)):
        return match["slide"], "name <slide>_<x>_<y>"
    if name.count("_") >= 2:
        return name.rpartition("_")[0], "name <site>_<slide>_<tile>"
    if match := _SLIDE_AND_TILE.match(name):
        return match[1], "name <slide>_<tile>"
    return "", ""


def _beginning(match: re.Match[str]) -> str:
    return match["slide"] + match["mark"]


def _are_places(pairs: Iterable[tuple[int, int]]) -> bool:
    """Return whether pairs of numbers are as large as the origins of tiles on a slide."""
    xs, ys = zip(*pairs, strict=True)
    is_grid = math.gcd(*xs, *ys) >= _SMALLEST_STRIDE_PX and max(*xs, *ys) >= 100
    return is_grid or bool(min(median(xs), median(ys)) >= _LARGE)


def groups_by_pattern(names: Iterable[str], pattern: str, *, flag: str = "--group-pattern") -> dict[str, str]:
    """Return for each name what the one group of a regular expression finds in it; `flag` names it in errors.

    Raises
    ------
    InvalidInputError
        If the pattern is none, has no group or several, or finds nothing in a name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInputError(f"{flag} {pattern!r} is no regular expression: {error}") from error
    if "group" not in compiled.groupindex and compiled.groups != 1:
        raise InvalidInputError(
            f"{flag} {pattern!r} has {compiled.groups} groups; it needs one, or one named group: "
            "(?P<group>...), for example '^([^_]+_[^_]+)_'"
        )
    key: int | str = "group" if "group" in compiled.groupindex else 1
    groups = {}
    for name in names:
        match = compiled.search(name)
        if match is None or not match[key]:
            raise InvalidInputError(f"{flag} {pattern!r} finds no group in the name {name!r}")
        groups[name] = match[key]
    return groups
