"""Glomeruli as the rows of a table."""

import os
from collections.abc import Sequence

from glomseg.measure.glomerulus import Glomerulus
from glomseg.types import Classes

OBJECT_COLUMNS = (
    "image",
    "label",
    "class",
    "area_px",
    "area_um2",
    "equivalent_diameter_px",
    "equivalent_diameter_um",
    "max_diameter_px",
    "max_diameter_um",
    "min_diameter_px",
    "min_diameter_um",
    "perimeter_px",
    "perimeter_um",
    "circularity",
    "solidity",
    "centroid_x_px",
    "centroid_y_px",
    "x_px",
    "y_px",
    "width_px",
    "height_px",
    "touches_slide_border",
    "touches_tissue_border",
    "mean_probability",
)
"""Columns of the table that `glomerulus_rows` fills, in order."""


def glomerulus_rows(
    glomeruli: Sequence[Glomerulus], *, image: str | os.PathLike[str], classes: Classes
) -> list[dict[str, object]]:
    """Return one table row an object, keyed by `OBJECT_COLUMNS`; what is not known is None.

    Parameters
    ----------
    glomeruli
        The objects of one image.
    image
        What the column "image" says.
    classes
        Where the column "class" takes its names from.
    """
    return [
        {
            "image": os.fspath(image),
            "label": item.label,
            "class": classes.names[item.class_index],
            "area_px": _rounded(item.area_px),
            "area_um2": _rounded(item.area_um2),
            "equivalent_diameter_px": _rounded(item.equivalent_diameter_px),
            "equivalent_diameter_um": _rounded(item.equivalent_diameter_um),
            "max_diameter_px": _rounded(item.max_diameter_px),
            "max_diameter_um": _rounded(item.max_diameter_um),
            "min_diameter_px": _rounded(item.min_diameter_px),
            "min_diameter_um": _rounded(item.min_diameter_um),
            "perimeter_px": _rounded(item.perimeter_px),
            "perimeter_um": _rounded(item.perimeter_um),
            "circularity": _rounded(item.circularity, 4),
            "solidity": _rounded(item.solidity, 4),
            "centroid_x_px": _rounded(item.centroid_px[0]),
            "centroid_y_px": _rounded(item.centroid_px[1]),
            "x_px": _rounded(item.box.x),
            "y_px": _rounded(item.box.y),
            "width_px": _rounded(item.box.width),
            "height_px": _rounded(item.box.height),
            "touches_slide_border": item.touches_slide_border,
            "touches_tissue_border": item.touches_tissue_border,
            "mean_probability": _rounded(item.mean_probability, 4),
        }
        for item in glomeruli
    ]


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
