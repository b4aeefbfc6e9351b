"""Comparing evaluations: what is found, what is written, and what is refused."""

import csv
import json
import shutil

import numpy as np
import pytest

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.metrics.comparison import Difference
from glomseg.metrics.evaluation import TileCounts, evaluate_counts
from glomseg.metrics.intervals import Interval
from glomseg.metrics.object_evaluation import measure_objects
from glomseg.metrics.pixels import count_pixels
from glomseg.steps.compare import compare_evaluations, verdict
from glomseg.steps.evaluation.files import write_evaluation
from glomseg.types import GLOMERULUS

N_SLIDES = 8


def write(folder, *, n_missed, mpp=0.5, tolerance=5.0):
    """An evaluation of eight slides of one tile with four squares, of which slide k misses some."""
    target = np.zeros((60, 60), np.uint8)
    for row, column in ((5, 5), (5, 40), (40, 5), (40, 40)):
        target[row : row + 12, column : column + 12] = 1
    tiles = []
    for slide in range(N_SLIDES):
        prediction = target.copy()
        for row, column in ((5, 5), (5, 40), (40, 5))[: n_missed[slide % len(n_missed)]]:
            prediction[row : row + 12, column : column + 12] = 0
        masks = {"target": target, "prediction": prediction, "n_classes": 2}
        objects = measure_objects(**masks, mpp=mpp, tolerance=tolerance)
        tiles.append(TileCounts(name=f"T{slide}", group=f"S{slide}", counts=count_pixels(**masks), objects=objects))
    write_evaluation(
        folder,
        evaluate_counts(tiles, GLOMERULUS),
        circumstances={"glomseg": "0", "mpp": mpp},
        tile_hashes={tile.name: f"image{tile.name}:mask{tile.name}" for tile in tiles},
        mpp=mpp,
        min_area_px=0,
        tolerance=tolerance,
    )
    return folder


@pytest.fixture
def worse(tmp_path):
    return write(tmp_path / "worse", n_missed=(2, 1, 3, 1))


@pytest.fixture
def better(tmp_path):
    return write(tmp_path / "better", n_missed=(1, 0, 1, 0))


def change(folder, edit):
    file = folder / "evaluation.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_better_model_finds_more(worse, better, tmp_path):
    result = compare_evaluations([worse, better], out=tmp_path / "out")
    (comparison,) = result.comparisons
    recall = comparison.objects["glomerulus"]["recall"]
    assert (recall.a, recall.b) == ((32 - 14) / 32, (32 - 4) / 32)
    assert recall.p_value == recall.smallest_p == 2 / 2**8
    assert comparison.groups == tuple(f"S{k}" for k in range(8))
    assert recall.groups[0] == (0.5, 0.75)
    (sentence,) = comparison.verdicts
    low, high = recall.interval.low, recall.interval.high
    assert sentence == f"glomerulus: B finds more: recall +0.31 [{low:+.2f}, {high:+.2f}], over 8 groups"
    assert comparison.pixels["iou 1"].difference == pytest.approx(10 / 32)
    assert [tile.tile for tile in comparison.tiles][:2] == ["T2", "T6"]
    assert comparison.tiles[0].n_wrong_objects == (3, 1)
    assert comparison.tiles[0].n_wrong_pixels == (3 * 144, 144)
    assert result.files == {"A": worse / "evaluation.json", "B": better / "evaluation.json"}


