"""From a class mask to measured objects: connected pieces, single glomeruli, and what a slide's come to."""

from glomseg.measure.components import COMPONENT_COLUMNS, Component, component_rows, connected_components
from glomseg.measure.glomerulus import Glomerulus, measure_glomeruli
from glomseg.measure.objects import ObjectPixels, ObjectSettings, find_objects
from glomseg.measure.summary import QUANTILES, SlideSummary, summarize_glomeruli
from glomseg.measure.table import OBJECT_COLUMNS, glomerulus_rows

__all__ = [
    "COMPONENT_COLUMNS",
    "OBJECT_COLUMNS",
    "QUANTILES",
    "Component",
    "Glomerulus",
    "ObjectPixels",
    "ObjectSettings",
    "SlideSummary",
    "component_rows",
    "connected_components",
    "find_objects",
    "glomerulus_rows",
    "measure_glomeruli",
    "summarize_glomeruli",
]
