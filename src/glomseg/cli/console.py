"""How commands talk: one console, tables and progress bars with a rate and the time left."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Task as ProgressTask
from rich.table import Table
from rich.text import Text

from glomseg.files import json_text
from glomseg.progress import Progress as ProgressCallback

_IS_COPY = os.environ.get("LOCAL_RANK", "0") != "0"
"""Distributed training runs the command once a process; only the first one talks."""

console = Console(highlight=False, quiet=_IS_COPY)
error_console = Console(stderr=True, highlight=False, quiet=_IS_COPY)


def say(*lines: str) -> None:
    """Print plain text: markup in file names stays text."""
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def say_warning(line: str) -> None:
    """Print one warning on stderr."""
    error_console.print(Text(f"note: {line}", style="yellow"), soft_wrap=True)


def say_json(value: Any) -> None:
    """Print a value as JSON and nothing else, for programs; NaN becomes null.

    Where the output cannot hold a letter (Chinese in an ASCII terminal) all such letters are JSON's escapes.
    """
    text = json_text(value, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=2)
    print(text)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, n_left: int = 1) -> None:
    """Print a table; the first `n_left` columns are aligned left (words), the others right (figures).

    Where all columns are unnamed there is no row of names.
    """
    table = Table(title=Text(title), title_justify="left", header_style="bold", show_header=any(columns))
    for index, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if index < n_left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)


class _RateColumn(TextColumn):
    def __init__(self, unit: str) -> None:
        super().__init__("")
        self.unit = unit

    def render(self, task: ProgressTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g} {self.unit}/s")


@contextmanager
def progress_bar(description: str, *, unit: str) -> Iterator[ProgressCallback]:
    """Show a bar on stderr from the first step on, and yield ``advance(done, total, note)`` that updates it.

    The bar shows done of total, the rate, the time left and the note (a loss, say).
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=error_console,
    )
    task: TaskID = progress.add_task(description, total=None, note="")

    def advance(done: int, total: int, note: str = "") -> None:
        progress.update(task, completed=done, total=total, note=note)
        progress.start()  # not before: a command that fails at once shows its error and no dead bar

    try:
        yield advance
    finally:
        if progress.live.is_started:
            progress.stop()