def test_what_is_written(worse, better, tmp_path):
    out = tmp_path / "out"
    compare_evaluations([worse, better, worse], out=out)
    rows = table(out / "comparison.csv")
    assert {row["comparison"] for row in rows} == {"B - A", "C - A"}
    (recall,) = [row for row in rows if (row["figure"], row["comparison"]) == ("recall", "B - A")]
    assert (recall["class"], recall["difference"], recall["n_groups"]) == ("glomerulus", "0.3125", "8")
    assert float(recall["low"]) < 0.3125 < float(recall["high"])
    assert (recall["p_value"], recall["smallest_p"]) == ("0.007812", "0.007812")
    assert {row["class"] for row in rows if row["figure"] == "pixel_iou"} == {"background", "glomerulus"}
    assert {row["class"] for row in rows if row["figure"] == "pixel_mean_iou"} == {""}
    (same,) = [row for row in rows if (row["figure"], row["comparison"]) == ("recall", "C - A")]
    assert (same["difference"], same["p_value"]) == ("0.0", "1.0")
    groups = [row for row in table(out / "groups.csv") if (row["figure"], row["comparison"]) == ("recall", "B - A")]
    assert [row["difference"] for row in groups] == ["0.25", "0.25", "0.5", "0.25"] * 2
    tiles = table(out / "tiles.csv")
    assert tiles[0] == {
        **{"comparison": "B - A", "tile": "T2", "group": "S2"},
        **{"wrong_objects_a": "3", "wrong_objects_b": "1", "wrong_pixels_a": "432", "wrong_pixels_b": "144"},
    }
    written = json.loads((out / "comparison.json").read_text())
    assert written["evaluations"]["B"] == str(better / "evaluation.json")
    assert written["verdicts"]["C"][0].startswith("glomerulus: A and C cannot be told apart: F1 +0.00")
    assert len(written["figures"]) == len(rows)
    assert written["tiles"][0]["tile"] == "T2"


def difference(value, low, high, *, n_groups=9):
    interval = Interval(low=low, high=high, level=0.95, n_groups=n_groups, trustworthy=n_groups >= 6)
    return Difference(a=0.5, b=0.5 + value, difference=value, interval=interval, p_value=0.1, smallest_p=0.1, groups=())


CLEAR, WORSE, UNCLEAR = difference(0.06, 0.02, 0.1), difference(-0.1, -0.2, -0.05), difference(0.01, -0.03, 0.05)


@pytest.mark.parametrize(
    ("recall", "precision", "sentence"),
    [
        (CLEAR, UNCLEAR, "B finds more: recall +0.06 [+0.02, +0.10], over 9 groups"),
        (WORSE, UNCLEAR, "B finds fewer: recall -0.10 [-0.20, -0.05], over 9 groups"),
        (UNCLEAR, CLEAR, "B invents fewer: precision +0.06 [+0.02, +0.10], over 9 groups"),
        (
            CLEAR,
            CLEAR,
            "B finds more: recall +0.06 [+0.02, +0.10] and invents fewer: precision +0.06 [+0.02, +0.10], "
            "over 9 groups",
        ),
        (
            CLEAR,
            WORSE,
            "B finds more: recall +0.06 [+0.02, +0.10], but invents more: precision -0.10 [-0.20, -0.05], "
            "over 9 groups",
        ),
        (UNCLEAR, UNCLEAR, "A and B cannot be told apart: F1 +0.01 [-0.03, +0.05], over 9 groups"),
    ],
)
def test_verdicts(recall, precision, sentence):
    found = {"recall": recall, "precision": precision, "f1": UNCLEAR}
    assert verdict(found, name="glomerulus", letter="B") == f"glomerulus: {sentence}"


def test_verdicts_of_few_groups_and_of_nothing():
    nan = float("nan")
    one, none = difference(0.01, nan, nan, n_groups=1), difference(nan, nan, nan, n_groups=0)
    assert verdict(dict.fromkeys(("recall", "precision", "f1"), one), name="x", letter="C") == (
        "x: A and C cannot be told apart: F1 +0.01, over 1 group; "
        "so few cannot tell how unlike slides are: look at each"
    )
    assert verdict(dict.fromkeys(("recall", "precision", "f1"), none), name="x", letter="B") == (
        "x: none in the truth, and none predicted"
    )


