"""Annotations from the XML of Aperio ImageScope."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import shapely

from glomseg.errors import InvalidInputError, UnsafeFileError
from glomseg.polygons import polygons_of
from glomseg.slides.annotation_record import Annotation, ellipse_ring, make_annotation

_MAX_DEPTH = 32
"""ImageScope nests six elements."""

_RECTANGLE, _ELLIPSE = "1", "2"
_WITHOUT_AREA = frozenset({"3", "4", "5"})
"""Region types of arrows, rulers and pins."""


@dataclass(slots=True)
class _Region:
    number: int
    kind: str
    text: str
    negative: bool
    points: list[tuple[str | None, str | None]] = field(default_factory=list)


@dataclass(slots=True)
class _Layer:
    name: str
    regions: list[_Region] = field(default_factory=list)


class _Reader:
    """Collects layers and regions while the parser goes through a file; no tree is built."""

    def __init__(self) -> None:
        self.layers: list[_Layer] = []
        self.open: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take an element that opens."""
        if not self.open and tag != "Annotations":
            raise ValueError(f"its outermost element is {tag!r}, where ImageScope has 'Annotations'")
        if len(self.open) == _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_DEPTH} elements lie in each other")
        parent = self.open[-1] if self.open else ""
        self.open.append(tag)
        if tag == "Annotation":
            self.layers.append(_Layer(attributes.get("Name", "").strip()))
        elif tag == "Attribute" and self.open[-3:-1] == ["Annotation", "Attributes"]:
            layer = self.layers[-1]
            if attributes.get("Name") == "Description" and not layer.name:
                layer.name = attributes.get("Value", "").strip()
        elif tag == "Region" and parent == "Regions" and self.layers:
            self.layers[-1].regions.append(
                _Region(
                    number=sum(len(layer.regions) for layer in self.layers) + 1,
                    kind=attributes.get("Type", "0"),
                    text=attributes.get("Text", "").strip(),
                    negative=attributes.get("NegativeROA", "0") == "1",
                )
            )
        elif tag == "Vertex" and self.layers and self.layers[-1].regions:
            self.layers[-1].regions[-1].points.append((attributes.get("X"), attributes.get("Y")))

    def end(self, tag: str) -> None:
        """Take an element that closes."""
        self.open.pop()


def parse_imagescope(content: bytes, *, path: Path) -> list[Annotation]:
    """Return the regions of an ImageScope file; negative ones are holes in the others of their layer.

    The class is the layer's name, else its description; the name is the region's text. A document type is refused, so
    no entity can grow (billion laughs) or read other files.

    Parameters
    ----------
    content
        The file's bytes.
    path
        Names the file in errors.

    Raises
    ------
    InvalidInputError
        If it is no such file.
    UnsafeFileError
        If it declares a document type.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(content, True)
    except UnsafeFileError as error:
        raise UnsafeFileError(f"annotation file {str(path)!r} {error}") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InvalidInputError(
            f"annotation file {str(path)!r} is no XML of ImageScope: {error}; save the annotations again"
        ) from error
    return [annotation for layer in reader.layers for annotation in _of_layer(layer, path=path)]


def _refuse_doctype(*_: Any) -> None:
    raise UnsafeFileError(
        "declares a document type, which ImageScope never writes and which can exhaust the machine; remove the DOCTYPE "
        "if you trust the file"
    )


def _of_layer(layer: _Layer, *, path: Path) -> list[Annotation]:
    drawn = [(region, _one(region, class_name=layer.name or None, path=path)) for region in layer.regions]
    holes = shapely.union_all([annotation.outline for region, annotation in drawn if region.negative])
    return [
        annotation if holes.is_empty else _without(annotation, holes)
        for region, annotation in drawn
        if not region.negative
    ]


def _one(region: _Region, *, class_name: str | None, path: Path) -> Annotation:
    what = f"annotation file {str(path)!r}: region {region.number}"
    try:
        points = np.array(region.points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{what} has a vertex whose X or Y is no number") from error
    if region.kind in _WITHOUT_AREA or not len(points):
        ring = np.empty((0, 2))
    elif region.kind == _ELLIPSE:
        ring = ellipse_ring(points)
    elif region.kind == _RECTANGLE and len(points) == 2:
        (left, top), (right, bottom) = points
        ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    else:
        ring = points
    return make_annotation([[ring]] if len(ring) else [], what=what, class_name=class_name, name=region.text or None)


def _without(annotation: Annotation, holes: shapely.Geometry) -> Annotation:
    return Annotation(
        outline=shapely.MultiPolygon(polygons_of(shapely.difference(annotation.outline, holes))),
        class_name=annotation.class_name,
        name=annotation.name,
        object_type=annotation.object_type,
        is_region=annotation.is_region,
        repaired=annotation.repaired,
    )
