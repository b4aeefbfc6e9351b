import math

import numpy as np
import pytest
import shapely

from glomseg.errors import InvalidInputError
from glomseg.slides.annotation_record import Annotation
from glomseg.slides.rasterize import rasterize
from glomseg.types import GLOMERULUS, Classes, Region

TWO = Classes.of(("background", "glomerulus", "sclerotic"))


def drawn(x, y, width, height, name="glomerulus", **options):
    box = shapely.box(x, y, x + width, y + height)
    return Annotation(outline=shapely.MultiPolygon([box]), class_name=name, **options)


def raster(annotations, *, size=(8, 6), x=0, y=0, downsample=1.0, classes=TWO, **options):
    region = Region(x=x, y=y, width=size[0], height=size[1])
    return rasterize(annotations, region=region, downsample=downsample, classes=classes, **options)


def test_pixel_centres_decide():
    mask = raster([drawn(1.4, 1.6, 3.2, 2)])
    expected = np.zeros((6, 8), np.uint8)
    expected[2:4, 1:5] = 1
    expected[1, :] = 0
    assert np.array_equal(mask, expected)


def test_a_region_at_a_downsample():
    mask = raster([drawn(100, 200, 16, 8)], x=92, y=196, size=(40, 24), downsample=4)
    expected = np.zeros((6, 10), np.uint8)
    expected[1:3, 2:6] = 1
    assert np.array_equal(mask, expected)
    assert raster([], size=(9, 3), downsample=2).shape == (2, 5), "rounded half up"
    assert raster([], size=(1, 1), downsample=9).shape == (1, 1)


def test_later_over_earlier_and_holes_let_through():
    ring = shapely.box(0, 0, 6, 6) - shapely.box(2, 2, 4, 4)
    items = [drawn(0, 0, 8, 6), Annotation(outline=shapely.MultiPolygon([ring]), class_name="sclerotic")]
    mask = raster(items)
    assert (mask[2:4, 2:4] == 1).all()
    assert (mask == 2).sum() == 32
    assert (raster(items[::-1]) == 1).all()


def test_outside_the_annotated_regions_nobody_looked():
    items = [drawn(0, 0, 4, 6, "Region*", is_region=True), drawn(1, 1, 2, 2), drawn(6, 0, 2, 2)]
    mask = raster(items)
    assert (mask[:, 4:6] == 255).all()
    assert mask[0, 0] == 0
    assert (mask[1:3, 1:3] == 1).all()
    assert (mask[0:2, 6:8] == 1).all(), "what is drawn outside was looked at"
    assert (mask[2:, 4:] == 255).all()


def test_names_are_matched_without_case_and_mapped():
    items = [drawn(0, 0, 1, 6, "GLOMERULUS"), drawn(1, 0, 1, 6, "Glomerulus: crescent"), drawn(2, 0, 1, 6, "Normal")]
    items += [drawn(3, 0, 1, 6, "Ignore*"), drawn(4, 0, 1, 6, "tubule"), drawn(5, 0, 1, 6, None)]
    mask = raster(items, class_names={"normal": "Sclerotic", "tubule": "background"}, unclassified="glomerulus")
    assert mask[0].tolist() == [1, 1, 2, 255, 0, 1, 0, 0]


def test_points_and_what_lies_elsewhere_leave_no_trace():
    empty = Annotation(outline=shapely.MultiPolygon(), class_name="whatever")
    assert not raster([empty, drawn(-9, -9, 5, 5), drawn(1e6, 1e6, 5, 5)]).any()


def test_a_slanted_edge_takes_half(rows=200):
    triangle = shapely.Polygon([(0, 0), (rows, 0), (0, rows)])
    mask = raster([Annotation(outline=shapely.MultiPolygon([triangle]), class_name="glomerulus")], size=(rows, rows))
    assert mask.sum() == pytest.approx(rows**2 / 2, rel=0.006)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("glomerulos", {}, "class 'glomerulos'.*did you mean 'glomerulus'"),
        ("x", {"class_names": {"x": "glomerulu"}}, "'glomerulu' is no class; did you mean 'glomerulus'"),
        (None, {"classes": TWO}, "1 of 1 annotations have no class"),
        (None, {"unclassified": "tubule"}, "'tubule' is no class"),
    ],
)
def test_unknown_classes(name, options, message):
    with pytest.raises(InvalidInputError, match=message):
        raster([drawn(0, 0, 1, 1, name)], **{"classes": GLOMERULUS, **options})


def test_without_a_class_it_is_the_only_one():
    assert raster([drawn(0, 0, 1, 1, None)], classes=GLOMERULUS)[0, 0] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downsample": 0}, "at downsample 0 is no picture"),
        ({"downsample": math.nan}, "is no picture"),
        ({"size": (0, 5)}, "is no picture"),
        ({"size": (5, math.inf)}, "is no picture"),
        ({"size": (1e6, 1e6)}, "too large; give a larger downsample"),
    ],
)
def test_sizes_that_make_no_sense(options, message):
    with pytest.raises(InvalidInputError, match=message):
        raster([], **options)
