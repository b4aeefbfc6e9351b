"""From annotations to a class mask."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError, did_you_mean
from glomseg.images import MAX_PIXELS
from glomseg.polygons import pixels_inside
from glomseg.slides.annotation_record import IGNORE_NAME, Annotation
from glomseg.types import IGNORE_INDEX, Classes, Region


def rasterize(
    annotations: Sequence[Annotation],
    *,
    region: Region,
    downsample: float,
    classes: Classes,
    class_names: Mapping[str, str] | None = None,
    unclassified: str | None = None,
) -> NDArray[np.uint8]:
    """Return the class mask of a region of a slide: each pixel has the class of the last annotation its centre is in.

    Holes are outside an annotation. Where nothing is drawn is background; but if there are annotated regions
    (`Annotation.is_region`), only within them: what is drawn nowhere and lies in none of them is 255, as nobody looked.
    Points and lines are left out.

    Parameters
    ----------
    annotations
        A later one covers an earlier one; QuPath writes what lies inside an object after it.
    region
        What the mask covers, in pixels of full resolution.
    downsample
        Pixels of full resolution per pixel of the mask; its size is that of the region divided by it, rounded.
    classes
        What the mask's values shall mean. Names are compared without regard to case.
    class_names
        For names of the annotations the class that they shall count as: {"Normal": "glomerulus"}. QuPath's
        "Ignore*" gives 255, and so does a name that is mapped to it. Of "A: B" that is not known, "A" counts.
    unclassified
        The class of annotations without one; None is the only class beside the background, and with several an error.

    Returns
    -------
    mask
        (h, w) uint8 class index.

    Raises
    ------
    InvalidInputError
        If an annotation's class is not known, or the scale or the region make no sense.
    """
    height, width = _size(region, downsample=downsample)
    if unclassified is None and len(classes) == 2:
        unclassified = classes.names[1]
    drawn = [item for item in annotations if not item.outline.is_empty]
    regions = [item for item in drawn if item.is_region]
    objects = [item for item in drawn if not item.is_region]
    values = _values(objects, classes=classes, class_names=class_names or {}, unclassified=unclassified)
    mask = np.full((height, width), IGNORE_INDEX if regions else 0, np.uint8)
    for item in regions:
        _paint(mask, item.outline, 0, region=region, downsample=downsample)
    for item, value in zip(objects, values, strict=True):
        _paint(mask, item.outline, value, region=region, downsample=downsample)
    return mask


def _size(region: Region, *, downsample: float) -> tuple[int, int]:
    sides = (region.height, region.width)
    if not (0 < downsample < math.inf and all(0 < side < math.inf for side in sides)):
        raise InvalidInputError(
            f"a region of {region.width} x {region.height} pixels at downsample {downsample} is no picture; "
            "sides and downsample are positive numbers"
        )
    height, width = (max(1, int(side / downsample + 0.5)) for side in sides)
    if height * width > MAX_PIXELS:
        raise InvalidInputError(
            f"a mask of {width} x {height} pixels is too large; give a larger downsample than {downsample}"
        )
    return height, width


def _paint(
    mask: NDArray[np.uint8], outline: shapely.Geometry, value: int, *, region: Region, downsample: float
) -> None:
    """Set the pixels of a mask whose centres an outline holds, within its box only."""
    height, width = mask.shape
    corner = np.array([region.x, region.y])
    scaled = shapely.transform(outline, lambda points: (points - corner) / downsample)
    left, top, right, bottom = scaled.bounds
    columns = slice(min(max(0, math.floor(left)), width), min(max(0, math.ceil(right)), width))
    rows = slice(min(max(0, math.floor(top)), height), min(max(0, math.ceil(bottom)), height))
    box = mask[rows, columns]
    if box.size:
        moved = shapely.transform(scaled, lambda points: points - np.array([columns.start, rows.start]))
        box[pixels_inside(moved, height=box.shape[0], width=box.shape[1])] = value


def _values(
    objects: Sequence[Annotation], *, classes: Classes, class_names: Mapping[str, str], unclassified: str | None
) -> list[int]:
    """Return the mask value of every object."""
    known = {name.casefold(): index for index, name in enumerate(classes.names)}
    known.setdefault(IGNORE_NAME.casefold(), IGNORE_INDEX)
    wanted = {**class_names} if unclassified is None else {**class_names, "": unclassified}
    for name in wanted.values():
        if name.casefold() not in known:
            raise InvalidInputError(f"{name!r} is no class; {did_you_mean(name, [*classes.names, IGNORE_NAME])}")
    known |= {name.casefold(): known[target.casefold()] for name, target in wanted.items()}
    n_without = sum(item.class_name is None for item in objects)
    if n_without and unclassified is None:
        raise InvalidInputError(
            f"{n_without} of {len(objects)} annotations have no class; classify them, or say which class they are of "
            "with --unclassified"
        )
    return [_value(item.class_name or "", known, classes=classes) for item in objects]


def _value(name: str, known: Mapping[str, int], *, classes: Classes) -> int:
    for candidate in (name, name.partition(":")[0]):
        value = known.get(candidate.strip().casefold())
        if value is not None:
            return value
    raise InvalidInputError(
        f"annotations have the class {name!r}, which is not among the classes of the mask; "
        f"{did_you_mean(name, classes.names)}; rename it, or say what it counts as: "
        f"--annotation-classes '{name}={classes.names[1]}'"
    )
