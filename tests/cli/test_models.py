"""The command that lists models and known weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from glomseg.cli.main import main
from glomseg.cli.models import PURPOSES
from glomseg.models.build import ARCHITECTURES, build_model
from glomseg.models.known_weights import KNOWN_WEIGHTS
from glomseg.models.profile import count_macs, count_parameters


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLOMSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Leave three architectures, since following all of them takes many seconds."""
    kept = {name: PURPOSES[name] for name in ("fpn_resnet_small", "pspnet_r50", "segformer_mit_b0")}
    monkeypatch.setattr("glomseg.cli.models.PURPOSES", kept)
    return kept


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    printed = capsys.readouterr()
    return int(stopped.value.code or 0), printed.out, printed.err


def test_it_shows_every_architecture_and_all_known_weights(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, complained = run(["models"], capsys)
    assert code == 0
    for name in (*ARCHITECTURES, *KNOWN_WEIGHTS, *PURPOSES.values()):
        assert name in said
    assert "glomseg models --size 1024" in said
    assert "GMACs" not in said
    assert complained == ""  # nothing is counted, so there is no bar
    assert said.count("non-commercial") == len(KNOWN_WEIGHTS)
    assert f"cache folder: {cache}" in said
    assert not cache.exists()


def test_the_list_needs_no_torch() -> None:
    program = "import sys; from glomseg.cli.models import models; models(); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("few")
def test_a_size_counts_parameters_and_work(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(["models", "--size", "64"], capsys)
    assert code == 0
    assert "48,962,404" in said  # parameters of PSPNet R50 with two classes
    assert "on an image of 64 x 64" in said
    assert "--size 1024" not in said


def test_every_architecture_says_what_it_is_for() -> None:
    assert list(PURPOSES) == list(ARCHITECTURES)


def test_it_says_where_cached_weights_are(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cache / KNOWN_WEIGHTS["pspnet_r50_cityscapes"].file_name
    path.parent.mkdir()
    path.touch()
    assert str(path) in run(["models"], capsys)[1]


def test_json_holds_the_same_for_programs(cache: Path, few: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(["models", "--size", "64", "--json"], capsys)
    assert code == 0
    listed = json.loads(said)
    assert listed["size_px"] == 64
    assert listed["cache"] == str(cache)
    assert [item["name"] for item in listed["architectures"]] == list(few)
    small, *_ = listed["architectures"]
    network = build_model(small["name"], n_classes=2)
    assert small["n_parameters"] == count_parameters(network)
    assert small["n_macs"] == count_macs(network, height=64, width=64)
    plain = json.loads(run(["models", "--json"], capsys)[1])
    assert plain["size_px"] is None
    assert {item["n_macs"] for item in plain["architectures"]} == {None}
    assert [(item["name"], item["cached_path"]) for item in listed["weights"]] == [
        (name, None) for name in KNOWN_WEIGHTS
    ]


def test_a_size_that_is_none_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = run(["models", "--size", "0"], capsys)
    assert code == 1
    assert "give a positive size" in error


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(["models", "--help"], capsys)
    assert code == 0
    assert "--size" in said
    assert "--json" in said
