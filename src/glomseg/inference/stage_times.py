"""How long each stage of a long piece of work took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageTimes:
    """Adds up the seconds of named stages; threads may add to different stages at once.

    Attributes
    ----------
    seconds
        By stage, in the order in which they were first met.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds to a stage."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
