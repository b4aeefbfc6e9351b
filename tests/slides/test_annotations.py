import gzip
import json
import zipfile

import numpy as np
import pytest
import shapely

from glomseg.errors import InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.images import write_png
from glomseg.slides import annotation_files
from glomseg.slides.annotations import read_annotations
from glomseg.types import Classes

SQUARE = [[[10, 10], [30, 10], [30, 30], [10, 30], [10, 10]]]
HOLE = [[15, 15], [20, 15], [20, 20], [15, 20], [15, 15]]


def feature(geometry=None, **properties):
    geometry = geometry or {"type": "Polygon", "coordinates": SQUARE}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def read(tmp_path, content, name="a.geojson"):
    path = tmp_path / name
    data = content if isinstance(content, (str, bytes)) else json.dumps(content)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_annotations(path)


@pytest.mark.parametrize(
    "root",
    [
        {"type": "FeatureCollection", "features": [feature()]},
        [feature()],
        feature(),
        {"type": "Polygon", "coordinates": SQUARE},
        [{"type": "Polygon", "coordinates": SQUARE}],
    ],
    ids=["collection", "array", "feature", "geometry", "array of geometries"],
)
def test_every_root(tmp_path, root):
    (item,) = read(tmp_path, root)
    assert item.outline.area == 400
    assert (item.class_name, item.name, item.object_type, item.is_region) == (None, None, "annotation", False)


@pytest.mark.parametrize(
    ("classification", "expected"),
    [
        ("Glomerulus", "Glomerulus"),
        ({"name": "Glomerulus", "color": [1, 2, 3]}, "Glomerulus"),
        ({"names": ["Glomerulus", "Sclerotic"], "color": [1, 2, 3]}, "Glomerulus: Sclerotic"),
        ({"color": [1, 2, 3]}, None),
        (None, None),
        ("", None),
    ],
)
def test_every_classification(tmp_path, classification, expected):
    assert read(tmp_path, feature(classification=classification))[0].class_name == expected


@pytest.mark.parametrize("key", ["objectType", "object_type", "type"])
def test_the_type_under_its_old_names_too(tmp_path, key):
    (item,) = read(tmp_path, feature(**{key: "detection", "name": "one"}))
    assert (item.object_type, item.name) == ("detection", "one")


