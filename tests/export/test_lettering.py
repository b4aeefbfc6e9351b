import sys

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image, ImageDraw

from glomseg.export import lettering as module
from glomseg.export.lettering import draw_text, lettering, shortened, text_width_px


@pytest.fixture
def no_system_fonts(monkeypatch):
    monkeypatch.setattr(module, "_system_fonts", tuple)


@pytest.fixture
def chinese_font(tmp_path, monkeypatch):
    """A font of squares for 肾, 小 and 球, as the only font of the machine."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (900, 700), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(character): "square" for character in "肾小球 1"})
    builder.setupGlyf({".notdef": square, "square": square})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 100)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / "squares.ttf"
    builder.save(path)
    monkeypatch.setattr(module, "_system_fonts", lambda: (path,))
    return path


@pytest.mark.parametrize("text", ["glomerulus", "Glomérule ß", "клубочек", "σπείραμα", "µm²", "2 < 3 & $x$"])
def test_european_texts_are_drawn_as_they_are(text, no_system_fonts):
    drawn = lettering(text)
    assert drawn.text == text
    assert drawn.font_path.name == "DejaVuSans.ttf"


def test_a_font_of_the_machine_is_used_where_it_has_the_letters(chinese_font):
    drawn = lettering("肾小球 1")
    assert drawn.text == "肾小球 1"
    assert drawn.font_path == chinese_font
    assert text_width_px("肾小球", size_px=20) == 60


def test_letters_without_any_font_are_escaped(no_system_fonts):
    assert lettering("肾小球 1").text == r"\u80be\u5c0f\u7403 1"
    assert lettering("a\U0001f9a0").text == r"a\U0001f9a0" or "\U0001f9a0" in lettering("a\U0001f9a0").text


def test_no_font_has_all_letters_together(chinese_font):
    assert lettering("肾 glomerulus").text == r"\u80be glomerulus"


def test_control_characters_are_escaped(no_system_fonts):
    assert lettering("two\nlines\t\x00").text == r"two\nlines\t\x00"


def test_escaping_twice_is_escaping_once(no_system_fonts):
    once = lettering("肾\n").text
    assert lettering(once).text == once


def test_a_damaged_font_file_is_passed_over(tmp_path, monkeypatch):
    damaged = tmp_path / "damaged.ttf"
    damaged.write_bytes(b"not a font")
    monkeypatch.setattr(module, "_system_fonts", lambda: (damaged, tmp_path / "gone.ttf"))
    assert lettering("肾").text == r"\u80be"


def test_the_fonts_of_this_machine_can_be_listed():
    assert all("lastresort" not in path.name.lower() for path in module._system_fonts())


def test_shortening_keeps_both_ends(no_system_fonts):
    name = "slide_17_with_a_very_long_name_tile_0042"
    short = shortened(name, size_px=12, max_width_px=120)
    beginning, end = short.split("…")
    assert name.startswith(beginning)
    assert name.endswith(end)
    assert len(end) > 3
    assert text_width_px(short, size_px=12) <= 120
    assert shortened("short", size_px=12, max_width_px=120) == "short"
    assert shortened(name, size_px=12, max_width_px=1) == "…"


def test_text_is_drawn_within_its_measured_width(no_system_fonts):
    image = Image.new("L", (300, 40), 0)
    draw_text(ImageDraw.Draw(image), (10, 20), "glomerulus", size_px=20, color=255)
    left, top, right, bottom = image.getbbox()
    assert left >= 9
    assert right <= 10 + text_width_px("glomerulus", size_px=20) + 1
    assert 5 < top < 20 < bottom < 35


def test_importing_the_export_room_imports_neither_torch_nor_matplotlib():
    import subprocess

    code = (
        "import sys, glomseg.export.pictures, glomseg.export.plots, glomseg.measure, glomseg.metrics.pixel_intervals;"
        "sys.exit(str([name for name in ('torch', 'matplotlib') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
