"""What the record of a predicted slide says, and its row in the table of all slides."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from glomseg._version import __version__
from glomseg.inference.slide_grid import SlideGrid
from glomseg.measure.summary import QUANTILES
from glomseg.slides.slide import Slide
from glomseg.types import Classes

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


def table_columns(classes: Classes) -> tuple[str, ...]:
    """Return the columns of ``slides.csv``; for several foreground classes a count of each."""
    by_class = tuple(f"n_{name}" for name in classes.names[1:]) if len(classes) > 2 else ()
    areas = tuple(f"area_{name}_um2" for name in _QUANTILE_NAMES) + tuple(f"area_{name}_px" for name in _QUANTILE_NAMES)
    return (
        "slide",
        "folder",
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
