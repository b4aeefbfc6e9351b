"""What the record of a predicted slide says, and its row in the table of all slides."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from glomseg._version import __version__
from glomseg.errors import GlomsegError, OutputError
from glomseg.files import read_json
from glomseg.inference.slide_grid import SlideGrid
from glomseg.measure.summary import QUANTILES
from glomseg.slides.slide import Slide
from glomseg.steps.slide_outputs import RECORD
from glomseg.types import Classes

_FIRST_COLUMNS = ("slide", "folder")
_QUANTILE_NAMES = tuple(f"p{round(100 * quantile):02}" for quantile in QUANTILES)


_PACKAGES = ("torch", "numpy", "opencv-python-headless", "openslide-python", "tifffile", "shapely")


def describe_slide(slide: Slide, *, given_mpp: float | None) -> dict[str, Any]:
    """Return what the record says of a slide."""
    width, height = slide.size_px
    return {
        "file": os.path.abspath(slide.path),  # noqa: PTH100 (links stay what they are)
        "format": slide.file_format,
        "width_px": width,
        "height_px": height,
        "level_sizes_px": slide.level_sizes_px,
        "mpp": slide.mpp,
        "mpp_is_from": None if slide.mpp is None else "the file" if given_mpp is None else "the user",
        "notes": slide.notes,
    }


def describe_grid(grid: SlideGrid, *, mpp: float | None) -> dict[str, Any]:
    """Return what the record says of the size that a slide was worked on at; `mpp` is that of full resolution."""
    return {
        "mpp": None if mpp is None else mpp * grid.downsample,
        "downsample": grid.downsample,
        "height_px": grid.height,
        "width_px": grid.width,
        "window_px": grid.window_px,
        "n_windows": int(grid.chosen.sum()),
        "n_windows_without_tissue": int((~grid.chosen).sum()),
    }


def describe_speed(slide: Slide, *, tissue_mm2: float | None, seconds: float) -> dict[str, Any]:
    """Return how much of a slide was dealt with in a second: all of it at full resolution, and its tissue."""
    width, height = slide.size_px
    return {
        "megapixels_per_s": width * height / 1e6 / seconds,
        "tissue_mm2_per_s": None if tissue_mm2 is None else tissue_mm2 / seconds,
    }


def describe_versions() -> dict[str, str]:
    """Return the versions of what made a prediction."""
    return {
        "glomseg": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def file_sizes(folder: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the sizes in bytes of a folder's files."""
    return {name: (folder / name).stat().st_size for name in names}


def earlier_record(
    folder: Path, made_of: Mapping[str, Any], *, files: Sequence[str]
) -> tuple[dict[str, Any] | None, str]:
    """Return the record of a finished prediction that still holds, or why it does not; (None, "") if there is none.

    It holds if it was made of the same things, and the files that are wanted lie there as they were written.
    """
    if not (folder / RECORD).exists():
        return None, ""
    try:
        record = read_json(folder / RECORD, what="record of a slide")
        earlier, sizes = record["made_of"], dict(record["files"])
        record["summary"], record["slide"], record["seconds"]
    except (GlomsegError, KeyError, TypeError, ValueError):
        return None, f"predicted anew: the {RECORD} of an earlier prediction cannot be read"
    changed = sorted(key for key in made_of if earlier.get(key) != made_of[key])
    if changed:
        return None, f"predicted anew: since the earlier prediction the {' and the '.join(changed)} changed"
    absent = [name for name in files if name not in sizes or not _has_size(folder / name, sizes[name])]
    if absent:
        return None, f"predicted anew: {' and '.join(absent)} of the earlier prediction is not there or was changed"
    return record, ""


def _has_size(path: Path, n_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == n_bytes


def refuse_foreign_table(path: Path) -> None:
    """Raise if the table's place is taken by a file that no prediction wrote."""
    if not path.exists():
        return
    try:
        with open(path, encoding="utf-8") as file:
            begins = file.readline(64)
    except (OSError, UnicodeDecodeError):
        begins = ""
    if not begins.startswith(",".join(_FIRST_COLUMNS)):
        raise OutputError(f"{str(path)!r} is no table of predicted slides: choose another folder with --out")


def recorded_rows(out: Path, *, classes: Classes) -> list[dict[str, object]]:
    """Return the rows of all slides whose records lie below a folder, whichever call predicted them."""
    rows = []
    for path in sorted(out.glob(f"*/{RECORD}")):
        try:
            record = read_json(path, what="record of a slide")
            row = table_row(Path(record["slide"]["file"]), path.parent, record)
        except (GlomsegError, KeyError, TypeError, ValueError):  # of another version, or somebody's own
            continue
        if row.keys() <= set(table_columns(classes)):  # those of a model with other classes have a table of their own
            rows.append(row)
    return rows


def table_columns(classes: Classes) -> tuple[str, ...]:
    """Return the columns of ``slides.csv``; for several foreground classes a count of each."""
    by_class = tuple(f"n_{name}" for name in classes.names[1:]) if len(classes) > 2 else ()
    areas = tuple(f"area_{name}_um2" for name in _QUANTILE_NAMES) + tuple(f"area_{name}_px" for name in _QUANTILE_NAMES)
    return (
        *_FIRST_COLUMNS,
        "width_px",
        "height_px",
        "mpp",
        "tissue_mm2",
        "n_objects",
        "n_cut",
        *by_class,
        "density_per_mm2",
        *areas,
        "seconds",
    )


def table_row(slide: Path, folder: Path, record: Mapping[str, Any]) -> dict[str, object]:
    """Return the row of one slide from its record; what is not known is None."""
    *of_classes, total = record["summary"]  # of one class that is all there is
    row: dict[str, object] = {
        "slide": os.fspath(slide),
        "folder": folder.name,
        "width_px": record["slide"]["width_px"],
        "height_px": record["slide"]["height_px"],
        "mpp": record["slide"]["mpp"],
        "tissue_mm2": _rounded(total["tissue_area_mm2"], 4),
        "n_objects": total["n_objects"],
        "n_cut": total["n_cut"],
        "density_per_mm2": _rounded(total["density_per_mm2"], 4),
        "seconds": record["seconds"]["total"],
    }
    row |= {f"n_{item['class_name']}": item["n_objects"] for item in of_classes}
    for unit in ("um2", "px"):
        areas = total[f"area_quantiles_{unit}"]
        for place, name in enumerate(_QUANTILE_NAMES):
            row[f"area_{name}_{unit}"] = None if areas is None else _rounded(areas[place], 1)
    return row


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
