"""The file for QuPath, against QuPath's rules written down here a second time, without the program's own geometry."""

import json
import math
import uuid
from itertools import pairwise

import numpy as np
import pytest

from glomseg.errors import InvalidInputError, OutputError
from glomseg.export.qupath import write_geojson
from glomseg.measure import ObjectSettings, measure_glomeruli
from glomseg.slides.annotations import read_annotations
from glomseg.slides.rasterize import rasterize
from glomseg.types import Classes, Region

TWO = Classes.of(("background", "glomerulus", "sclerotic"))
KEEP = ObjectSettings(min_diameter_um=0, min_diameter_px=0, max_hole_ratio=0, max_neck_ratio=0)
MEASUREMENTS_UM = {"Area µm^2", "Length µm", "Max diameter µm", "Min diameter µm", "Equivalent diameter µm"}
MEASUREMENTS_PX = {"Area px^2", "Length px", "Max diameter px", "Min diameter px", "Equivalent diameter px"}
RATIOS = {"Circularity", "Solidity", "Mean probability"}


def crossing(a, b, c, d):
    """Whether two segments cross or overlap, other than by touching in one point."""

    def side(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    one, two, three, four = side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)
    if one == two == three == four == 0:
        axis = 0 if a[0] != b[0] else 1
        return max(min(a[axis], b[axis]), min(c[axis], d[axis])) < min(max(a[axis], b[axis]), max(c[axis], d[axis]))
    return one * two < 0 and three * four < 0


def inside(point, ring):
    """Whether a point that is on no edge lies in a ring, by counting crossings of a ray."""
    hits = 0
    for (ax, ay), (bx, by) in pairwise(ring):
        if (ay > point[1]) != (by > point[1]):
            hits += point[0] < ax + (point[1] - ay) / (by - ay) * (bx - ax)
    return hits % 2 == 1


def area(ring):
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairwise(ring)) / 2


def check_ring(ring):
    assert len(ring) >= 4
    assert ring[0] == ring[-1]
    assert len(set(map(tuple, ring[:-1]))) == len(ring) - 1, "a ring touches itself"
    for value in np.ravel(ring):
        assert math.isfinite(value)
        assert round(value, 2) == value
    edges = list(pairwise(ring))
    if len(edges) < 80:
        for number, (a, b) in enumerate(edges):
            assert not any(crossing(a, b, c, d) for c, d in edges[number + 1 :])
    assert area(ring) != 0


def check_polygon(polygon):
    shell, *holes = polygon
    for ring in polygon:
        check_ring(ring)
    assert area(shell) > 0
    for hole in holes:
        assert area(hole) < 0
        (ax, ay), (bx, by) = hole[0], hole[1]
        length = math.hypot(bx - ax, by - ay)  # a point just left of a clockwise hole's edge is in the material
        right = ((ax + bx) / 2 + (by - ay) / length * 1e-3, (ay + by) / 2 - (bx - ax) / length * 1e-3)
        assert inside(right, shell)
        assert inside(right, hole)


def check_file(path, *, classes, object_type="annotation", locked=False):
    """Assert every rule that QuPath's reader has, and return the features."""
    root = json.loads(path.read_text(encoding="utf-8"))
    assert set(root) == {"type", "features"}
    assert root["type"] == "FeatureCollection"
    identities = [feature["id"] for feature in root["features"]]
    assert len(set(identities)) == len(identities)
    for feature in root["features"]:
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert feature["type"] == "Feature"
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        geometry, properties = feature["geometry"], feature["properties"]
        assert geometry["type"] in ("Polygon", "MultiPolygon")
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        assert len(polygons) > (geometry["type"] == "MultiPolygon")
        for polygon in polygons:
            check_polygon(polygon)
        assert set(properties) == {"objectType", "name", "classification", "isLocked", "measurements"}
        assert properties["objectType"] == object_type
        assert properties["isLocked"] is locked
        index = classes.names.index(properties["classification"]["name"])
        assert properties["classification"]["color"] == list(classes.colors[index])
        assert set(properties["measurements"]) <= MEASUREMENTS_UM | MEASUREMENTS_PX | RATIOS
        assert all(isinstance(value, (int, float)) for value in properties["measurements"].values())
    return root["features"]


def measured(mask, *, downsample=1.0, mpp=None, **options):
    return measure_glomeruli(mask, classes=TWO, mpp=mpp, downsample=downsample, settings=KEEP, **options)


def there_and_back(mask, path, *, downsample=1.0):
    write_geojson(path, measured(mask, downsample=downsample), classes=TWO)
    features = check_file(path, classes=TWO)
    region = Region(x=0, y=0, width=mask.shape[1] * downsample, height=mask.shape[0] * downsample)
    back = rasterize(read_annotations(path), region=region, downsample=downsample, classes=TWO)
    return features, back