def test_an_evaluation_is_found_in_a_run_folder(worse, better, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(worse, run / "evaluation-test")
    result = compare_evaluations([run, better / "evaluation.json"], out=tmp_path / "out")
    assert result.files["A"] == run / "evaluation-test" / "evaluation.json"
    shutil.copytree(worse, run / "evaluation-val")
    with pytest.raises(
        InvalidInputError, match=r"several evaluations; name one of them: .*evaluation-test.*evaluation-val"
    ):
        compare_evaluations([run, better], out=tmp_path / "out")
    with pytest.raises(MissingInputError, match=r"holds no evaluation.json, .* make one with `glomseg evaluate`"):
        compare_evaluations([tmp_path, better], out=tmp_path / "out")
    with pytest.raises(MissingInputError, match="does not exist"):
        compare_evaluations([tmp_path / "typo", better], out=tmp_path / "out")


def test_a_comparison_needs_two(worse, tmp_path):
    for paths in ([], [worse], [worse] * 27):
        with pytest.raises(InvalidInputError, match=f"needs 2 to 26 evaluations, not {len(paths)}"):
            compare_evaluations(paths, out=tmp_path / "out")


def rename(old, new):
    def edit(content):
        content["tiles"][new] = content["tiles"].pop(old)

    return edit


def set_tile(**fields):
    return lambda content: content["tiles"]["T3"].update(fields)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            rename("T3", "X"),
            "1 of the tiles are only in .*worse.*, the first is 'T3'; evaluate both models on the same part",
        ),
        (lambda c: c["tiles"].pop("T3"), "1 of the tiles are only in .*worse"),
        (lambda c: c["tiles"].update(more=c["tiles"]["T1"]), "1 of the tiles are only in .*better.*'more'"),
        (set_tile(sha256="other:maskT3"), "tile 'T3' had another image file when the other was evaluated"),
        (set_tile(sha256="imageT3:other"), "tile 'T3' had another mask file when the other was evaluated"),
        (
            set_tile(group="S9"),
            "tile 'T3' is of the group 'S3' in one and 'S9' in the other; use the same --group-pattern",
        ),
        (set_tile(confusion_matrix=[[1, 2], [3, 4]]), "tile 'T3' has another truth .* other --mask-values"),
        (lambda c: c.update(mpp=1.0), "mpp is 0.5 in one and 1.0 in the other; evaluate both alike"),
        (lambda c: c["objects"].update(tolerance=2), "tolerance is 5.0 in one and 2.0"),
        (lambda c: c["objects"].update(match_iou=0.3), "match_iou is 0.5 in one and 0.3"),
    ],
)
def test_other_tiles_or_truths_are_refused(worse, better, tmp_path, edit, message):
    change(better, edit)
    with pytest.raises(InvalidInputError, match=f"cannot be compared: .*{message}|cannot be compared: {message}"):
        compare_evaluations([worse, better], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_classes_are_refused(worse, better, tmp_path):
    text = (better / "evaluation.json").read_text().replace('"glomerulus"', '"nucleus"')
    (better / "evaluation.json").write_text(text)
    with pytest.raises(InvalidInputError, match="their classes are background, glomerulus and background, nucleus"):
        compare_evaluations([worse, better], out=tmp_path / "out")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("objects"), "was written by glomseg 0, which counted no objects .* evaluate the model again"),
        (lambda c: c.pop("tiles"), "is damaged: tiles: Field required"),
        (lambda c: c["tiles"]["T1"].pop("sha256"), "is damaged: tiles.T1.sha256: Field required"),
        (lambda c: c["tiles"].clear(), "has no tile"),
        (lambda c: c["tiles"]["T1"].update(confusion_matrix=[[1]]), r"the shape \(1, 1\), but there are 2 classes"),
        (lambda c: c["tiles"]["T1"].update(confusion_matrix=[[1, 2], [3, -4]]), "smallest is -4"),
        (lambda c: c["tiles"]["T1"].update(confusion_matrix=[[1, 2], [3]]), "is damaged"),
        (lambda c: c["tiles"]["T1"]["objects"].clear(), "is damaged: it lacks 'glomerulus'"),
        (lambda c: c["tiles"]["T1"]["objects"]["glomerulus"].update(n_found="many"), "is damaged: n_found"),
        (lambda c: c["tiles"]["T1"]["objects"]["glomerulus"].update(n_of_size=[1]), "not as many numbers"),
    ],
)
def test_damaged_evaluations_are_named(worse, better, tmp_path, edit, message):
    change(better, edit)
    with pytest.raises(InvalidInputError, match=rf"evaluation .*better.*{message}"):
        compare_evaluations([worse, better], out=tmp_path / "out")


@pytest.mark.parametrize("content", ["", "[]", "null", '{"tiles": 3}', "\x00"])
def test_files_that_are_none(worse, tmp_path, content):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(InvalidInputError, match=r"evaluation .*evaluation.json' is (damaged|not valid JSON)"):
        compare_evaluations([worse, tmp_path / "evaluation.json"], out=tmp_path / "out")
