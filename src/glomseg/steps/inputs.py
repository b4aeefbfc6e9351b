"""Which files the files, folders and patterns of a command line stand for."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError
from glomseg.images import IMAGE_SUFFIXES


def find_images(inputs: Sequence[str | os.PathLike[str]], *, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the image files that files, folders (not their subfolders) and patterns stand for, each once.

    A file that was named but does not exist is returned too: whoever reads it says so, and the others go on.
    In a folder only files with one of the `suffixes` count.

    Raises
    ------
    MissingInputError
        If there is no input, a pattern fits nothing, or a folder has no image.
    InvalidInputError
        If a folder cannot be read.
    """
    found: dict[str, Path] = {}
    for item in inputs:
        try:
            for path in _expand(os.fspath(item), suffixes):
                found.setdefault(os.path.abspath(path), path)  # noqa: PTH100 (links stay what they are)
        except (OSError, ValueError) as error:
            if isinstance(error, GlomsegError):
                raise
            reason = error.strerror if isinstance(error, OSError) else error
            raise InvalidInputError(f"{os.fspath(item)!r} cannot be read: {reason}") from error
    if not found:
        raise MissingInputError("no image was named; give files, folders or patterns such as tiles/*.png")
    return list(found.values())


def is_image(path: Path, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> bool:
    """Return whether a path is a file with one of the suffixes that is not hidden."""
    return path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()


def _expand(item: str, suffixes: frozenset[str]) -> Iterator[Path]:
    path = Path(item)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if is_image(file, suffixes))
        if not files:
            raise MissingInputError(f"folder {item!r} holds no image ({', '.join(sorted(suffixes))})")
        yield from files
    elif path.exists() or not glob.has_magic(item):
        yield path
    else:
        files = sorted(file for file in map(Path, glob.glob(item, recursive=True)) if file.is_file())
        if not files:
            raise MissingInputError(f"the pattern {item!r} fits no file")
        yield from files
