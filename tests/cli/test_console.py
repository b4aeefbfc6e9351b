"""What the console makes of hostile words and of programs that read it."""

import io
import json
import sys

import pytest

from glomseg.cli.console import progress_bar, say, say_json, say_warning, show_table

MARKUP = "[red]tile[/red] [/] [link=x]"


def test_markup_in_names_stays_text(capsys):
    say(MARKUP)
    say_warning(MARKUP)
    show_table(MARKUP, [MARKUP], [[MARKUP]])
    said = capsys.readouterr()
    assert said.out.count(MARKUP) == 4
    assert said.err == f"note: {MARKUP}\n"


def test_a_note_of_a_progress_bar_stays_text(capsys):
    with progress_bar("working", unit="tile") as advance:
        advance(1, 2, MARKUP)
        advance(2, 2, MARKUP)
    said = capsys.readouterr()
    assert said.out == ""
    assert "working" in said.err


def test_long_lines_are_not_broken(capsys):
    say("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_a_bar_that_never_moves_is_not_shown(capsys):
    with pytest.raises(ValueError, match="too early"), progress_bar("working", unit="tile"):
        raise ValueError("too early")
    assert capsys.readouterr().err == ""


def test_a_table_of_unnamed_columns_has_no_row_of_names(capsys):
    show_table("t", ["", ""], [["a", "b"]])
    assert len(capsys.readouterr().out.splitlines()) == 4  # title, border, row, border


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_is_valid_in_every_terminal(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    value = {"name": "肾 é 😀 \udcff", "iou": float("nan")}
    say_json(value)
    stream.flush()
    written = stream.buffer.getvalue().decode(encoding)
    assert json.loads(written) == {"name": "肾 é 😀 \udcff", "iou": None}


def test_json_is_readable_where_it_can_be(capsys):
    say_json({"name": "肾"})
    assert "肾" in capsys.readouterr().out
