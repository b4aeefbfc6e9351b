"""One thing that is wrong with a data set."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""An error stops a later step or makes its figures wrong; a warning may; a note is good to know."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a data set, where, and what mends it.

    Attributes
    ----------
    code
        Short name of the kind of finding, for programs: "size-mismatch".
    severity
        "error", "warning" or "note".
    message
        What is wrong, in a sentence, with the first case of it.
    files
        The files it is about, below the data set's folder where they lie there.
    fix
        The option or command that mends it, or what to do where no command can.
    """

    code: str
    severity: Severity
    message: str
    files: tuple[str, ...]
    fix: str


def relative_names(paths: Iterable[Path], root: Path) -> tuple[str, ...]:
    """Return paths as text, below `root` where they lie there."""
    folder = root if root.is_dir() else root.parent
    return tuple(
        path.relative_to(folder).as_posix() if path.is_relative_to(folder) else os.fspath(path) for path in paths
    )


def counted(n: int, singular: str, plural: str = "") -> str:
    """Return "1 mask" or "3 masks"."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"
