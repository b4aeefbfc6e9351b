import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glomseg.steps.naming import file_stems


def test_names_are_kept_where_they_can_be():
    names = ["a b", "肾", "[red]<b>", "line\nbreak", "..", ".hidden"]
    assert file_stems(names) == names


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a", "a", "a"], ["a", "a_2", "a_3"]),
        (["a", "a_2", "A"], ["a", "a_2", "A_3"]),  # some file systems do not tell upper from lower case
        (["\u00e9", "e\u0301"], ["\u00e9", "e\u0301_2"]),  # nor two ways to store an accent
        (["x/y", "x_y", "../../etc"], ["x_y", "x_y_2", ".._.._etc"]),
        (["", "\0"], ["_", "__2"]),
    ],
)
def test_names_become_distinct_names_in_one_folder(names, stems):
    assert file_stems(names) == stems


def test_long_names_are_cut_and_stay_distinct():
    stems = file_stems(["肾" * 200 + "1", "肾" * 200 + "2"])
    assert stems == ["肾" * 40, "肾" * 40 + "_2"]


@given(st.lists(st.text()))
def test_any_names_are_distinct_files(names):
    stems = file_stems(names)
    assert len({stem.casefold() for stem in stems}) == len(names)
    assert all("/" not in stem and 0 < len(os.fsencode(stem)) < 140 for stem in stems)
