"""glomseg slide."""

import json

import numpy as np
import pytest

from glomseg.export.pyramid import write_pyramid


@pytest.fixture
def slide(tmp_path):
    picture = np.full((600, 1200, 3), 243, np.uint8)
    picture[100:500, 200:600] = (190, 110, 170)
    write_pyramid(tmp_path / "case.tif", picture, mpp=None)
    return tmp_path / "case.tif"


def test_it_says_what_is_in_a_slide_and_draws_it(slide, tmp_path, glomseg):
    code, said, complained = glomseg("slide", slide, "-o", tmp_path / "out")
    assert code == 0
    for words in ("TIFF", "1,200 x 600", "600 x 300", "not known", "% of the slide"):
        assert words in said
    assert "does not say how many micrometres" in complained
    assert (tmp_path / "out" / "case.png").is_file()


def test_an_mpp_gives_areas(slide, glomseg):
    code, said, _ = glomseg("slide", slide, "--mpp", "1")
    assert code == 0
    assert "mm2" in said
    assert "1.20 x 0.60" in said


def test_json_is_json_and_nothing_else(slide, tmp_path, glomseg):
    code, said, _ = glomseg("slide", slide, tmp_path / "gone.svs", "--json")
    assert code == 1
    record = json.loads(said)
    assert record["slides"][0]["size_px"] == [1200, 600]
    assert "does not exist" in next(iter(record["failed"].values()))


def test_a_bad_file_is_named_at_the_end(slide, tmp_path, glomseg):
    (tmp_path / "bad.svs").write_text("no slide")
    code, said, complained = glomseg("slide", tmp_path / "bad.svs", slide)
    assert code == 1
    assert "1,200 x 600" in said
    assert "left out" in complained
    assert "bad.svs" in complained


def test_no_slide_is_an_error(glomseg):
    code, _, complained = glomseg("slide")
    assert code == 1
    assert "no slide is named" in complained
