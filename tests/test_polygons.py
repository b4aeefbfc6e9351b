import math

import numpy as np
import pytest
import shapely
from matplotlib.path import Path as PlotPath

from glomseg import polygons as module
from glomseg.polygons import pixel_outline, pixels_inside, polygons_of


def mask_of(*rows):
    return np.array([[digit == "1" for digit in row] for row in rows])


def test_one_pixel_is_its_square():
    outline = pixel_outline(mask_of("000", "010"))
    assert [list(polygon.exterior.coords) for polygon in outline.geoms] == [[(2, 1), (2, 2), (1, 2), (1, 1), (2, 1)]]


def test_straight_sides_have_no_points_between():
    outline = pixel_outline(np.ones((40, 30), bool))
    assert shapely.get_num_coordinates(outline) == 5


def test_holes_are_inner_rings_and_corners_keep_pixels_apart():
    ring = pixel_outline(mask_of("111", "101", "111"))
    assert [len(polygon.interiors) for polygon in ring.geoms] == [1]
    diagonal = pixel_outline(mask_of("10", "01"))
    assert [polygon.area for polygon in diagonal.geoms] == [1, 1]
    pinched = pixel_outline(mask_of("1111", "1010", "1111"))
    assert pinched.is_valid
    assert pinched.area == 10


@pytest.mark.parametrize("seed", range(6))
def test_there_and_back(seed):
    rng = np.random.default_rng(seed)
    pixels = rng.random((31, 27)) < (0.2, 0.5, 0.8)[seed % 3]
    outline = pixel_outline(pixels)
    assert outline.is_valid
    assert outline.area == pixels.sum()
    assert np.array_equal(pixels_inside(outline, height=31, width=27), pixels)


@pytest.mark.parametrize("seed", range(5))
def test_any_polygon_agrees_with_matplotlib(seed):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * math.pi, 40))
    radius = rng.uniform(5, 24, 40)
    points = 20 + np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    row, column = np.mgrid[:40, :45]
    centres = np.stack([column.ravel() + 0.5, row.ravel() + 0.5], axis=1)
    expected = PlotPath(np.vstack([points, points[:1]]), closed=True).contains_points(centres).reshape(40, 45)
    assert np.array_equal(pixels_inside(shapely.Polygon(points), height=40, width=45), expected)


def test_neighbours_share_no_pixel_and_leave_none_out():
    left = shapely.Polygon([(0, 0), (4.5, 0), (4.5, 10), (0, 10)])  # its edge runs through pixel centres
    right = shapely.Polygon([(4.5, 0), (10, 0), (10, 10), (4.5, 10)])
    one, other = (pixels_inside(half, height=10, width=10) for half in (left, right))
    assert not (one & other).any()
    assert (one | other).all()


def test_what_reaches_beyond_is_cut_and_what_lies_beyond_is_nothing():
    wide = shapely.box(-1e6, -1e6, 3, 1e6)
    assert pixels_inside(wide, height=5, width=6).sum(axis=1).tolist() == [3] * 5
    for away in (shapely.box(-9, 1, -2, 4), shapely.box(50, 1, 60, 4), shapely.box(1, -9, 4, -2)):
        assert not pixels_inside(away, height=5, width=6).any()
    assert not pixels_inside(shapely.MultiPolygon(), height=5, width=6).any()


def test_many_crossings_are_counted_in_portions(monkeypatch):
    comb = [(x, 0 if x % 2 else 30) for x in range(41)] + [(40, 40), (0, 40)]
    whole = pixels_inside(shapely.Polygon(comb), height=40, width=40)
    monkeypatch.setattr(module, "_MAX_CROSSINGS", 7)
    assert np.array_equal(pixels_inside(shapely.Polygon(comb), height=40, width=40), whole)


def test_only_polygons_with_an_area_are_kept():
    inner = shapely.GeometryCollection([shapely.box(0, 0, 1, 1), shapely.Point(5, 5)])
    mixed = shapely.GeometryCollection([inner, shapely.LineString([(0, 0), (1, 1)]), shapely.box(2, 2, 3, 3)])
    assert [polygon.area for polygon in polygons_of(mixed)] == [1, 1]
    assert polygons_of(shapely.Polygon()) == []
