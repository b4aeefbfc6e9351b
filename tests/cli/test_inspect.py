import json

import numpy as np
import pytest

from glomseg.cli.main import main
from glomseg.data.split import write_split
from glomseg.images import write_png
from glomseg.types import Split


def run(capsys, *arguments):
    """Return exit code, standard output and standard error of the command."""
    with pytest.raises(SystemExit) as exit_:
        main(["inspect", *map(str, arguments)])
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Four tiles of two slides; the current folder is an empty one beside them."""
    rng = np.random.default_rng(0)
    mask = np.zeros((48, 48), np.uint8)
    mask[10:30, 10:30] = 1
    for name in ("S_1_a", "S_1_b", "S_2_a", "S_2_b"):
        write_png(tmp_path / "tiles" / "images" / f"{name}.png", rng.integers(0, 255, (48, 48, 3), np.uint8))
        write_png(tmp_path / "tiles" / "masks" / f"{name}.png", mask)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "tiles"


def test_a_clean_set(data, tmp_path, capsys):
    code, out, _ = run(capsys, data)
    assert code == 0
    assert "Nothing is wrong with it." in out
    assert "glomerulus" in out
    assert "S_2" in out
    assert "(um)" not in out
    assert (tmp_path / "here" / "tiles-inspection" / "inspection.json").is_file()
    assert "sheet_any.png" in out


def test_every_flag(data, tmp_path, capsys):
    out = tmp_path / "elsewhere"
    flags = ["-o", out, "--opacity", "0.3", "--sheet", "2", "--tile", "S_2_a", "--seed", "3", "--mpp", "0.5"]
    flags += ["--html", tmp_path / "page.html"]
    flags += ["--classes", "background,tuft", "--mask-values", "0,1", "--group-pattern", "^(S_.)"]
    code, text, _ = run(capsys, data, *flags)
    assert code == 0
    assert "diameter of a whole one (um)" in text
    assert "tuft" in text
    assert f"  {tmp_path / 'page.html'}" in text
    assert "tuft" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in out.iterdir()) == [
        "inspection.json", "sheet_any.png", "sheet_foreground.png", "tile.png",
    ]  # fmt: skip


def test_findings_come_with_files_and_fix_and_exit_1(data, capsys):
    for path in (data / "masks").iterdir():
        write_png(path, np.where(np.arange(48 * 48).reshape(48, 48) < 600, 255, 0).astype(np.uint8))
    code, out, _ = run(capsys, data)
    assert code == 1
    assert "1 finding:" in out
    assert "error mask-0-255: " in out
    assert "files: masks/S_1_a.png, masks/S_1_b.png, masks/S_2_a.png and 1 more, in inspection.json" in out
    assert "fix: --mask-values 0,255" in out
    code, out, _ = run(capsys, data, "--mask-values", "0,255")
    assert code == 0
    assert "Nothing is wrong" in out


def test_warnings_alone_exit_0(data, capsys):
    (data / "masks" / "S_9_a.png").write_bytes((data / "masks" / "S_1_a.png").read_bytes())
    code, out, _ = run(capsys, data)
    assert code == 0
    assert "warning mask-without-image" in out


def test_json_and_nothing_else(data, capsys):
    (data / "images" / "S_1_a.png").write_bytes(b"")
    code, out, err = run(capsys, data, "--json")
    record = json.loads(out)
    assert code == 1
    assert err == ""
    assert record["n_images"] == 4
    assert record["findings"][0]["files"] == ["images/S_1_a.png"]


def test_the_split_of_the_data_is_checked_or_the_one_that_is_named(data, tmp_path, capsys):
    clean = Split(train=("S_1_a", "S_1_b"), val=("S_2_a", "S_2_b"))
    leaking = Split(train=("S_1_a",), val=("S_1_b",))
    write_split(data / "splits" / "split.json", leaking)
    code, out, _ = run(capsys, data)
    assert code == 1
    assert "group-in-two-parts" in out
    write_split(tmp_path / "other.json", clean)
    code, out, _ = run(capsys, data, "--split", tmp_path / "other.json")
    assert code == 0
    assert "checked with the split" in out


def test_a_csv(data, tmp_path, capsys):
    (tmp_path / "pairs.csv").write_text("image,mask,slide\ntiles/images/S_1_a.png,tiles/masks/S_1_a.png,one\n")
    code, _, _ = run(capsys, tmp_path / "pairs.csv", "--group-column", "slide")
    assert code == 0
    assert (tmp_path / "here" / "pairs-inspection" / "tile.png").is_file()


def test_names_cannot_steer_the_terminal(data, capsys):
    write_png(data / "masks" / "S_1_\x1b[31m[bold]c\n.png", np.zeros((48, 48), np.uint8))
    _, out, _ = run(capsys, data)
    assert "\x1b[31m" not in out
    assert "S_1_\\x1b[31m[bold]c\\n.png" in out


def test_many_groups_are_cut_short(data, capsys):
    rng = np.random.default_rng(1)
    for number in range(30):
        for tile in "ab":
            name = f"S_{number + 10}_{tile}"
            write_png(data / "images" / f"{name}.png", rng.integers(0, 255, (48, 48, 3), np.uint8))
            write_png(data / "masks" / f"{name}.png", np.zeros((48, 48), np.uint8))
    _, out, _ = run(capsys, data)
    assert "... and 12 more groups, in inspection.json" in out


def test_inside_the_data_folder(data, capsys, monkeypatch):
    monkeypatch.chdir(data)
    code, _, err = run(capsys, ".")
    assert code == 1
    assert "lies in the data set" in err
    assert "--out" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "'gone' does not exist"),
        (["{data}", "--opacity", "2"], "--opacity 2 is not from 0"),
        (["{data}", "--tile", "S_1_x"], "is not a tile of"),
        (["{data}", "--split", "gone.json"], "split file 'gone.json' does not exist"),
        (["{data}", "--mask-values", "0,x"], "is not a list of whole numbers"),
    ],
)
def test_errors_are_one_paragraph(data, capsys, arguments, message):
    code, _, err = run(capsys, *(item.format(data=data) for item in arguments))
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_wrong_usage(capsys):
    assert run(capsys)[0] == 2
