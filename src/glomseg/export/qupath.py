"""Objects for QuPath: one GeoJSON file that opens on the slide as annotations or detections."""

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import shapely

from glomseg.errors import InvalidInputError
from glomseg.files import json_text, write_text
from glomseg.measure import Glomerulus
from glomseg.polygons import polygons_of
from glomseg.types import Classes

_GRID_PX = 0.01
"""QuPath brings every coordinate to this grid when it reads a file."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "glomseg/qupath")


def write_geojson(
    path: str | os.PathLike[str],
    glomeruli: Sequence[Glomerulus],
    *,
    classes: Classes,
    object_type: Literal["annotation", "detection"] = "annotation",
    locked: bool = False,
) -> Path:
    """Write objects as a GeoJSON file of QuPath, whole or not at all, and return its path.

    The file is a FeatureCollection in pixels of the slide's full resolution. Every object has its class with its
    colour, a name that ends in its label, QuPath's names for its measurements, and an id that is the same
    whenever the same object is written again.

    Parameters
    ----------
    path
        Its name ends in ``.geojson`` or ``.json``, or QuPath would not offer to open it.
    glomeruli
        The objects of one slide.
    classes
        What their class indices mean.
    object_type
        Annotations are for objects that somebody will look at and correct; detections take less memory in QuPath,
        cannot be edited, and are for thousands of objects.
    locked
        Whether QuPath keeps annotations from being moved and edited by accident.

    Raises
    ------
    InvalidInputError
        If the name has another suffix.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".geojson", ".json"):
        raise InvalidInputError(f"{str(path)!r} should end in .geojson: QuPath knows such files by their suffix")
    seen: dict[str, int] = {}
    features = []
    for item in glomeruli:
        geometry = _geometry(item.outline)
        if geometry is not None:
            content = json.dumps([classes.names[item.class_index], geometry])
            seen[content] = seen.get(content, 0) + 1
            identity = uuid.uuid5(_NAMESPACE, content if seen[content] == 1 else f"{content} {seen[content]}")
            properties: dict[str, Any] = {
                "objectType": object_type,
                "name": f"{classes.names[item.class_index]} {item.label}",
                "classification": {
                    "name": classes.names[item.class_index],
                    "color": list(classes.colors[item.class_index]),
                },
                "isLocked": locked,
                "measurements": _measurements(item),
            }
            features.append({"type": "Feature", "id": str(identity), "geometry": geometry, "properties": properties})
    lines = ",\n".join(json_text(feature) for feature in features)
    write_text(path, f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n')
    return path


def _geometry(outline: shapely.Geometry) -> dict[str, Any] | None:
    """Return a GeoJSON geometry on QuPath's grid that is valid there; None where nothing is left."""
    on_grid = shapely.set_precision(shapely.make_valid(outline), _GRID_PX)  # is valid, or raises
    polygons = [shapely.orient_polygons(polygon) for polygon in polygons_of(on_grid)]
    coordinates = [
        [[[_short(x), _short(y)] for x, y in ring.coords] for ring in (polygon.exterior, *polygon.interiors)]
        for polygon in polygons
    ]
    if not coordinates:
        return None
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _short(value: float) -> int | float:
    rounded = round(value, 2)
    return int(rounded) if rounded.is_integer() else rounded


def _measurements(item: Glomerulus) -> dict[str, float]:
    """Return the figures under QuPath's names, and under our own what QuPath has no name for."""
    if item.mpp is None:
        lengths: dict[str, float | None] = {
            "Area px^2": item.area_px,
            "Length px": item.perimeter_px,
            "Max diameter px": item.bounding_circle_diameter_px,
            "Min diameter px": item.min_diameter_px,
            "Equivalent diameter px": item.equivalent_diameter_px,
        }
    else:
        lengths = {
            "Area µm^2": item.area_um2,
            "Length µm": item.perimeter_um,
            "Max diameter µm": item.bounding_circle_diameter_um,
            "Min diameter µm": item.min_diameter_um,
            "Equivalent diameter µm": item.equivalent_diameter_um,
        }
    figures = {
        **lengths,
        "Circularity": item.circularity,
        "Solidity": item.solidity,
        "Mean probability": item.mean_probability,
    }
    return {name: round(value, 4) for name, value in figures.items() if value is not None}
