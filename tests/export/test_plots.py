import threading

import numpy as np
import pytest
from PIL import Image

from glomseg.errors import InvalidInputError, OutputError
from glomseg.export import lettering, plots
from glomseg.export.plots import save_confusion_matrix, save_training_curves
from glomseg.metrics.pixels import PixelCounts
from glomseg.types import GLOMERULUS, Classes


@pytest.fixture
def figures(monkeypatch):
    """The figures that were saved, to look into."""
    saved = []
    save = plots._save

    def record(figure, path):
        save(figure, path)
        saved.append(figure)

    monkeypatch.setattr(plots, "_save", record)
    return saved


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_pdf_and_png_are_written_beside_each_other(tmp_path):
    counts = PixelCounts(matrix=np.array([[90, 10], [1, 3]]))
    paths = save_confusion_matrix(tmp_path / "new" / "run.v2", counts, GLOMERULUS)
    assert paths == (tmp_path / "new" / "run.v2.pdf", tmp_path / "new" / "run.v2.png")
    assert paths[0].read_bytes().startswith(b"%PDF-")
    with Image.open(paths[1]) as image:
        assert min(image.size) > 300
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["run.v2.pdf", "run.v2.png"]


def test_cells_show_row_shares_and_counts_with_truth_in_rows(tmp_path, figures):
    save_confusion_matrix(tmp_path / "m", PixelCounts(matrix=np.array([[9000, 1000], [1, 3]])), GLOMERULUS)
    axis = figures[0].axes[0]
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("truth", "prediction")
    assert texts(figures[0]) == ["90.0%", "9,000", "10.0%", "1,000", "25.0%", "1", "75.0%", "3"]
    place = {text.get_text(): text.get_position() for text in axis.texts}
    assert place["1,000"][0] == 1  # predicted glomerulus: second column
    assert round(place["1,000"][1]) == 0  # truly background: first row
    assert axis.yaxis_inverted()  # the first row is on top
    assert [label.get_text() for label in axis.get_yticklabels()] == list(GLOMERULUS.names)


def test_rows_without_truth_say_so(tmp_path, figures):
    save_confusion_matrix(tmp_path / "m", PixelCounts(matrix=np.array([[5, 5], [0, 0]])), GLOMERULUS)
    assert texts(figures[0]) == ["50.0%", "5", "50.0%", "5", "no pixels"]
    save_confusion_matrix(tmp_path / "m", PixelCounts.zero(2), GLOMERULUS)
    assert texts(figures[2]) == ["no pixels", "no pixels"]


def test_shares_are_rounded_to_nothing_and_to_everything_only_where_that_is_so(tmp_path, figures):
    counts = PixelCounts(matrix=np.array([[1_000_000, 1], [0, 7]]))
    save_confusion_matrix(tmp_path / "m", counts, GLOMERULUS)
    assert texts(figures[0])[::2] == [">99.9%", "<0.1%", "0%", "100%"]


@pytest.mark.parametrize("n_classes", [2, 7, 20])
def test_hostile_names_in_any_number(tmp_path, n_classes, monkeypatch):
    monkeypatch.setattr(lettering, "_system_fonts", tuple)
    hostile = ["$\\frac{1}$", "肾小球", "a name that is far too long " * 4, "line\nbreak", "100 %_^&", ""]
    names = (hostile + [f"class {index}" for index in range(20)])[:n_classes]
    matrix = np.arange(n_classes**2).reshape(n_classes, n_classes) * 12345
    for path in save_confusion_matrix(tmp_path / "m", PixelCounts(matrix=matrix), Classes.of(names)):
        assert path.stat().st_size > 1000


@pytest.mark.parametrize("n_classes", [2, 5, 20])
def test_text_stays_within_its_cell(n_classes):
    matrix = np.full((n_classes, n_classes), 987_654_321)
    figure = plots._confusion_figure(matrix, [f"c{index}" for index in range(n_classes)])
    figure.draw_without_rendering()
    axis = figure.axes[0]
    cell = axis.transData.transform((1, 0))[0] - axis.transData.transform((0, 0))[0]
    assert all(text.get_window_extent().width < cell for text in axis.texts)


