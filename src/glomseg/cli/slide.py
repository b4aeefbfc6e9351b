"""glomseg slide."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_json, say_warning, show_table

if TYPE_CHECKING:
    from glomseg.steps.describe_slides import SlideDescription


def slide(
    *slides: Path,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    mpp: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say what is in whole slides, and find their tissue.

    Goes on past a file that cannot be read, names it at the end and exits with 1.

    Parameters
    ----------
    slides
        Files: SVS, NDPI, MRXS, SCN, BIF, DICOM, TIFF, OME-TIFF, PNG or JPEG.
    out
        Folder for a picture of each slide with its tissue outlined.
    mpp
        Micrometres per pixel at full resolution, in place of what the files say.
    json
        Print everything as JSON and nothing else.
    """
    from dataclasses import asdict

    from glomseg.errors import InvalidInputError
    from glomseg.progress import no_progress
    from glomseg.steps.describe_slides import describe_slides

    if not slides:
        raise InvalidInputError("no slide is named; give one or more files: glomseg slide case1.svs case2.svs")
    result = describe_slides(slides, mpp=mpp, out=out, progress=no_progress if json else progress_bar)
    if json:
        say_json(asdict(result))
        return 1 if result.failed else 0
    for item in result.slides:
        show_table(str(item.path), ["", ""], _rows(item), n_left=2)
        for note in item.notes:
            say_warning(note)
    if out is not None and result.slides:
        say(f"Written to {out}")
    for path, reason in result.failed.items():
        say_warning(f"left out {str(path)!r}: {reason}")
    return 1 if result.failed else 0


def _rows(item: "SlideDescription") -> list[list[object]]:
    width, height = item.size_px
    sizes = [f"{across:,} x {down:,}" for across, down in item.level_sizes_px]
    area = "" if item.tissue_mm2 is None else f"{item.tissue_mm2:.2f} mm2, "
    rows: list[list[object]] = [
        ["format", item.file_format],
        ["size in pixels", sizes[0]],
        ["lower levels", ", ".join(sizes[1:]) or "none"],
        ["um per pixel", "not known" if item.mpp is None else f"{item.mpp:.4g}"],
    ]
    if item.mpp is not None:
        rows.append(["size in mm", f"{width * item.mpp / 1e3:.2f} x {height * item.mpp / 1e3:.2f}"])
    return [*rows, ["tissue", f"{area}{100 * item.tissue_share:.1f} % of the slide"]]
