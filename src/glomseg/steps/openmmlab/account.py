"""What is written down while a config is turned into settings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from glomseg.errors import GlomsegError, InvalidInputError


@dataclass(slots=True)
class Account:
    """What the parts of a config become, and what will be otherwise than one may think.

    Attributes
    ----------
    rows
        (what it is in the config, what it becomes here), in the order of the reading.
    notes
        Sentences, each a warning that says what will happen.
    """

    rows: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def becomes(self, theirs: str, ours: str) -> None:
        """Write down what a part of the config becomes."""
        self.rows.append((theirs, ours))

    def note(self, sentence: str) -> None:
        """Write down a warning, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what a value of a wrong kind in a config leads to into an error that names the file.

    A config is free in form: a text where MMSegmentation has a dict would come to light anywhere.
    """
    try:
        yield
    except GlomsegError:
        raise
    except (AttributeError, TypeError, LookupError, ValueError, ArithmeticError) as error:
        raise InvalidInputError(
            f"config {os.fspath(path)!r} has a value of another kind than MMSegmentation's configs have there: {error}"
        ) from error
