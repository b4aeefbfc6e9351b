"""The report step: from an evaluation's folder to one file."""

import json
import re
import shutil

import pytest

from glomseg.data.dataset import open_dataset
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import sha256_of
from glomseg.steps.evaluate import evaluate_model
from glomseg.steps.report import write_report


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, tiny_model):
    """A folder with a data set of four tiles and its evaluation."""
    import numpy as np

    from glomseg.images import write_png

    root = tmp_path_factory.mktemp("evaluated")
    rng = np.random.default_rng(1)
    for number in range(4):
        mask = np.zeros((64, 64), np.uint8)
        mask[10 : 20 + 10 * number, 10:40] = 1
        write_png(
            root / "data" / "images" / f"A_S{number // 2}_T{number}.png", rng.integers(0, 255, (64, 64, 3), np.uint8)
        )
        write_png(root / "data" / "masks" / f"A_S{number // 2}_T{number}.png", mask)
    dataset = open_dataset(root / "data")
    evaluate_model(
        tiny_model, dataset, out=root / "run" / "evaluation-val", n_worst=0, device="cpu", precision="32-true"
    )
    return root


@pytest.fixture
def folder(evaluated, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(evaluated, tmp_path / "copy")
    return tmp_path / "copy"


def page_data(path):
    (data,) = re.findall(r'id="page-data">(.*?)</script>', path.read_text(encoding="utf-8"))
    return json.loads(data)


def test_a_page_holds_every_tile_with_its_picture(evaluated, tmp_path):
    result = write_report(evaluated / "run" / "evaluation-val", out=tmp_path / "r.html")
    assert (result.n_tiles, result.n_pictures, result.notes, result.failed) == (4, 4, (), {})
    page = page_data(result.path)
    assert [tile["name"] for tile in page["tiles"]] == ["A_S0_T0", "A_S0_T1", "A_S1_T2", "A_S1_T3"]
    assert all(tile["image"].startswith("data:image/webp;base64,") and tile["masks"] for tile in page["tiles"])
    assert page["groups"] == ["A_S0", "A_S1"]
    assert all(0 <= tile["values"]["doubt"] <= 0.5 for tile in page["tiles"])


def test_the_same_evaluation_gives_the_same_file(evaluated, tmp_path):
    pages = [write_report(evaluated / "run" / "evaluation-val", out=tmp_path / f"{n}.html").path for n in "ab"]
    assert sha256_of(pages[0]) == sha256_of(pages[1])


def test_a_run_folder_stands_for_its_best_evaluation(folder, tmp_path):
    run = folder / "run"
    assert write_report(run, out=tmp_path / "r.html").n_tiles == 4
    test = shutil.copytree(run / "evaluation-val", run / "evaluation-test")
    record = json.loads((test / "evaluation.json").read_text())
    (test / "evaluation.json").write_text(json.dumps({**record, "part": "test"}))
    write_report(run, out=tmp_path / "r.html")
    assert "the part “test”" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_curves_and_settings_of_the_run_are_shown_if_it_is_that_models(folder, tiny_model, tmp_path):
    run, evaluation = folder / "run", folder / "run" / "evaluation-val" / "evaluation.json"
    record = json.loads(evaluation.read_text())
    (run / "manifest.json").write_text('{"seed": 12345}')
    (run / "settings.json").write_text('{"recipe": "mine"}')
    (run / "metrics.jsonl").write_text('{"event": "train", "step": 1, "loss": 2.0}\n')
    shutil.copy(tiny_model, run / "best.safetensors")
    record["model"]["file"] = "run/best.safetensors"
    evaluation.write_text(json.dumps(record))
    write_report(run, out=tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert all(words in page for words in ("<dd>12345</dd>", "mine", "Training loss"))
    (run / "best.safetensors").write_bytes(b"another model")
    write_report(run, out=tmp_path / "r.html")
    assert "<dd>12345</dd>" not in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_data_set_that_moved_is_found_where_one_says(folder, tmp_path):
    moved = tmp_path / "moved"
    path = folder / "run" / "evaluation-val" / "predictions.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "root": str(tmp_path / "gone")}))
    shutil.move(folder / "data", moved)
    lost = write_report(folder / "run", out=tmp_path / "r.html")
    assert (lost.n_pictures, len(lost.failed)) == (0, 4)
    assert "4 tiles cannot be shown; the first, A_S0_T0: mask" in lost.notes[0]
    found = write_report(folder / "run", out=tmp_path / "r.html", data=moved)
    assert (found.n_pictures, found.notes) == (4, ())


def test_only_the_worst_are_shown_where_there_are_many(evaluated, tmp_path):
    result = write_report(evaluated / "run", out=tmp_path / "r.html", max_pictures=1)
    assert result.notes == ("Pictures of the 1 tile with the most wrong pixels; 3 more are listed without.",)
    tiles = page_data(result.path)["tiles"]
    (shown,) = [tile for tile in tiles if tile["image"]]
    assert shown["values"]["error"] == max(tile["values"]["error"] for tile in tiles)
    with pytest.raises(InvalidInputError, match="--pictures -1 is below zero"):
        write_report(evaluated / "run", out=tmp_path / "r.html", max_pictures=-1)


def test_an_evaluation_without_predictions_is_shown_without_tiles(folder, tmp_path):
    (folder / "run" / "evaluation-val" / "predictions.json").unlink()
    result = write_report(folder / "run", out=tmp_path / "r.html")
    assert result.n_pictures == 0
    assert "kept no predictions" in result.notes[0]


def test_what_is_no_evaluation_is_refused(folder, tmp_path):
    with pytest.raises(MissingInputError, match="not a folder"):
        write_report(tmp_path / "nowhere", out=tmp_path / "r.html")
    with pytest.raises(MissingInputError, match=r"there is no evaluation in .*`glomseg evaluate "):
        write_report(folder / "data", out=tmp_path / "r.html")
    (folder / "run" / "evaluation-val" / "evaluation.json").write_text("[]")
    with pytest.raises(InvalidInputError, match="is not an evaluation"):
        write_report(folder / "run", out=tmp_path / "r.html")


def test_predictions_of_another_evaluation_are_refused(folder, tmp_path):
    path = folder / "run" / "evaluation-val" / "evaluation.json"
    record = json.loads(path.read_text())
    del record["tiles"]["A_S0_T0"]
    path.write_text(json.dumps(record))
    with pytest.raises(InvalidInputError, match=r"do not belong together .*A_S0_T0"):
        write_report(folder / "run", out=tmp_path / "r.html")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("missing", "does not exist"),
        ("outside", "lies outside the evaluation"),
        ("size", "is 8x8 but its tile is 64x64"),
    ],
)
def test_a_spoilt_prediction_costs_one_picture(folder, tmp_path, spoil, words):
    import numpy as np

    from glomseg.images import write_png

    evaluation = folder / "run" / "evaluation-val"
    first = evaluation / "predictions" / "A_S0_T0.png"
    if spoil == "missing":
        first.unlink()
    elif spoil == "size":
        write_png(first, np.zeros((8, 8), np.uint8))
    else:
        text = (evaluation / "predictions.json").read_text()
        (evaluation / "predictions.json").write_text(text.replace("predictions/A_S0_T0.png", "../../secret.png"))
    result = write_report(folder / "run", out=tmp_path / "r.html")
    assert result.n_pictures == 3
    assert words in result.failed["A_S0_T0"]
