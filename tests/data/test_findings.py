import pytest

from glomseg.data.findings import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 tiles"), (1, "1 tile"), (1234, "1,234 tiles")])
def test_counted(number, words):
    assert counted(number, "tile") == words


def test_counted_with_a_plural_of_its_own():
    words = ("slide is", "slides are")
    assert (counted(1, *words), counted(2, *words)) == ("1 slide is", "2 slides are")
