"""What names tell about slides, and what is said about it."""

import pytest

from glomseg.data.groups import NO_GROUPS, groups_of_names


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("AIDPATH_E_6", "AIDPATH_E"),
        ("SYN_S03_T07", "SYN_S03"),
        ("HOSP2_12_7", "HOSP2_12"),
        ("KID_PAS_12_7", "KID_PAS_12"),
        ("A1_2_3", "A1_2"),
        ("2021-05-03_12", "2021-05-03"),
        ("slide12_7", "slide12"),
        ("slide12_x1024_y2048", "slide12"),
        ("slideA_x1_y2", "slideA"),
        ("slide12_x1y2", "slide12"),
        ("slide12_1024_2048", "slide12"),
        ("slide12-10233-20481", "slide12"),
        ("TCGA-CR-7395 [x=10,y=20]", "TCGA-CR-7395"),
        ("TCGA-CR-7395 [10, 20]", "TCGA-CR-7395"),
        ("a_b_c_d", "a_b_c"),
        ("case1/t1", "case1"),
        ("train/case1/A_1_7", "case1/A_1"),
        ("tile7", None),
        ("tile_7", None),
        ("00ae65c1c6631ae6f2be", None),
        ("S_1_" + "9" * 5000, "S_1"),
        ("", None),
    ],
)
def test_the_slide_in_a_name(name, group):
    groups, grouping = groups_of_names([name])
    assert groups == {name: group or name}
    assert (grouping == NO_GROUPS) is (group is None)


def test_running_numbers_are_a_slide_and_a_tile():
    names = [f"HOSP2_{slide}_{tile}" for slide in (12, 13) for tile in (7, 8)]
    assert groups_of_names(names) == (
        {name: name.rpartition("_")[0] for name in names},
        "name <site>_<slide>_<tile>",
    )


def test_origins_of_tiles_are_coordinates_though_some_are_small():
    names = [f"{slide}_{x}_{y}" for slide in ("P1", "P2") for x in (0, 512) for y in (0, 512)]
    groups, grouping = groups_of_names(names)
    assert set(groups.values()) == {"P1", "P2"}
    assert grouping == "name <slide>_<x>_<y>"


def test_numbers_of_one_site_say_nothing_about_another():
    groups, grouping = groups_of_names(["HOSP2_12_7", "HOSP2_12_8", "slide9_512_1024", "slide9_0_512"])
    assert list(groups.values()) == ["HOSP2_12", "HOSP2_12", "slide9", "slide9"]
    assert grouping == "name <site>_<slide>_<tile> or name <slide>_<x>_<y>"


def test_where_each_slide_would_have_one_tile_the_numbers_are_coordinates():
    groups, grouping = groups_of_names(["P1_1_2", "P1_2_3", "P2_1_1"])
    assert list(groups.values()) == ["P1", "P1", "P2"]
    assert grouping == "name <slide>_<x>_<y>"


def test_slides_of_one_tile_numbered_alike_are_slides():
    groups, grouping = groups_of_names(["A_1_1", "A_2_1"])
    assert list(groups.values()) == ["A_1", "A_2"]
    assert grouping == "name <site>_<slide>_<tile>"


def test_dates_are_no_coordinates():
    names = ["2021-05-03", "2021-05-04"]
    assert groups_of_names(names) == ({name: name for name in names}, NO_GROUPS)


def test_tiles_that_tell_nothing_are_counted():
    groups, grouping = groups_of_names(["A_1_1", "A_1_2", "overview"])
    assert groups["overview"] == "overview"
    assert grouping == ("name <site>_<slide>_<tile>; 1 of 3 tiles are groups of their own, since their names tell none")
