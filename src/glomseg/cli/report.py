"""glomseg report."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning


def report(
    source: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("report.html"),
    data: Path | None = None,
    pictures: int = 400,
) -> int:
    """Write a page on an evaluation: one HTML file that opens by itself.

    Parameters
    ----------
    source
        The folder of an evaluation, or a run folder that holds one.
    out
        The file to write.
    data
        Where the data set lies now, if it was moved since the evaluation.
    pictures
        Show at most so many tiles, those with the most wrong pixels; the others are listed only.
    """
    from glomseg.steps.report import write_report

    result = write_report(source, out=out, data=data, max_pictures=pictures, progress=progress_bar)
    for note in result.notes:
        say_warning(note)
    say(f"Written to {result.path} ({result.path.stat().st_size / 1e6:.1f} MB)")
    return 1 if result.failed else 0
