import json

import numpy as np
import pytest

from glomseg.images import read_mask_values, write_png


def square(x, y, side, name):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    properties = {} if name is None else {"classification": {"name": name, "color": [0, 0, 0]}}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


@pytest.fixture
def drawn(tmp_path):
    """Writes these objects as a file of QuPath."""

    def write(*features):
        path = tmp_path / "drawn.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
        return path

    return write


def test_onto_a_picture(tmp_path, drawn, glomseg):
    write_png(tmp_path / "slide.png", np.full((60, 80, 3), 255, np.uint8))
    path = drawn(square(8, 8, 16, "Glomerulus"))
    code, said, _ = glomseg("rasterize", path, "--like", tmp_path / "slide.png", "--out", tmp_path / "mask.png")
    assert code == 0
    assert "1 annotation on 80 x 60 pixels, 5.33 % of them foreground" in said
    mask = read_mask_values(tmp_path / "mask.png")
    assert (mask.shape, mask.sum(), mask[8:24, 8:24].min()) == ((60, 80), 256, 1)


def test_every_flag(tmp_path, drawn, glomseg):
    bow_tie = square(60, 0, 8, "Artery")
    bow_tie["geometry"]["coordinates"] = [[[60, 0], [68, 8], [68, 0], [60, 8], [60, 0]]]
    path = drawn(
        square(0, 0, 16, "Normal"),
        square(16, 0, 16, "Sclerotic"),
        square(32, 0, 16, None),
        square(48, 0, 8, "Fold"),
        bow_tie,
        square(900, 0, 8, None),
    )
    words = ["--size", "80,40", "--downsample", 8, "--classes", "background,glomerulus,sclerotic"]
    words += ["--annotation-classes", "Normal=glomerulus,Fold=Ignore*,Artery=background"]
    code, _, complained = glomseg("rasterize", path, *words, "--unclassified", "glomerulus", "-o", tmp_path / "m.png")
    assert code == 0
    assert read_mask_values(tmp_path / "m.png")[0].tolist() == [1, 1, 2, 2, 1, 1, 255, 0, 0, 0]
    assert "1 annotation beyond the image" in complained
    assert "that crossed themselves were repaired" in complained


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--like SLIDE or --size WIDTH,HEIGHT"),
        (["--size", "8,8", "--like", "a.png"], "one of them"),
        (["--size", "8"], "--size '8' is not a width and a height"),
        (["--size", "a,b"], "--size 'a,b' is not a list of whole numbers such as 40000,30000"),
        (["--size", "8,8", "--annotation-classes", "Normal"], "--annotation-classes 'Normal' is not a list such as"),
        (["--size", "8,8"], "annotations have the class 'Normal'"),
        (["--like", "none.svs"], "'none.svs' does not exist"),
        (["--size", "900000,900000"], "give a larger downsample"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(tmp_path, drawn, glomseg, words, message):
    code, _, complained = glomseg("rasterize", drawn(square(0, 0, 4, "Normal")), *words, "-o", tmp_path / "m.png")
    assert code == 1
    assert message in complained
    assert not (tmp_path / "m.png").exists()


def test_only_png_holds_class_indices(tmp_path, drawn, glomseg):
    code, _, complained = glomseg("rasterize", drawn(), "--size", "8,8", "-o", tmp_path / "m.jpg")
    assert code == 1
    assert "should be a .png file" in complained
