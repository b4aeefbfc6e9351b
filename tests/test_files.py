import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from glomseg.errors import InvalidInputError, MissingInputError, OutputError
from glomseg.files import (
    atomic_path,
    make_folder,
    read_json,
    read_text,
    sha256_of,
    write_csv,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="half way"), atomic_path(path) as temporary:
        temporary.write_text("new, but")
        raise RuntimeError("half way")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_in_words(tmp_path):
    with pytest.raises(OutputError, match=r"table\.csv.*disk is full"), atomic_path(tmp_path / "table.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_the_full_disk_of_the_system_is_reported_when_bytes_reach_it(tmp_path, monkeypatch):
    def full(self: Path, data: bytes) -> int:
        with open("/dev/full", "wb", buffering=0) as file:
            return file.write(data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_text(tmp_path / "x.txt", "content")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="choose another output folder"):
        make_folder(tmp_path / "out" / "masks")
    with pytest.raises(OutputError, match="choose another output folder"):
        write_text(tmp_path / "out" / "x.txt", "")


def test_written_files_have_ordinary_permissions(tmp_path):
    write_text(tmp_path / "a.txt", "")
    (tmp_path / "b.txt").write_text("")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_json_has_no_nan_and_reads_back(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": float("nan"), "b": [np.float32(1.5), float("inf")], "c": np.arange(2), "d": Path("p")})
    assert read_json(path, what="file") == {"a": None, "b": [1.5, None], "c": [0, 1], "d": "p"}


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "{'a': 1}"])
def test_wrong_json_names_the_file(tmp_path, content):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=r"split file .*split\.json.* is not valid JSON"):
        read_json(path, what="split file")


def test_reading_text_that_is_none(tmp_path):
    with pytest.raises(MissingInputError, match=r"recipe .*none\.txt"):
        read_text(tmp_path / "none.txt", what="recipe")
    with pytest.raises(MissingInputError, match="not a file"):
        read_text(tmp_path, what="recipe")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        read_text(tmp_path / "b.txt", what="recipe")
    (tmp_path / "c.txt").write_bytes(b"x" * 11)
    with pytest.raises(InvalidInputError, match="11 bytes"):
        read_text(tmp_path / "c.txt", what="recipe", max_bytes=10)


def test_csv_quotes_what_needs_it(tmp_path):
    write_csv(tmp_path / "t.csv", [{"name": 'a,"b"\nc', "n": 1}], columns=["name", "n"])
    assert (tmp_path / "t.csv").read_text() == 'name,n\n"a,""b""\nc",1\n'


def test_sha256(tmp_path):
    (tmp_path / "e").write_bytes(b"")
    assert sha256_of(tmp_path / "e").startswith("e3b0c44298fc1c14")
    with pytest.raises(MissingInputError):
        sha256_of(tmp_path / "none")
    with pytest.raises(InvalidInputError):
        sha256_of(tmp_path)


def test_json_text_keeps_chinese(tmp_path):
    write_json(tmp_path / "x.json", {"名": "肾小球"})
    assert "肾小球" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"名": "肾小球"}
