"""The page in a real browser: what a reader can do with it, and what a stranger's file names cannot."""

import csv
import io
import time
from pathlib import Path

import pytest

from glomseg.steps.report import write_report

NAMES = "return [...document.querySelectorAll('.grid .card')].map(card => card.querySelector('.name').textContent)"
PRESSED = "return document.querySelector('#tiles .views [aria-pressed=true]').dataset.view"


@pytest.fixture(scope="module")
def page(evaluation_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "report.html"
    write_report(evaluation_folder, out=path)
    return path


@pytest.fixture
def report(window, page):
    window.open(page)
    window.run("localStorage.clear()")
    window.open(page)
    return window


@pytest.fixture
def names(hostile_names):
    return dict(zip(("found", "missed", "invented", "empty"), hostile_names, strict=True)) | {"merged": "plain"}


def pixel(report, selector, x, y):
    """The colour and opacity (0 to 255 each) that a canvas was painted with at a pixel, once it is painted."""
    return report.wait_for(
        "(([selector, x, y]) => { const canvas = document.querySelector(selector); if (!canvas.width) return null;"
        " const copy = new OffscreenCanvas(1, 1).getContext('2d'); copy.drawImage(canvas, -x, -y);"
        " return [...copy.getImageData(0, 0, 1, 1).data]; })([...arguments])",
        selector,
        x,
        y,
    )


def test_names_with_markup_stay_text(report, names):
    assert sorted(report.run(NAMES)) == sorted(names.values())
    assert report.run("return document.title") == "glomerulus on data"
    assert report.run("return document.querySelectorAll('main img[src=x], main script').length") == 0
    assert "<b>bear</b>" in report.run("return document.querySelector('.notes').textContent")


def test_nothing_is_loaded_from_anywhere(report):
    assert (
        report.run("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length")
        == 0
    )
    report.run("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)")
    assert report.run("return window.ran ?? null") is None
    assert any("Content Security Policy" in line for line in report.complaints())


def test_tiles_are_sorted_by_error_doubt_and_name(report, names):
    by_error = report.run(NAMES)
    assert by_error[0] == names["merged"]
    assert by_error[-1] == names["empty"]
    report.choose("[name=sort]", "doubt")
    assert report.run(NAMES) == [names[kind] for kind in ("missed", "invented", "merged", "found", "empty")]
    report.choose("[name=sort]", "name")
    assert report.run(NAMES) == sorted(names.values())


def test_tiles_are_filtered_by_group_kind_and_words(report, names):
    for kind, expected in {
        "missed": {"missed", "merged"},
        "invented": {"invented", "merged"},
        "merged": {"merged"},
        "clean": {"found", "empty"},
    }.items():
        report.choose("[name=kind]", kind)
        assert set(report.run(NAMES)) == {names[one] for one in expected}, kind
    report.choose("[name=kind]", "")
    report.choose("[name=group]", "case 1")
    assert set(report.run(NAMES)) == {names["missed"], names["empty"]}
    assert report.run("return document.querySelector('#tiles [role=status]').textContent") == "2 of 5 tiles"
    report.choose("[name=group]", "")
    report.choose("[name=search]", "HYPERLINK")
    assert report.run(NAMES) == [names["invented"]]
    report.choose("[name=search]", "no such tile")
    assert report.run("return document.querySelector('.nothing').hidden") is False


def test_the_errors_are_painted_in_their_colours(report):
    canvas = ".grid .card[aria-label^='plain'] canvas"
    assert pixel(report, canvas, 20, 20)[:3] == pytest.approx([0, 158, 115], abs=3)  # found
    assert pixel(report, canvas, 50, 14)[:3] == pytest.approx([240, 165, 0], abs=3)  # invented
    assert pixel(report, canvas, 2, 2)[3] == 0
    report.press("2")
    assert report.run("return document.querySelector('#tiles .legend').textContent") == "glomerulus"
    while pixel(report, canvas, 50, 14)[3]:  # not in the truth
        time.sleep(0.02)
    assert pixel(report, canvas, 20, 20)[:3] == pytest.approx([0, 200, 80], abs=3)


def test_the_keys_1_to_4_choose_the_view_and_slash_searches(report):
    assert report.run(PRESSED) == "errors"
    for key, view in {"1": "image", "2": "truth", "3": "prediction", "4": "errors"}.items():
        report.press(key)
        assert report.run(PRESSED) == view
    report.press("/")
    assert report.run("return document.activeElement.name") == "search"
    report.press("1")  # typed, not a key of the page
    assert report.run(PRESSED) == "errors"
    assert report.run("return document.activeElement.value") == "1"


def test_the_slider_fades_the_overlay(report):
    opacity = "return getComputedStyle(document.querySelector('.grid canvas')).opacity"
    assert float(report.run(opacity)) == pytest.approx(0.75)
    report.choose("#tiles [name=opacity]", "20")
    assert float(report.run(opacity)) == pytest.approx(0.2)
    assert report.run("return document.querySelector('#viewer [name=opacity]').value") == "20"


def test_arrows_move_among_the_cards_and_through_the_tiles(report):
    focused = "return document.activeElement.querySelector('.name')?.textContent"
    order = report.run(NAMES)
    report.run("document.querySelector('.grid .card').focus()")
    report.press("Right")
    assert report.run(focused) == order[1]
    report.press("Left")
    report.press("Left")  # there is none before the first
    assert report.run(focused) == order[0]
    title = "return document.querySelector('#viewer h3').textContent"
    report.press("Enter")
    assert report.run("return document.querySelector('#viewer').open")
    assert report.run(title) == order[0]
    report.press("Right")
    report.press("Right")
    assert report.run(title) == order[2]
    report.press("Escape")
    assert not report.run("return document.querySelector('#viewer').open")
    assert report.run(focused) == order[2]  # where the reader was


def test_the_focus_can_be_seen_and_everything_has_a_name(report):
    report.run("document.querySelector('.grid .card').focus()")
    report.press("Right")
    style = "const style = getComputedStyle(document.activeElement); return [style.outlineStyle, style.outlineWidth]"
    assert report.run(style) == ["solid", "3px"]
    unnamed = report.run(
        "return [...document.querySelectorAll('button, input, select, textarea, svg, [role=region], dialog')]"
        ".filter(e => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()"
        " || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert unnamed == []


def test_ticked_tiles_are_saved_as_csv(report, names, download_folder):
    report.choose("[name=search]", "HYPERLINK")
    report.click(".grid .card")
    report.press("w")
    report.choose("#viewer [name=note]", 'a "quoted", note\nof two lines')
    report.press("Escape")
    report.choose("[name=search]", "")
    report.choose("[name=kind]", "merged")
    report.click(".grid .card")
    report.click("#viewer [name=fix]")
    report.press("Escape")
    assert report.run("return document.querySelector('.card .mark').textContent") == "fix"
    report.choose("[name=kind]", "marked")
    assert len(report.run(NAMES)) == 2
    report.click("[data-do=save]")
    saved = wait_for_file(download_folder / "review.csv")
    assert saved.startswith("\ufefftile,group,")
    rows = list(csv.DictReader(io.StringIO(saved.removeprefix("\ufeff"), newline="")))
    assert rows == [
        {
            "tile": "'" + names["invented"],  # no formula for a spreadsheet
            "group": "case 0",
            "wrong_label": "yes",
            "fix": "",
            "note": 'a "quoted", note\nof two lines',
        },
        {"tile": "plain", "group": "case 0", "wrong_label": "", "fix": "yes", "note": ""},
    ]


def test_the_list_is_still_there_after_the_page_was_closed(report, page):
    report.click(".grid .card")
    report.press("f")
    report.open(page)
    assert report.run("return document.querySelector('[data-do=save]').textContent") == "Save list (1)"


def test_a_click_on_a_columns_head_sorts_the_table(report):
    column = "return [...document.querySelectorAll('#groups tbody tr')].map(row => row.cells[2].dataset.value)"
    report.click("#groups th:nth-child(3) button")
    assert report.run(column) == sorted(report.run(column), reverse=True)
    report.click("#groups th:nth-child(3) button")
    assert report.run(column) == sorted(report.run(column))
    assert report.run("return document.querySelector('#groups th:nth-child(3)').ariaSort") == "ascending"


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_has_to_be_scrolled_sideways(report, width):
    report.resize(width)
    fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert report.run(fits)
    report.click(".grid .card")
    assert report.run(fits)
    assert report.run("const d = document.querySelector('#viewer'); return d.scrollWidth <= d.clientWidth")


def test_light_and_dark_differ_and_can_be_read(report):
    colors = "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    light = report.run(colors)
    report.prefer("dark")
    assert report.run(colors) != light


def test_pictures_are_decoded_only_near_the_window(window, many_tiles):
    window.open(many_tiles)
    window.wait_for("document.querySelector('.grid img[src]') !== null")
    decoded = "return document.querySelectorAll('.grid img[src]').length"
    assert window.run(decoded) < 120
    window.run("document.querySelector('.grid .card:last-child').scrollIntoView()")
    window.wait_for("document.querySelector('.grid .card:last-child canvas').width > 0")
    assert window.run(decoded) < 150


def test_the_first_tiles_are_printed_with_their_overlays(report):
    report.wait_for("[...document.querySelectorAll('.grid .printed canvas')].every(canvas => canvas.width > 0)")
    assert report.print_pdf().startswith(b"%PDF")


def wait_for_file(path: Path) -> str:
    while not path.is_file():
        time.sleep(0.02)
    return path.read_bytes().decode("utf-8")
