import csv
import json

import numpy as np
import pytest

from glomseg.images import write_png


@pytest.fixture
def masks(tmp_path):
    """Two masks: a disc of 100 pixels across, and two touching squares with a speck."""
    row, column = np.mgrid[:140, :140] - 69.5
    write_png(tmp_path / "masks" / "disc.png", (np.hypot(row, column) < 50).astype(np.uint8))
    mask = np.zeros((120, 200), np.uint8)
    mask[np.hypot(*(np.mgrid[:120, :200] - np.array([60, 60])[:, None, None])) < 40] = 1
    mask[np.hypot(*(np.mgrid[:120, :200] - np.array([60, 130])[:, None, None])) < 40] = 1
    mask[5:8, 5:8] = 1
    write_png(tmp_path / "masks" / "pair.png", mask)
    return tmp_path / "masks"


def table(out):
    with open(out / "objects.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_masks(tmp_path, masks, glomseg):
    code, said, _ = glomseg("measure", masks, "--mpp", 2, "-o", tmp_path / "out")
    assert code == 0
    assert "3 objects on 2 masks" in said
    rows = table(tmp_path / "out")
    assert [row["image"].rsplit("/", 1)[-1] for row in rows] == ["disc.png", "pair.png", "pair.png"]
    assert float(rows[0]["equivalent_diameter_um"]) == pytest.approx(200, rel=0.01)
    names = sorted(path.name for path in (tmp_path / "out" / "geojson").iterdir())
    assert names == ["disc.geojson", "pair.geojson"]


def test_every_setting(tmp_path, masks, glomseg):
    mask = np.full((40, 40), 7, np.uint8)
    mask[10:30, 10:30] = 9
    mask[18:22, 18:22] = 7
    write_png(tmp_path / "odd.png", mask)
    words = ["--classes", "nothing,tuft", "--mask-values", "7,9", "--downsample", 4, "--min-diameter-px", 5]
    words += ["--max-hole-ratio", 0, "--max-neck-ratio", 0, "--object-type", "detection", "--locked"]
    code, said, _ = glomseg("measure", tmp_path / "odd.png", *words, "--out", tmp_path / "out")
    assert code == 0
    assert "px" in said
    (row,) = table(tmp_path / "out")
    assert (row["class"], row["area_px"], row["area_um2"], row["x_px"]) == ("tuft", str((400 - 16) * 16.0), "", "40.0")
    (feature,) = json.loads((tmp_path / "out" / "geojson" / "odd.geojson").read_text())["features"]
    assert (feature["properties"]["objectType"], feature["properties"]["isLocked"]) == ("detection", True)
    glomseg("measure", masks / "pair.png", "--mpp", 2, "--max-neck-ratio", 0, "--out", tmp_path / "joined")
    assert len(table(tmp_path / "joined")) == 1
    glomseg("measure", masks / "pair.png", "--mpp", 2, "--min-diameter", 0, "--out", tmp_path / "all")
    assert len(table(tmp_path / "all")) == 3


def test_a_bad_file_is_named_and_the_rest_goes_on(tmp_path, masks, glomseg):
    (masks / "bad.png").write_bytes(b"no picture")
    code, said, complained = glomseg("measure", masks, "-o", tmp_path / "out")
    assert code == 1
    assert "on 2 masks" in said
    assert "left out" in complained
    assert "bad.png" in complained


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mpp", "-1"], "mpp is -1"),
        (["--downsample", "0"], "downsample is 0"),
        (["--max-neck-ratio", "1"], "max_neck_ratio is 1"),
        (["--mask-values", "a"], "--mask-values 'a'"),
    ],
)
def test_options_that_make_no_sense(tmp_path, masks, glomseg, words, message):
    code, _, complained = glomseg("measure", masks, *words, "-o", tmp_path / "out")
    assert code == 1
    assert message in complained


def test_torch_is_not_needed():
    import subprocess
    import sys

    code = (
        "import sys, glomseg.steps.measure, glomseg.steps.rasterize, glomseg.export.qupath; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
