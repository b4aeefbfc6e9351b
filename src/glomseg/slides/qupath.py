"""Annotations from QuPath's GeoJSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from glomseg.errors import InvalidInputError
from glomseg.slides.annotation_record import Annotation, ellipse_ring, make_annotation

_WITHOUT_AREA = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString"})
_GEOMETRIES = _WITHOUT_AREA | {"Polygon", "MultiPolygon", "GeometryCollection"}


def parse_geojson(content: bytes, *, path: Path) -> list[Annotation]:
    """Return the objects of a GeoJSON file, those inside others after them, in pixels of full resolution.

    A FeatureCollection, an array of Features, one Feature and a bare geometry are understood. A cell's nucleus is no
    object of its own, QuPath's root object (the whole image) none at all.

    Parameters
    ----------
    content
        The file's bytes.
    path
        Names the file in errors.

    Raises
    ------
    InvalidInputError
        If it is not such a file.
    """
    try:
        root = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"annotation file {str(path)!r} is not valid JSON: {error}; it was probably cut off or edited: "
            "export it again"
        ) from error
    waiting = [(f"object {number}", item) for number, item in enumerate(_objects(root, path=path), start=1)][::-1]
    found = []
    while waiting:
        what, item = waiting.pop()
        where = f"annotation file {str(path)!r}: {what}"
        properties = _properties(item, what=where)
        annotation = _annotation(item, properties, what=where)
        if annotation is not None:
            found.append(annotation)
        children = properties.get("childObjects") or []
        if not isinstance(children, list):
            raise InvalidInputError(f"{where} has childObjects that are no list")
        waiting += [(f"{what}, child {number}", child) for number, child in enumerate(children, start=1)][::-1]
    return found


def _objects(root: Any, *, path: Path) -> list[Any]:
    if isinstance(root, list):
        return root
    kind = root.get("type")
    if kind == "FeatureCollection" and isinstance(root.get("features"), list):
        features: list[Any] = root["features"]
        return features
    if kind == "Feature" or kind in _GEOMETRIES:
        return [root]
    raise InvalidInputError(
        f"annotation file {str(path)!r} is JSON but no GeoJSON: its type is {kind!r}, where FeatureCollection, Feature "
        "or a geometry is expected; export from QuPath with File > Export objects as GeoJSON"
    )


def _properties(item: Any, *, what: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise InvalidInputError(f"{what} is {type(item).__name__}, but a GeoJSON Feature is an object")
    properties = item.get("properties") or {}
    if not isinstance(properties, dict):
        raise InvalidInputError(f"{what} has properties that are {type(properties).__name__}, not an object")
    return properties


def _annotation(item: dict[str, Any], properties: dict[str, Any], *, what: str) -> Annotation | None:
    object_type = next(
        (properties[key] for key in ("objectType", "object_type", "type") if isinstance(properties.get(key), str)),
        "annotation",
    )
    geometry = item.get("geometry") if "geometry" in item or item.get("type") == "Feature" else item
    if object_type == "root" or geometry is None:
        return None
    name = properties.get("name")
    return make_annotation(
        _polygons(geometry, what=what),
        what=what,
        class_name=_class_name(properties.get("classification"), what=what),
        name=name if isinstance(name, str) and name else None,
        object_type=object_type,
    )


def _class_name(classification: Any, *, what: str) -> str | None:
    """Return the class of QuPath's "classification": a string, {"name": ...} or {"names": [...]}."""
    if isinstance(classification, dict):
        names = classification.get("names")
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return ": ".join(names)
        classification = classification.get("name")
    if classification is None or classification == "":
        return None
    if not isinstance(classification, str):
        raise InvalidInputError(f"{what} has a classification whose name is {classification!r}, not a text")
    return classification


def _polygons(geometry: Any, *, what: str) -> list[list[np.ndarray]]:
    """Return the rings of every polygon in a geometry; points and lines have none."""
    waiting, found = [geometry], []
    while waiting:
        item = waiting.pop()
        kind = item.get("type") if isinstance(item, dict) else None
        if kind not in _GEOMETRIES:
            raise InvalidInputError(f"{what} has a geometry of the type {kind!r}, which GeoJSON does not know")
        inner = item.get("geometries" if kind == "GeometryCollection" else "coordinates")
        if not isinstance(inner, list):
            raise InvalidInputError(f"{what} has a {kind} without coordinates")
        if kind == "GeometryCollection":
            waiting += inner[::-1]
        elif kind not in _WITHOUT_AREA:
            polygons = [inner] if kind == "Polygon" else inner
            rings = [_rings(polygon, what=what) for polygon in polygons if polygon]
            if item.get("isEllipse") is True:
                rings = [[ellipse_ring(polygon[0])] for polygon in rings if len(polygon[0])]
            found += rings
    return found


def _rings(polygon: Any, *, what: str) -> list[np.ndarray]:
    if not isinstance(polygon, list):
        raise InvalidInputError(f"{what} has a polygon that is no list of rings")
    return [_points(ring, what=what) for ring in polygon]


def _points(ring: Any, *, what: str) -> np.ndarray:
    """Return the points of a ring as (n, 2) float64, a third coordinate dropped."""
    if ring == []:
        return np.empty((0, 2))
    try:
        points = np.array(ring)
    except ValueError:  # lists of different lengths
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] < 2 or points.dtype.kind not in "iuf":
        raise InvalidInputError(f"{what} has a ring that is no list of [x, y] pairs of numbers")
    return points[:, :2].astype(np.float64)
