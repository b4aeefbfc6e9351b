"""The command that draws a synthetic data set."""

from pathlib import Path

import pytest

from glomseg.cli.main import main

QUICK = ["--slides", "1", "--tiles", "2", "--size", "64", "--mpp", "4", "--workers", "1"]


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    printed = capsys.readouterr()
    return int(stopped.value.code or 0), printed.out, printed.err


def test_it_draws_says_so_and_names_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my set"
    code, said, _ = run(["synth", str(out), *QUICK, "--foreground-share", "1", "--seed", "3"], capsys)
    assert code == 0
    assert "2 tiles of 64 x 64 pixels at 4 um per pixel, 2 a slide: " in said
    assert f"glomseg inspect '{out}'" in said
    assert len(list((out / "images").iterdir())) == len(list((out / "masks").iterdir())) == 2


def test_other_settings_in_the_folder_exit_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["synth", str(tmp_path), *QUICK], capsys)
    code, _, error = run(["synth", "-o", str(tmp_path), *QUICK, "--seed", "1"], capsys)
    assert code == 1
    assert "other settings" in error


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(["synth", "--help"], capsys)
    assert code == 0
    for flag in ("--slides", "--tiles", "--size", "--mpp", "--foreground-share", "--seed", "--workers"):
        assert flag in said
