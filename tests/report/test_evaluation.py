"""The page on an evaluation: what it says, in words and tables."""

import json

import pytest

from glomseg.errors import InvalidInputError
from glomseg.report.evaluation import EvaluationContents, summary, write_evaluation_page
from glomseg.report.objects import object_kinds, object_sentences, object_tables
from glomseg.report.records import record_of
from glomseg.report.tables import group_table, matrix_rows, pixel_table


@pytest.fixture
def record(evaluation_folder):
    return json.loads((evaluation_folder / "evaluation.json").read_text())


def written(tmp_path, record, **contents):
    path = tmp_path / "page.html"
    write_evaluation_page(path, EvaluationContents(record=record, **contents), key="k")
    return path.read_text(encoding="utf-8")


def test_the_sentences_say_what_was_found(record):
    (sentence,) = summary(record)
    assert sentence.startswith("On 5 tiles of 2 groups (the part “test”) the model drew glomerulus with an IoU of ")
    iou = record["figures"]["iou"]["glomerulus"]
    assert f"{100 * iou:.1f} % (95 % interval " in sentence
    assert object_sentences(record) == [
        "glomerulus: of 4 objects 1 found and 3 missed; 2 more invented (F1 28.6 %, 95 % interval 10.0 to 60.0 %)."
    ]


def test_what_is_not_there_is_said(record):
    for key in ("iou", "recall", "precision"):
        record["figures"][key]["glomerulus"] = None
    assert summary(record) == [
        "On 5 tiles of 2 groups (the part “test”) there is no glomerulus, and none was predicted."
    ]
    record["figures"]["iou"]["glomerulus"] = 0.0
    record["intervals"]["iou"]["glomerulus"] = None
    (sentence,) = summary({**record, "part": "all"})
    assert sentence.endswith(
        "(all tiles) the model drew glomerulus with an IoU of 0.0 %: none of it is there, and none was predicted."
    )


def test_tables_hold_the_figures_and_their_intervals(record):
    background, glomerulus, mean = pixel_table(record).rows
    assert glomerulus[1].value == record["figures"]["iou"]["glomerulus"]
    low, high = record["intervals"]["iou"]["glomerulus"]
    assert glomerulus[2].text == f"{100 * low:.1f} to {100 * high:.1f}"
    assert (background[0], mean[0]) == ("background", "mean of the classes")
    counts, figures = object_tables(record)
    assert [cell.text for cell in counts.rows[0][1:]] == ["4", "3", "1", "3", "2", "1", "0"]
    assert [(row[0], row[1].text) for row in figures.rows] == [
        ("F1", "28.6"),
        ("Hausdorff distance, 95 % (px)", "4.50"),
    ]
    groups = group_table(record)
    assert [cell.text for cell in groups.rows[0][-3:]] == ["4", "1", "28.6"]
    assert groups.head[-3:] == ("objects", "found", "F1")


def test_an_evaluation_without_objects_has_none(record):
    del record["objects"]
    assert object_tables(record) == []
    assert object_sentences(record) == []


def test_a_share_that_is_not_all_is_not_said_to_be(record):
    record["confusion_matrix"] = [[99999, 1], [0, 0]]
    first, second = matrix_rows(record)
    assert [cell["share"] for cell in first["cells"]] == ["99.9 %", "0.1 %"]
    assert [cell["share"] for cell in second["cells"]] == ["-", "-"]


@pytest.mark.parametrize(
    ("counts", "kinds"),
    [
        ({}, ("clean",)),
        ({"n_missed": 2}, ("missed",)),
        ({"n_invented": 1, "n_merges": 1}, ("invented", "merged")),
        ({"n_splits": 1}, ("split",)),
    ],
)
def test_tiles_are_called_by_what_happened_to_their_objects(counts, kinds):
    nothing = dict.fromkeys(("n_missed", "n_invented", "n_merges", "n_splits"), 0)
    assert object_kinds({"objects": {"a": nothing, "b": {**nothing, **counts}}}) == kinds


def test_pixels_say_what_happened_where_objects_were_not_counted(record, tmp_path):
    del record["objects"]
    for tile in record["tiles"].values():
        del tile["objects"]
    for group in record["groups"].values():
        del group["objects"]
    page = written(tmp_path, record)
    for words in ("all missed (1)", "invented, nothing there (1)", "empty, left empty (1)"):
        assert words in page


def test_curves_are_drawn_where_there_are_any(record, tmp_path):
    rows = [{"event": "train", "step": 5, "loss": 0.5}, {"event": "val", "step": 5, "iou": {"glomerulus": 0.3}}]
    assert "Training loss" in written(tmp_path, record, training=rows)
    assert "Training loss" not in written(tmp_path, record)
    assert "Training loss" not in written(tmp_path, record, training=[{"step": 1, "loss": None}, {"step": 2}])


def test_settings_are_lines_of_words_and_values():
    values = {"a": {"b": 0.5, "c": [1, 2]}, "d": None, "e": True, "f": ["x", "y"], "g": list(range(99)), "left": 1}
    assert record_of("t", values, without=("left",)).rows == (
        *(("a.b", "0.5"), ("a.c", "1, 2"), ("d", "-"), ("e", "yes"), ("f", "x y"), ("g", "99 values")),
    )


@pytest.mark.parametrize("missing", ["figures", "tiles", "classes", "confusion_matrix", "notes"])
def test_a_record_that_lacks_something_is_refused(record, tmp_path, missing):
    del record[missing]
    with pytest.raises(InvalidInputError, match=f"damaged or of another version .*{missing}.*glomseg evaluate"):
        written(tmp_path, record)
    assert not (tmp_path / "page.html").exists()
