"""Names for the files that a step writes about a tile or an image."""

import os
import unicodedata
from collections.abc import Iterable

from glomseg.types import Dataset

_MAX_BYTES = 120
"""File systems take 255 bytes for a name; this leaves room for what a step adds to it."""


def file_stems(names: Iterable[str]) -> list[str]:
    """Return for each name one that a file can have, without suffix: the name itself wherever possible.

    Slashes, which would lead into another folder, become "_", names too long for a file system are cut, and
    of names that are the same (for some file systems also: but for upper and lower case, or for the
    way accents are stored) the later ones get "_2", "_3" and so on.
    """
    stems: list[str] = []
    taken: set[str] = set()
    for name in names:
        start = name.replace("/", "_").replace("\\", "_").replace("\0", "_") or "_"
        while len(os.fsencode(start)) > _MAX_BYTES:
            start = start[:-1]
        stem, number = start, 2
        while _folded(stem) in taken:
            stem, number = f"{start}_{number}", number + 1
        taken.add(_folded(stem))
        stems.append(stem)
    return stems


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def tile_stems(dataset: Dataset) -> dict[str, str]:
    """Return the name that each tile's files have: of all tiles, so that it is the same in every evaluation."""
    names = [sample.name for sample in dataset.samples]
    return dict(zip(names, file_stems(names), strict=True))
