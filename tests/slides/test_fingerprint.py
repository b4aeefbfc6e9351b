import os

import pytest

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.slides.fingerprint import slide_fingerprint


def test_it_is_the_contents_not_the_name(tmp_path):
    one, other = tmp_path / "a.svs", tmp_path / "b.svs"
    one.write_bytes(os.urandom(10_000_000))
    other.write_bytes(one.read_bytes())
    assert slide_fingerprint(one) == slide_fingerprint(other)
    assert len(slide_fingerprint(one)) == 64


@pytest.mark.parametrize("n_bytes", [1, 1000, 300_000, 4_000_000])
def test_every_byte_of_a_small_file_counts(tmp_path, n_bytes):
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(n_bytes))
    seen = {slide_fingerprint(path)}
    for place in {0, n_bytes // 3, n_bytes - 1}:
        changed = bytearray(n_bytes)
        changed[place] = 1
        path.write_bytes(changed)
        seen.add(slide_fingerprint(path))
    path.write_bytes(bytes(n_bytes + 1))
    seen.add(slide_fingerprint(path))
    assert len(seen) == 2 + len({0, n_bytes // 3, n_bytes - 1})


def test_the_folder_of_an_mrxs_counts(tmp_path):
    slide = tmp_path / "a.mrxs"
    slide.write_bytes(b"1")
    alone = slide_fingerprint(slide)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0001.dat").write_bytes(b"12")
    assert slide_fingerprint(slide) != alone


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"none\.svs' does not exist"):
        slide_fingerprint(tmp_path / "none.svs")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        slide_fingerprint(tmp_path)
