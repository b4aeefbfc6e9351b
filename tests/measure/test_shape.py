import math

import numpy as np
import pytest
import shapely

from glomseg.measure import shape as module
from glomseg.measure.shape import measure_shape

from .drawing import cropped, disc, ellipse, ellipse_perimeter

PLACES = [(0.0, 0.0), (0.25, 0.1), (0.5, 0.5), (0.9, 0.37)]


def off(value, truth):
    return abs(value / truth - 1)


@pytest.mark.parametrize(("radius", "tolerance"), [(12, 0.04), (30, 0.012), (40, 0.01), (150, 0.01)])
@pytest.mark.parametrize("place", PLACES)
def test_discs(radius, tolerance, place):
    size = 2 * radius + 6
    found = measure_shape(disc(size, centre=[size / 2 + shift for shift in place], radius=radius))
    assert off(found.area_px, math.pi * radius**2) < tolerance
    assert off(found.perimeter_px, 2 * math.pi * radius) < tolerance
    assert off(found.max_diameter_px, 2 * radius) < tolerance
    assert off(found.min_diameter_px, 2 * radius) < max(tolerance, 0.51 / radius)
    assert off(found.bounding_circle_diameter_px, 2 * radius) < tolerance
    assert found.circularity > 1 - tolerance
    assert found.solidity > 1 - tolerance
    assert found.centroid_px == pytest.approx([size / 2 + shift for shift in place], abs=0.1)


@pytest.mark.parametrize("semi", [(30, 25), (45, 30), (100, 45)])
@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8, 1.4])
def test_ellipses(semi, angle):
    size = 2 * semi[0] + 6
    found = measure_shape(ellipse(size, centre=(size / 2 + 0.3, size / 2 + 0.1), semi=semi, angle=angle))
    assert off(found.area_px, math.pi * semi[0] * semi[1]) < 0.01
    assert off(found.perimeter_px, ellipse_perimeter(semi)) < 0.01
    assert off(found.max_diameter_px, 2 * semi[0]) < 0.01
    assert off(found.min_diameter_px, 2 * semi[1]) < 0.015
    circularity = 4 * math.pi * math.pi * semi[0] * semi[1] / ellipse_perimeter(semi) ** 2
    assert found.circularity == pytest.approx(circularity, rel=0.015)


@pytest.mark.parametrize(("outer", "inner"), [(40, 20), (60, 30), (100, 80)])
@pytest.mark.parametrize("place", PLACES)
def test_rings_have_two_outlines_but_the_circularity_of_their_shell(outer, inner, place):
    size = 2 * outer + 6
    centre = [size / 2 + shift for shift in place]
    found = measure_shape(disc(size, centre=centre, radius=outer) & ~disc(size, centre=centre, radius=inner))
    assert off(found.perimeter_px, 2 * math.pi * (outer + inner)) < 0.01
    assert off(found.max_diameter_px, 2 * outer) < 0.01
    assert found.circularity > 0.985
    assert found.solidity == pytest.approx(1 - (inner / outer) ** 2, rel=0.01)


def test_a_rectangle_loses_little_at_its_corners():
    found = measure_shape(np.ones((60, 100), bool))
    assert off(found.perimeter_px, 320) < 0.015
    assert off(found.min_diameter_px, 60) < 0.001
    assert found.solidity > 0.99
    assert found.circularity == pytest.approx(4 * math.pi * 6000 / 320**2, rel=0.03)


@pytest.mark.parametrize(("shape", "perimeter", "longest"), [((1, 1), 4, 2**0.5), ((1, 30), 62, 30), ((3, 3), 12, 4.2)])
def test_the_smallest_shapes_have_finite_figures(shape, perimeter, longest):
    found = measure_shape(np.ones(shape, bool))
    assert off(found.perimeter_px, perimeter) < 0.15
    assert off(found.max_diameter_px, longest) < 0.2
    assert 0 < found.min_diameter_px <= found.max_diameter_px <= found.bounding_circle_diameter_px
    assert 0 < found.circularity <= 1
    assert 0 < found.solidity <= 1


def test_diameters_of_a_polygon_agree_with_trying_every_direction():
    hull = shapely.get_coordinates(shapely.convex_hull(shapely.MultiPoint(np.random.default_rng(3).random((40, 2)))))
    angles = np.linspace(0, np.pi, 20_001)
    reach = hull @ np.array([np.cos(angles), np.sin(angles)])
    widths = reach.max(axis=0) - reach.min(axis=0)
    assert module._feret(hull) == pytest.approx((widths.max(), widths.min()), abs=1e-4)


def test_strips_change_nothing(monkeypatch):
    pixels = cropped(disc(200, centre=(100, 100), radius=90) & ~disc(200, centre=(90, 100), radius=40))
    whole = measure_shape(pixels)
    monkeypatch.setattr(module, "_STRIP_PIXELS", 1)
    in_strips = measure_shape(pixels)
    assert in_strips.perimeter_px == pytest.approx(whole.perimeter_px, rel=1e-6)
    assert in_strips.solidity == pytest.approx(whole.solidity, rel=1e-6)
    assert in_strips.max_diameter_px == pytest.approx(whole.max_diameter_px, rel=1e-6)


def test_turning_and_mirroring_change_nothing():
    pixels = ellipse(90, centre=(44, 45.3), semi=(40, 20), angle=0.4)
    for turned in (np.rot90(pixels), pixels.T, pixels[::-1]):
        found, same = measure_shape(pixels), measure_shape(np.ascontiguousarray(turned))
        assert same.perimeter_px == pytest.approx(found.perimeter_px, rel=1e-5)
        assert same.min_diameter_px == pytest.approx(found.min_diameter_px, rel=1e-5)