def blobs(seed, size=32):
    """Random patches with holes, islands, corners that touch, single pixels, and the border."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((size // 4, size // 4)) < 0.5
    mask = coarse.repeat(4, axis=0).repeat(4, axis=1).astype(np.uint8)
    mask ^= (rng.random((size, size)) < 0.05).astype(np.uint8)
    mask[rng.random((size, size)) < 0.03] = 2
    return mask


@pytest.mark.parametrize("downsample", [1.0, 8.0, 4.0003, 1.37])
@pytest.mark.parametrize("seed", range(3))
def test_a_mask_comes_back_pixel_by_pixel(tmp_path, seed, downsample):
    mask = blobs(seed)
    _, back = there_and_back(mask, tmp_path / "a.geojson", downsample=downsample)
    assert np.array_equal(back, mask)


def test_the_smallest_cases_come_back(tmp_path):
    cases = {
        "one pixel": ["000", "010", "000"],
        "a corner of the slide": ["100", "000", "001"],
        "touching at a corner": ["100", "010", "001"],
        "a hole": ["111", "101", "111"],
        "holes that touch at a corner": ["11111", "10111", "11011", "11111", "11111"],
        "a hole that touches the outside at a corner": ["0111", "1011", "1111", "1111"],
        "everything": ["111", "111", "111"],
    }
    for name, rows in cases.items():
        mask = np.array([[int(digit) for digit in row] for row in rows], np.uint8)
        features, back = there_and_back(mask, tmp_path / "a.geojson", downsample=8)
        assert np.array_equal(back, mask), name
        holes = [len(feature["geometry"]["coordinates"]) - 1 for feature in features]
        if name == "a hole":
            assert holes == [1]


def test_coordinates_are_pixel_edges_at_full_resolution(tmp_path):
    mask = np.zeros((6, 6), np.uint8)
    mask[2:4, 1:5] = 1
    (feature,), _ = there_and_back(mask, tmp_path / "a.geojson", downsample=8)
    points = np.array(feature["geometry"]["coordinates"][0])
    assert points.min(axis=0).tolist() == [8, 16]
    assert points.max(axis=0).tolist() == [40, 32]


def test_ids_are_the_same_every_time_and_differ_between_objects(tmp_path):
    items = measured(blobs(1))
    first = write_geojson(tmp_path / "a.geojson", items, classes=TWO).read_bytes()
    assert write_geojson(tmp_path / "b.geojson", items, classes=TWO).read_bytes() == first
    write_geojson(tmp_path / "c.json", [items[0], items[0]], classes=TWO)
    assert len(check_file(tmp_path / "c.json", classes=TWO)) == 2


def test_names_measurements_types_and_locks(tmp_path):
    mask = np.zeros((60, 60), np.uint8)
    mask[10:40, 10:40] = 2
    probabilities = np.full(mask.shape, 0.75, np.float32)
    (item,) = items = measured(mask, mpp=0.5, probabilities=probabilities)
    path = write_geojson(tmp_path / "a.geojson", items, classes=TWO, object_type="detection", locked=True)
    (feature,) = check_file(path, classes=TWO, object_type="detection", locked=True)
    assert feature["properties"]["name"] == "sclerotic 1"
    figures = feature["properties"]["measurements"]
    assert set(figures) == MEASUREMENTS_UM | RATIOS
    assert figures["Area µm^2"] == 225
    assert figures["Max diameter µm"] == pytest.approx(item.bounding_circle_diameter_um, abs=1e-4)
    assert figures["Mean probability"] == 0.75
    write_geojson(path, measured(mask), classes=TWO)
    (feature,) = check_file(path, classes=TWO)
    assert set(feature["properties"]["measurements"]) == MEASUREMENTS_PX | RATIOS - {"Mean probability"}


def test_no_object_is_an_empty_collection(tmp_path):
    path = write_geojson(tmp_path / "none.geojson", [], classes=TWO)
    assert check_file(path, classes=TWO) == []
    assert read_annotations(path) == []


def test_a_name_that_qupath_would_not_open_and_a_place_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInputError, match=r"should end in \.geojson"):
        write_geojson(tmp_path / "a.txt", [], classes=TWO)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_geojson(tmp_path / "file" / "a.geojson", [], classes=TWO)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.real
def test_real_masks_come_back(tmp_path, shared_data):
    from glomseg.images import read_mask_values

    for path in sorted((shared_data / "aidpath_pas" / "masks").glob("*.png"))[::4]:
        mask = read_mask_values(path)
        _, back = there_and_back(mask, tmp_path / "a.geojson", downsample=8)
        assert np.array_equal(back, mask)
