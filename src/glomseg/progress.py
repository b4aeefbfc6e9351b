"""How long work reports on itself without knowing who listens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Called as work goes on: how much is done, of how much, and a note such as the loss."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report."""


class ProgressBars(Protocol):
    """Opens one bar for one stretch of work."""

    def __call__(self, description: str, *, unit: str) -> AbstractContextManager[Progress]:
        """Open a bar that counts `unit` (tiles, steps)."""


def _silent(done: int, total: int, note: str = "") -> None:
    """Report to nobody."""


@contextmanager
def no_progress(description: str, *, unit: str) -> Iterator[Progress]:
    """Open a bar that shows nothing: the default of every function that can report."""
    yield _silent


OnMessage = Callable[[str], None]
"""Called with one line of text that a user should see now."""