def test_the_same_counts_give_the_same_files(tmp_path):
    counts = PixelCounts(matrix=np.array([[90, 10], [1, 3]]))
    first, second = (save_confusion_matrix(tmp_path / name, counts, GLOMERULUS) for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_drawing_works_outside_the_main_thread_and_leaves_pyplot_alone(tmp_path):
    import sys

    worker = threading.Thread(target=save_confusion_matrix, args=(tmp_path / "m", PixelCounts.zero(2), GLOMERULUS))
    worker.start()
    worker.join()
    assert (tmp_path / "m.pdf").exists()
    assert "matplotlib.pyplot" not in sys.modules


def test_names_must_fit_the_counts(tmp_path):
    with pytest.raises(InvalidInputError, match="of 3 classes cannot be labelled with 2 names"):
        save_confusion_matrix(tmp_path / "m", PixelCounts.zero(3), GLOMERULUS)


def test_a_place_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        save_confusion_matrix(tmp_path / "file" / "m", PixelCounts.zero(2), GLOMERULUS)
    with pytest.raises(OutputError, match="cannot write"):
        save_training_curves(tmp_path / "file" / "curves.png", [])


ROWS = [
    {"step": 10, "loss": 0.9, "lr": 0.01},
    {"step": 20, "loss": 0.5, "lr": 0.008},
    {"step": 20, "mean_iou": 0.4, "iou/glomerulus": None},
    {"step": 30, "loss": 0.05, "lr": 0.006},
    {"step": 40, "loss": 0.04, "lr": 0.004},
    {"step": 40, "mean_iou": 0.7, "iou/glomerulus": 0.5, "note": "text", "done": True},
    {"step": 60, "mean_iou": 0.6, "iou/glomerulus": float("nan")},
]


def test_curves_have_a_panel_for_loss_validation_and_rate(tmp_path, figures):
    save_training_curves(tmp_path / "curves.png", ROWS, kept_step=60)
    loss, validation, rate = figures[0].axes
    assert loss.lines[0].get_xydata().tolist() == [[10, 0.9], [20, 0.5], [30, 0.05], [40, 0.04]]
    assert loss.get_yscale() == "log"
    assert rate.get_ylabel() == "learning rate"
    assert rate.get_xlabel() == "step"
    labels = [text.get_text() for text in validation.get_legend().get_texts()]
    assert labels == ["mean_iou (0.6 at the kept step 60)", "iou/glomerulus"]
    stars = [line.get_xydata().tolist() for line in validation.lines if line.get_marker() == "*"]
    assert stars == [[[60, 0.6]]]
    assert validation.lines[-1].get_xydata().tolist() == [[40, 0.5]]
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"


def test_only_the_figures_asked_for_are_drawn(tmp_path, figures):
    save_training_curves(tmp_path / "curves.png", ROWS, metrics=["iou/glomerulus", "never_seen"])
    labels = [text.get_text() for text in figures[0].axes[1].get_legend().get_texts()]
    assert labels == ["iou/glomerulus"]


def test_every_figure_is_marked_at_the_kept_step_and_none_without_it(tmp_path, figures):
    for kept_step in (40, None, 41):
        save_training_curves(tmp_path / "curves.png", ROWS, kept_step=kept_step)
    stars = [
        [line.get_xydata().tolist() for line in figure.axes[1].lines if line.get_marker() == "*"] for figure in figures
    ]
    assert stars == [[[[40, 0.7]], [[40, 0.5]]], [], []]
    assert all(line.get_marker() != "*" for axis in (figures[0].axes[0], figures[0].axes[2]) for line in axis.lines)


@pytest.mark.parametrize("rows", [[], [{"step": 1}], [{"step": 1, "loss": None, "mean_iou": float("nan")}]])
def test_curves_of_nothing_say_so(tmp_path, figures, rows):
    save_training_curves(tmp_path / "curves.png", rows)
    assert texts(figures[0]) == ["nothing was recorded yet"]


@pytest.mark.parametrize("loss", [0.0, -1.0, 3.0])
def test_curves_of_one_point(tmp_path, loss):
    save_training_curves(tmp_path / "curves.png", [{"step": 1, "loss": loss, "lr": 0.1, "iou/肾小球": 0.5}])
    assert (tmp_path / "curves.png").exists()


def test_a_row_without_step(tmp_path):
    with pytest.raises(InvalidInputError, match="has no step"):
        save_training_curves(tmp_path / "curves.png", [{"loss": 1.0}])
