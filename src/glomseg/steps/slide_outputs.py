"""The files that are written about one predicted slide."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import OutputError
from glomseg.export.pyramid import write_pyramid
from glomseg.export.qupath import write_geojson
from glomseg.export.slide_overlay import slide_overlay
from glomseg.files import write_csv
from glomseg.images import write_png
from glomseg.measure import OBJECT_COLUMNS, Glomerulus, glomerulus_rows
from glomseg.slides.slide import Slide
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
_OVERLAY_PX = 2400
"""The longer side of the picture at most: it fills a screen, and its numbers can be read."""


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
    classes: Classes,
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
    classes
        Names and colours.
    """
    mpp = None if slide.mpp is None else slide.mpp * downsample
    write_pyramid(folder / _MASK, mask, mpp=mpp, colors=classes.colors)
    if foreground is None:
        (folder / _PROBABILITY).unlink(missing_ok=True)
    else:
        write_pyramid(folder / _PROBABILITY, foreground, mpp=mpp)
    write_geojson(folder / _GEOJSON, glomeruli, classes=classes)
    rows = glomerulus_rows(glomeruli, image=slide.path, classes=classes)
    write_csv(folder / _TABLE, rows, columns=OBJECT_COLUMNS)
    write_png(folder / _OVERLAY, _picture(slide, glomeruli, classes=classes))


def _picture(slide: Slide, glomeruli: Sequence[Glomerulus], *, classes: Classes) -> NDArray[np.uint8]:
    width, height = slide.size_px
    downsample = max(1.0, max(width, height) / _OVERLAY_PX)
    picture = slide.read(Region(x=0, y=0, width=width, height=height), downsample=downsample)
    n_objects = f"{len(glomeruli):,} object" + ("s" if len(glomeruli) != 1 else "")
    return slide_overlay(
        picture,
        glomeruli,
        downsample=downsample,
        classes=classes,
        caption=f"{slide.path.name}: {n_objects}",
        mpp=slide.mpp,
    )
