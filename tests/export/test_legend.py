import numpy as np
import pytest

from glomseg.export import lettering
from glomseg.export.legend import PAPER, Entry, legend_strip, put_legend, text_size_px

RED, BLUE = Entry((250, 10, 20), "red things"), Entry((20, 10, 250), "blue things")


def where(picture, color):
    return (picture == np.array(color, np.uint8)).all(axis=-1)


@pytest.mark.parametrize(("busy_rows", "busy_columns"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_legend_keeps_out_of_busy_quarters(busy_rows, busy_columns):
    picture = np.full((400, 600, 3), 128, np.uint8)
    busy = np.ones((400, 600), bool)
    busy[busy_rows * 200 : busy_rows * 200 + 200, busy_columns * 300 : busy_columns * 300 + 300] = False
    drawn = put_legend(picture, [RED], busy=busy)
    changed = (drawn != picture).any(axis=-1)
    assert changed.any()
    assert not (changed & busy).any()
    assert where(drawn, RED.color).any()


def test_every_entry_has_its_swatch_in_order():
    drawn = put_legend(np.zeros((500, 500, 3), np.uint8), [RED, BLUE], busy=np.zeros((500, 500), bool))
    assert np.argwhere(where(drawn, RED.color))[:, 0].max() < np.argwhere(where(drawn, BLUE.color))[:, 0].min()


@pytest.mark.parametrize("shape", [(1, 1), (20, 200), (200, 20), (30, 30)])
def test_a_small_picture_stays_without_legend(shape):
    picture = np.full((*shape, 3), 7, np.uint8)
    assert np.array_equal(put_legend(picture, [RED, BLUE], busy=np.zeros(shape, bool)), picture)


def test_no_entries_no_legend():
    picture = np.full((500, 500, 3), 7, np.uint8)
    assert np.array_equal(put_legend(picture, [], busy=np.zeros((500, 500), bool)), picture)


def test_the_legend_covers_less_than_a_quarter_even_with_long_names():
    picture = np.full((300, 300, 3), 7, np.uint8)
    drawn = put_legend(picture, [Entry((1, 2, 3), "long " * 50)], busy=np.zeros((300, 300), bool))
    changed = np.argwhere((drawn != picture).any(axis=-1))
    assert len(changed)
    assert np.ptp(changed, axis=0).max() < 150


def test_a_strip_wraps_to_its_width():
    wide, narrow = (legend_strip([RED, BLUE], width=width, size_px=14) for width in (600, 130))
    assert wide.shape[1:] == (600, 3)
    assert narrow.shape[1:] == (130, 3)
    assert narrow.shape[0] > wide.shape[0]
    for strip in (wide, narrow):
        assert where(strip, RED.color).sum() == where(strip, BLUE.color).sum() > 0
        assert where(strip, PAPER)[:, -1].all()


def test_a_strip_narrower_than_its_entries_still_works():
    assert legend_strip([RED, BLUE], width=5, size_px=14).shape[1] == 5


def test_names_without_a_font_are_drawn_as_escapes(monkeypatch):
    monkeypatch.setattr(lettering, "_system_fonts", tuple)
    chinese = legend_strip([Entry((1, 2, 3), "肾")], width=300, size_px=14)
    escaped = legend_strip([Entry((1, 2, 3), r"\u80be")], width=300, size_px=14)
    assert np.array_equal(chinese, escaped)


def test_text_grows_with_the_picture():
    assert text_size_px(64, 64) == 11
    assert text_size_px(1024, 2048) == 27
    assert text_size_px(8192, 8192) > 200
