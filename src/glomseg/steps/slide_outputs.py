"""The files that are written about one predicted slide."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg.data.findings import counted
from glomseg.errors import OutputError
from glomseg.export.pyramid import write_pyramid
from glomseg.export.qupath import write_geojson
from glomseg.export.slide_overlay import slide_overlay
from glomseg.files import write_csv
from glomseg.images import write_png
from glomseg.measure import OBJECT_COLUMNS, Glomerulus, glomerulus_rows
from glomseg.progress import ProgressBars, no_progress
from glomseg.slides.slide import Slide
from glomseg.slides.strips import read_in_strips
from glomseg.slides.tissue import Tissue
from glomseg.types import Classes, Region

RECORD = "slide.json"
"""The record of a prediction; where it is, everything else was written."""

_MASK, _PROBABILITY, _GEOJSON, _TABLE, _OVERLAY = (
    "mask.tif",
    "probability.tif",
    "objects.geojson",
    "objects.csv",
    "overlay.png",
)
_MARGIN = 0.02
_OVERLAY_PX = 2400
"""The longer side of the picture at most: it fills a screen, and its numbers can be read."""


def output_names(*, probabilities: bool) -> tuple[str, ...]:
    """Return the names of the files that a predicted slide has beside its record."""
    return (_MASK, *((_PROBABILITY,) if probabilities else ()), _GEOJSON, _TABLE, _OVERLAY)


def refuse_foreign_folder(folder: Path) -> None:
    """Raise if a folder holds files under the names that are to be written, and none says that they are predictions."""
    if (folder / RECORD).exists():
        return
    for name in (_MASK, _PROBABILITY, _GEOJSON, _TABLE, _OVERLAY):
        if (folder / name).exists():
            raise OutputError(
                f"{str(folder / name)!r} is there already, and no {RECORD} says that it is from an earlier prediction: "
                "it may be your own. Choose another folder with --out"
            )


def write_outputs(
    folder: Path,
    slide: Slide,
    *,
    mask: NDArray[np.uint8],
    foreground: NDArray[np.uint8] | None,
    downsample: float,
    glomeruli: Sequence[Glomerulus],
    tissue: Tissue | None,
    classes: Classes,
    n_threads: int = 1,
    progress: ProgressBars = no_progress,
) -> None:
    """Write everything but the record of one slide.

    Parameters
    ----------
    folder
        Where to.
    slide
        Open, for the picture.
    mask
        (H, W) uint8 class index.
    foreground
        (H, W) uint8, 255 times the probability of any foreground class; None writes none, and removes that of
        an earlier prediction.
    downsample
        Pixels of full resolution per pixel of the two.
    glomeruli
        The objects.
    tissue
        What the picture shows of the slide; None shows it whole.
    classes
        Names and colours.
    n_threads
        Threads that read the slide.
    progress
        Where to report: a bar for each pyramid, and one for the picture.
    """
    mpp = None if slide.mpp is None else slide.mpp * downsample
    with progress(_MASK, unit="tile") as bar:
        write_pyramid(folder / _MASK, mask, mpp=mpp, colors=classes.colors, progress=bar)
    if foreground is None:
        (folder / _PROBABILITY).unlink(missing_ok=True)
    else:
        with progress(_PROBABILITY, unit="tile") as bar:
            write_pyramid(folder / _PROBABILITY, foreground, mpp=mpp, progress=bar)
    write_geojson(folder / _GEOJSON, glomeruli, classes=classes)
    rows = glomerulus_rows(glomeruli, image=slide.path, classes=classes)
    write_csv(folder / _TABLE, rows, columns=OBJECT_COLUMNS)
    region = _shown(slide, glomeruli, tissue=tissue)
    downsample = max(1.0, max(region.width, region.height) / _OVERLAY_PX)
    with progress(_OVERLAY, unit="megapixel") as bar:
        pixels = read_in_strips(slide, region, downsample=downsample, n_threads=n_threads, progress=bar)
    picture = slide_overlay(
        pixels,
        glomeruli,
        region=region,
        classes=classes,
        caption=f"{slide.path.name}: {counted(len(glomeruli), 'object')}",
        mpp=slide.mpp,
    )
    write_png(folder / _OVERLAY, picture)


def _shown(slide: Slide, glomeruli: Sequence[Glomerulus], *, tissue: Tissue | None) -> Region:
    """Return the part of a slide that holds all tissue and objects, with a margin: most of a slide is empty glass."""
    width, height = slide.size_px
    if tissue is None or not tissue.mask.any():
        return Region(x=0, y=0, width=width, height=height)
    rows, columns = (np.flatnonzero(tissue.mask.any(axis=axis)) for axis in (1, 0))
    boxes = [item.box for item in glomeruli]
    left = min([columns[0] * tissue.downsample, *(box.x for box in boxes)])
    top = min([rows[0] * tissue.downsample, *(box.y for box in boxes)])
    right = max([(columns[-1] + 1) * tissue.downsample, *(box.x + box.width for box in boxes)])
    bottom = max([(rows[-1] + 1) * tissue.downsample, *(box.y + box.height for box in boxes)])
    margin = _MARGIN * max(right - left, bottom - top)
    x, y = max(0.0, left - margin), max(0.0, top - margin)
    return Region(x=x, y=y, width=min(width, right + margin) - x, height=min(height, bottom + margin) - y)
