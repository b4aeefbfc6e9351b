import numpy as np
import pytest

from glomseg.errors import OutputError
from glomseg.export.pyramid import write_pyramid
from glomseg.images import read_image
from glomseg.steps.describe_slides import describe_slides


@pytest.fixture
def slide(tmp_path):
    picture = np.full((800, 1200, 3), 243, np.uint8)
    picture[200:600, 200:600] = (190, 110, 170)
    write_pyramid(tmp_path / "case.tif", picture, mpp=1.0)
    return tmp_path / "case.tif"


def test_a_slide_is_described_and_drawn(slide, tmp_path):
    result = describe_slides([slide], out=tmp_path / "out")
    (item,) = result.slides
    assert item.path == slide
    assert item.file_format == "TIFF"
    assert item.size_px == (1200, 800)
    assert item.level_sizes_px == ((1200, 800), (600, 400), (300, 200))
    assert item.mpp == pytest.approx(1.0)
    assert item.tissue_mm2 == pytest.approx(0.16, rel=0.1)
    assert item.tissue_share == pytest.approx(1 / 6, rel=0.1)
    assert item.notes == ()
    thumbnail = read_image(item.thumbnail)
    assert thumbnail.shape == (800, 1200, 3)
    assert (thumbnail == (0, 140, 60)).all(axis=2).any()  # the outline
    assert np.abs(thumbnail[400, 400].astype(int) - (190, 110, 170)).max() <= 4


def test_a_bad_file_is_named_and_the_rest_goes_on(slide, tmp_path):
    bad = tmp_path / "bad.svs"
    bad.write_text("no slide")
    result = describe_slides([bad, slide, tmp_path / "gone.svs"], mpp=0.5)
    assert [item.path for item in result.slides] == [slide]
    assert result.slides[0].mpp == 0.5
    assert "is used" in result.slides[0].notes[0]
    assert result.slides[0].thumbnail is None
    assert "in no format" in result.failed[bad]
    assert "does not exist" in result.failed[tmp_path / "gone.svs"]


def test_slides_of_the_same_name_get_pictures_of_their_own(slide, tmp_path):
    result = describe_slides([slide, slide], out=tmp_path / "out")
    assert [item.thumbnail.name for item in result.slides] == ["case.png", "case_2.png"]


def test_a_folder_that_cannot_be_written_is_an_error(slide):
    with pytest.raises(OutputError, match="cannot write"):
        describe_slides([slide], out=slide / "out")
