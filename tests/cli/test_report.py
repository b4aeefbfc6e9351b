"""glomseg report on the command line."""


def test_report_writes_a_page_and_says_where(glomseg, tiny_model, tiny_dataset, tmp_path):
    code, _, _ = glomseg("evaluate", tiny_model, tiny_dataset, "-o", tmp_path / "e", "--worst", 0, "--device", "cpu")
    assert code == 0
    code, said, complained = glomseg("report", tmp_path / "e", "-o", tmp_path / "page.html", "--pictures", 5)
    assert code == 0
    assert said.startswith(f"Written to {tmp_path / 'page.html'} (")
    assert "note: Pictures of the 5 tiles with the most wrong pixels; 7 more are listed without." in complained
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_tiles_that_cannot_be_shown_end_in_1(glomseg, tiny_model, tiny_dataset, tmp_path):
    glomseg("evaluate", tiny_model, tiny_dataset, "-o", tmp_path / "e", "--worst", 0, "--device", "cpu")
    (tmp_path / "empty").mkdir()
    code, _, complained = glomseg("report", tmp_path / "e", "-o", tmp_path / "p.html", "--data", tmp_path / "empty")
    assert code == 1
    assert "12 tiles cannot be shown" in complained


def test_what_has_no_evaluation_is_an_error(glomseg, tmp_path):
    code, _, complained = glomseg("report", tmp_path)
    assert code == 1
    assert "there is no evaluation" in complained
