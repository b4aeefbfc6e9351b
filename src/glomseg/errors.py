"""What can go wrong, as one family of exceptions.

Every message says what happened (with the file and the value), what was expected, the likely cause
and what to do. Each class is also the fitting built-in, so ``except ValueError`` keeps working.
"""

import difflib
from collections.abc import Sequence


class GlomsegError(Exception):
    """Base of every error that glomseg raises on purpose."""


class InvalidInputError(GlomsegError, ValueError):
    """A value or the content of a file is not what is needed."""


class MissingInputError(GlomsegError, FileNotFoundError):
    """A file or folder that was named does not exist."""


class UnsafeFileError(GlomsegError, ValueError):
    """A file was refused because reading it could run code or exhaust the machine."""


class OutputError(GlomsegError, OSError):
    """A result could not be written."""


class DownloadError(GlomsegError, ConnectionError):
    """A file could not be fetched, or what arrived is not the file that was meant."""


class NonFiniteLossError(GlomsegError, ArithmeticError):
    """The training loss became NaN or infinite."""


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return, for the end of a message on an unknown name, the nearest of the known ones and all of them."""
    nearest = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    listed = f"there are {', '.join(known) or 'none'}"
    return f"did you mean {' or '.join(map(repr, nearest))}? {listed}" if nearest else listed
