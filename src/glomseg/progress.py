"""How long work reports on itself without knowing who listens."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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


def only_if_slow(progress: ProgressBars, *, after_s: float = 2.0) -> ProgressBars:
    """Return bars that open only when their work has lasted some seconds: for stages that are seldom long."""

    @contextmanager
    def opened(description: str, *, unit: str) -> Iterator[Progress]:
        start = time.monotonic()
        report: Progress | None = None
        with ExitStack() as stack:

            def patiently(done: int, total: int, note: str = "") -> None:
                nonlocal report
                if report is None and time.monotonic() - start >= after_s:
                    report = stack.enter_context(progress(description, unit=unit))
                if report is not None:
                    report(done, total, note)

            yield patiently

    return opened


def no_message(message: str) -> None:
    """Drop a message."""


OnMessage = Callable[[str], None]
"""Called with one line of text that a user should see now."""
