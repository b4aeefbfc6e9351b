"""glomseg compare, every flag once."""

import json

import pytest

CPU = ("--device", "cpu", "--precision", "32-true")


@pytest.fixture
def evaluations(tiny_model, tiny_dataset, tmp_path, glomseg):
    """Two evaluations of the same model, of which one counts no object."""
    folders = [tmp_path / "all objects", tmp_path / "none"]
    for folder, min_area in zip(folders, (0, 10**6), strict=True):
        words = ["--out", folder, "--min-area", min_area, "--worst", 0, *CPU]
        assert glomseg("evaluate", tiny_model, tiny_dataset, *words)[0] == 0
    return folders


def test_evaluations_are_compared(evaluations, tmp_path, glomseg):
    out = tmp_path / "out"
    code, said, complained = glomseg("compare", *evaluations, "--out", out, "--worst", 2)
    assert (code, complained) == (0, "")
    assert f"A: {evaluations[0]}" in said
    assert f"B: {evaluations[1]}" in said
    assert "glomerulus, 6 groups" in said
    for word in ("recall", "precision", "F1", "PQ", "B - A", "95 % interval", "lowest p", "IoU of pixels"):
        assert word in said
    assert f"Written to {out}" in said
    assert {path.name for path in out.iterdir()} == {"comparison.json", "comparison.csv", "groups.csv", "tiles.csv"}
    assert json.loads((out / "comparison.json").read_text())["verdicts"]["B"][0] in said
    shown = said.partition("where they differ most")[2]
    assert shown.count("SITE_S") in (0, 4)  # two tiles, each with its group; none where the model predicted no object


def test_no_tile_is_shown_where_none_differs(evaluations, tmp_path, glomseg):
    _, said, _ = glomseg("compare", evaluations[0], evaluations[0], "-o", tmp_path / "out")
    assert "where they differ most" not in said


def test_errors_are_1_and_one_line(evaluations, tmp_path, glomseg):
    for words, reason in [
        ((evaluations[0],), "needs 2 to 26 evaluations, not 1"),
        ((evaluations[0], tmp_path), "holds no evaluation.json"),
    ]:
        code, said, complained = glomseg("compare", *words)
        assert (code, said) == (1, "")
        assert reason in complained
        assert complained.count("\n") == 1
