import pytest

from glomseg.slides.levels import FileFacts, level_downsamples
from glomseg.slides.resolution import decide_mpp, in_um, mpp_from_density


def test_an_objective_power_is_no_mpp():
    mpp, notes = decide_mpp(FileFacts(file_format="aperio", objective_power="20"), given=None)
    assert mpp is None
    assert "its objective is 20x does not tell" in notes[0]


@pytest.mark.parametrize(("mpp", "is_believed"), [(0.04, False), (0.05, True), (20.0, True), (21.0, False)])
def test_only_what_a_slide_can_have_is_believed(mpp, is_believed):
    facts = FileFacts(file_format="TIFF", mpp_xy=(mpp, mpp), mpp_source="resolution tags")
    decided, notes = decide_mpp(facts, given=None)
    assert decided == (pytest.approx(mpp) if is_believed else None)
    assert bool(notes) != is_believed


@pytest.mark.parametrize(("unit", "um"), [("nm", 0.002), ("\u00b5m", 2), ("\u03bcm", 2), ("mm", 2000), ("inch", 50800)])
def test_lengths_in_micrometres(unit, um):
    assert in_um(2, unit) == pytest.approx(um)


def test_a_pixel_is_no_length():
    assert in_um(2, "pixel") is None


@pytest.mark.parametrize("density", [(0, 1), (1, -1), (float("inf"), 1), (float("nan"), 1)])
def test_a_density_that_is_none_gives_nothing(density):
    assert mpp_from_density(*density, "cm") is None


def test_a_density_by_hand():
    assert mpp_from_density(40_000, 20_000, "cm") == (0.25, 0.5)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (((4443, 3567), (2221, 1783)), (2.0, 2.0)),  # rounded down
        (((4443, 3567), (2222, 1784)), (2.0, 2.0)),  # rounded up
        (((1000, 1000), (400, 400)), (2.5, 2.5)),
        (((1000, 900), (501, 450)), (1000 / 501, 2.0)),  # 501 is no rounding of 500
    ],
)
def test_downsamplings_are_whole_where_rounding_explains_the_size(sizes, expected):
    assert level_downsamples(sizes)[1] == expected