def test_holes_several_polygons_and_collections(tmp_path):
    moved = (np.array(SQUARE) + 100).tolist()
    for geometry, area in [
        ({"type": "Polygon", "coordinates": [*SQUARE, HOLE]}, 375),
        ({"type": "MultiPolygon", "coordinates": [[*SQUARE, HOLE], moved]}, 775),
        (
            {
                "type": "GeometryCollection",
                "geometries": [
                    {"type": "Polygon", "coordinates": SQUARE},
                    {"type": "Point", "coordinates": [1, 2]},
                    {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": moved}]},
                ],
            },
            800,
        ),
    ]:
        (item,) = read(tmp_path, feature(geometry))
        assert item.outline.area == area
        assert item.outline.is_valid
        assert not item.repaired


def test_an_ellipse_is_the_one_in_its_box(tmp_path):
    (item,) = read(tmp_path, feature({"type": "Polygon", "coordinates": SQUARE, "isEllipse": True}))
    assert item.outline.area == pytest.approx(np.pi * 100, rel=2e-4)
    assert item.outline.bounds == pytest.approx((10, 10, 30, 30), abs=1e-9)


def test_points_and_lines_have_no_area(tmp_path):
    items = read(
        tmp_path,
        [
            feature({"type": "Point", "coordinates": [1, 2]}),
            feature({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}),
        ],
    )
    assert [item.outline.is_empty for item in items] == [True, True]


def test_what_qupath_writes_beside_the_outline(tmp_path):
    polygon = {"type": "Polygon", "coordinates": SQUARE, "plane": {"c": -1, "z": 0, "t": 0}}
    cell = feature(polygon, objectType="cell", metadata={"a": "1"}, measurements={"Area px^2": "NaN"}, isLocked=True)
    cell |= {"id": "PathCellObject", "nucleusGeometry": {"type": "Polygon", "coordinates": [HOLE]}}
    without = {"type": "Feature", "geometry": None, "properties": {}}
    text = json.dumps([cell, without, feature(objectType="root")])
    text = text.replace('"metadata":', '"metadata": {"a": "0"}, "metadata":')  # QuPath's writer emits it twice
    (item,) = read(tmp_path, text)
    assert (item.object_type, item.outline.area) == ("cell", 400)


def test_children_follow_their_parent(tmp_path):
    inner = feature(name="inner", childObjects=[feature(name="innermost")])
    items = read(tmp_path, [feature(name="outer", childObjects=[inner, feature(name="second")]), feature(name="last")])
    assert [item.name for item in items] == ["outer", "inner", "innermost", "second", "last"]


@pytest.mark.parametrize("name", ["Region*", "ROI", "region of interest"])
def test_regions_of_interest(tmp_path, name):
    assert read(tmp_path, feature(classification=name))[0].is_region
    assert read(tmp_path, feature(name=name))[0].is_region
    assert not read(tmp_path, feature(name=name, classification="Glomerulus"))[0].is_region


def test_a_self_crossing_outline_is_repaired_and_said(tmp_path):
    bow_tie = [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]
    (item,) = read(tmp_path, feature({"type": "Polygon", "coordinates": bow_tie}))
    assert item.repaired
    assert item.outline.is_valid
    assert item.outline.area == pytest.approx(50)


@pytest.mark.parametrize("ring", [[], [[1, 1]], [[1, 1], [2, 2]], [[1, 1], [2, 2], [1, 1], [1, 1]]])
def test_an_outline_without_area_is_empty_and_said(tmp_path, ring):
    (item,) = read(tmp_path, feature({"type": "Polygon", "coordinates": [ring]}))
    assert item.outline.is_empty
    assert item.repaired


def test_archives_whatever_they_are_called(tmp_path):
    text = json.dumps(feature(name="肾"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.geojson", text)
        archive.writestr("readme.txt", "hello")
    (tmp_path / "b.geojson").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "c.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    for name in ("a.zip", "b.geojson", "c.json"):
        assert read_annotations(tmp_path / name)[0].name == "肾"


def test_a_mask_picture(tmp_path):
    mask = np.zeros((20, 30), np.uint8)
    mask[2:6, 3:8] = 1
    mask[3, 4] = 0
    mask[10:12, 0:4] = 1
    mask[0, 0] = 2
    mask[19, 29] = 255
    write_png(tmp_path / "mask.png", mask)
    classes = Classes.of(("background", "glomerulus", "sclerotic"))
    items = read_annotations(tmp_path / "mask.png", classes=classes, downsample=8)
    assert [item.class_name for item in items] == ["glomerulus", "glomerulus", "sclerotic", "Ignore*"]
    assert items[0].outline.bounds == (24, 16, 64, 48)
    assert items[0].outline.area == 19 * 64
    assert items[1].outline.bounds == (0, 80, 32, 96)
    with pytest.raises(InvalidInputError, match="holds the values"):
        read_annotations(tmp_path / "mask.png")
    with pytest.raises(InvalidInputError, match="downsample is 0"):
        read_annotations(tmp_path / "mask.png", classes=classes, downsample=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("hello", "neither GeoJSON, XML of ImageScope nor a mask"),
        (b"\x89PNG\r\n", "neither GeoJSON"),
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        (b"[\xff]", "is not valid JSON"),
        ("{}", "its type is None"),
        ('{"type": "FeatureCollection"}', "its type is 'FeatureCollection'"),
        ('{"type": "Topology"}', "its type is 'Topology'"),
        ("[1]", "object 1 is int, but"),
        ("[[]]", "object 1 is list, but"),
        ('[{"type": "Feature", "geometry": 3}]', "geometry of the type None"),
        ('[{"type": "Feature", "geometry": {"type": "Circle"}}]', "geometry of the type 'Circle'"),
        ('[{"type": "Feature", "properties": [1], "geometry": null}]', "properties that are list"),
        ([feature(childObjects=3)], "childObjects that are no list"),
        ([feature(childObjects=[feature(classification={"name": 3})])], "object 1, child 1 has a classification"),
        ([feature({"type": "Polygon"})], "a Polygon without coordinates"),
        ([feature({"type": "Polygon", "coordinates": [3]})], "a ring that is no list"),
        ([feature({"type": "MultiPolygon", "coordinates": [3]})], "a polygon that is no list of rings"),
        ([feature({"type": "Polygon", "coordinates": [[["1", "2"]] * 4]})], r"no list of \[x, y\] pairs"),
        ([feature({"type": "Polygon", "coordinates": [[[1, 2], [3], [4, 5]]]})], r"no list of \[x, y\] pairs"),
        ([feature({"type": "Polygon", "coordinates": [[[True, False]] * 4]})], r"no list of \[x, y\] pairs"),
        ([feature({"type": "Polygon", "coordinates": [[[10**30, 1], [1, 1], [2, 2]]]})], r"no list of \[x, y\]"),
        ('{"type": "Polygon", "coordinates": [[[NaN, 1], [1, 1], [2, 2]]]}', "is not a number or beyond"),
        ('{"type": "Polygon", "coordinates": [[[1e999, 1], [1, 1], [2, 2]]]}', "is not a number or beyond"),
        ('{"type": "Polygon", "coordinates": [[[2e7, 1], [1, 1], [2, 2]]]}', "beyond 10,000,000"),
    ],
)
def test_hostile_content(tmp_path, content, message):
    with pytest.raises(InvalidInputError, match=message) as raised:
        read(tmp_path, content)
    assert "a.geojson" in str(raised.value)


def test_features_nested_deeply_are_read_or_refused_but_never_crash(tmp_path):
    text = '{"type": "Feature", "geometry": null, "properties": {"childObjects": [' * 200 + "]}}" * 200
    assert read(tmp_path, text) == []
    with pytest.raises(InvalidInputError, match="not valid JSON"):
        read(tmp_path, text + "]")
    deep = '{"type": "GeometryCollection", "geometries": [' * 400 + "]}" * 400
    assert read(tmp_path, deep)[0].outline.is_empty


@pytest.mark.slow
def test_a_million_points(tmp_path):
    angle = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    ring = np.round(50_000 + 40_000 * np.stack([np.cos(angle), np.sin(angle)], axis=1), 2)
    (item,) = read(tmp_path, {"type": "Polygon", "coordinates": [ring.tolist()]})
    assert item.outline.area == pytest.approx(np.pi * 40_000**2, rel=1e-3)


def test_a_scribble_that_would_take_for_ever_to_repair_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    scribble = (rng.random((3000, 2)) * 10_000).tolist()
    with pytest.raises(InvalidInputError, match="object 1 crosses itself more than 500,000 times"):
        read(tmp_path, feature({"type": "Polygon", "coordinates": [scribble]}))
    (item,) = read(tmp_path, feature({"type": "Polygon", "coordinates": [scribble[:60]]}))
    assert item.repaired
    assert item.outline.is_valid


@pytest.mark.slow
def test_a_long_ragged_outline_is_repaired(tmp_path):
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 50_000, endpoint=False)
    radius = 10_000 + rng.normal(0, 0.5, 50_000)
    ring = np.stack([np.cos(angle + rng.normal(0, 4e-5, 50_000)) * radius, np.sin(angle) * radius], axis=1)
    (item,) = read(tmp_path, feature({"type": "Polygon", "coordinates": [ring.tolist()]}))
    assert item.repaired
    assert item.outline.area == pytest.approx(np.pi * 1e8, rel=1e-3)


def test_bombs_and_broken_archives(tmp_path, monkeypatch):
    with pytest.raises(MissingInputError, match="does not exist"):
        read_annotations(tmp_path / "none.geojson")
    with pytest.raises(MissingInputError, match="is not a file"):
        read_annotations(tmp_path)
    monkeypatch.setattr(annotation_files, "MAX_BYTES", 10_000)
    bomb = b"[" + b" " * 100_000 + b"]"
    (tmp_path / "plain.json").write_bytes(bomb)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bomb))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", bomb)
    for name in ("plain.json", "bomb.gz", "bomb.zip"):
        with pytest.raises(UnsafeFileError, match="more than 10,000 bytes"):
            read_annotations(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.json", "[]")
        archive.writestr("b.json", "[]")
    with pytest.raises(InvalidInputError, match="archive with 2 annotation files"):
        read_annotations(tmp_path / "two.zip")
    whole = gzip.compress(json.dumps(list(range(300))).encode())
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.zip").write_bytes((tmp_path / "two.zip").read_bytes()[:50])
    (tmp_path / "damaged.gz").write_bytes(whole[:12] + b"\xff" * 20)
    for name in ("cut.gz", "cut.zip", "damaged.gz"):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            read_annotations(tmp_path / name)


@pytest.mark.real
def test_real_exports_are_read_whole(shared_data):
    counts = {}
    for path in sorted((shared_data / "qupath").glob("*.geojson")):
        raw = json.loads(path.read_text(encoding="utf-8"))["features"]
        items = read_annotations(path)
        counts[path.stem] = len(items)
        assert [item.class_name for item in items] == [one["properties"]["classification"]["name"] for one in raw]
        for item, one in zip(items, raw, strict=True):
            assert not item.repaired
            assert item.outline.area == pytest.approx(shapely.geometry.shape(one["geometry"]).area)
    assert counts == {"TPATH038": 15, "TPATH085": 24, "TPATH088": 17}
