"""The command `glomseg tiles`, and the flags for slides of every command that takes a data set."""

import numpy as np
import pytest
from tests.data.test_slide_dataset import draw_slide, square, write_annotations

from glomseg.cli.main import main
from glomseg.files import read_json
from glomseg.images import read_image


@pytest.fixture
def slides(tmp_path):
    for number in (1, 2):
        draw_slide(tmp_path / "slides" / f"case{number}.tif", mpp=None, seed=number)
        write_annotations(tmp_path / "drawn" / f"case{number}.geojson", square(200, 100, 200, "Sclerotic"))
    return tmp_path


def flags(folder):
    return [
        "--annotations", str(folder / "drawn"), "--slide-mpp", "0.5", "--mpp", "1", "--size", "128",
        "--annotation-classes", "Sclerotic=glomerulus",
    ]  # fmt: skip


def run(*words):
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in words])
    return exit_.value.code


def test_slides_become_tiles(slides, capsys):
    out = slides / "out"
    assert run("tiles", slides / "slides", *flags(slides), "-o", out) == 0
    assert "8 tiles" in capsys.readouterr().out
    assert read_image(out / "images" / "case1_x256_y0.png").shape == (128, 128, 3)
    assert run("tiles", slides / "slides", *flags(slides), "-o", out) == 0
    assert "8 tiles, 8 of them written before" in capsys.readouterr().out


def test_nnunet_with_a_seed(slides):
    out = slides / "out"
    assert run("tiles", slides / "slides", *flags(slides), "-o", out, "--layout", "nnunet", "--seed", "4") == 0
    assert read_json(out / "dataset.json", what="dataset.json")["numTraining"] == 8


def test_a_damaged_tile_fails_the_command(tiny_dataset, tmp_path, capsys):
    (tiny_dataset / "images" / "SITE_S01_T02.png").write_bytes(b"no picture")
    assert run("tiles", tiny_dataset, "-o", tmp_path / "out") == 1
    assert "SITE_S01_T02" in capsys.readouterr().err


def test_slides_go_the_whole_way(slides, capsys):
    """Inspect, split, train and evaluate read straight from the slides."""
    data, options = slides / "slides", flags(slides)
    assert run("inspect", data, *options, "-o", slides / "inspection") == 0
    assert run("split", data, *options, "--val", "0.5", "-o", slides / "splits") == 0
    assert run(
        "train", data, *options, "--split", slides / "splits", "--out", slides / "run", "--device", "cpu",
        *(word for item in ("run.steps=2", "run.val_every=2", "run.batch_size=2", "crop.size_px=64", "run.workers=0")
          for word in ("--set", item)),
    ) == 0  # fmt: skip
    assert run("evaluate", slides / "run", data, *options, "--part", "val", "--out", slides / "evaluation") == 0
    assert "4 of the 4 true objects are cut by a tile's border" in capsys.readouterr().err
    other = [word if word != "128" else "256" for word in options]
    assert run("evaluate", slides / "run", data, *other, "--part", "val", "--out", slides / "other") == 1
    assert "made with tiles of another --size or --mpp" in capsys.readouterr().err
    record = read_json(slides / "evaluation" / "evaluation.json", what="evaluation")
    assert record["n_tiles"] == 4
    assert record["n_groups"] == 1
    assert np.sum(record["confusion_matrix"]) == 4 * 128 * 128


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--size", "128"], "--size is for whole slides"),
        (["--slide-mpp", "0.5"], "--slide-mpp is for whole slides"),
        (["--annotation-classes", "A=B"], "--annotation-classes is for whole slides"),
    ],
)
def test_flags_of_slides_need_annotations(tiny_dataset, tmp_path, capsys, words, answer):
    assert run("tiles", tiny_dataset, *words, "-o", tmp_path / "out") == 1
    assert answer in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--mask-values", "0,255"], "are for tiles"),
        (["--group-column", "case"], "are for tiles"),
        (["--annotation-classes", "Sclerotic"], "is not a list such as"),
    ],
)
def test_flags_of_tiles_are_refused_for_slides(slides, capsys, words, answer):
    code = run("tiles", slides / "slides", "--annotations", slides / "drawn", *words, "-o", slides / "out")
    assert code == 1
    assert answer in capsys.readouterr().err
