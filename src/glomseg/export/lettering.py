"""Text in pictures: a font that has the letters, and what to write where no font has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont


@dataclass(frozen=True, slots=True)
class Lettering:
    """A text as it can be drawn.

    Attributes
    ----------
    text
        One line, every character of which the font has.
    font_path
        The font file.
    """

    text: str
    font_path: Path


def lettering(text: str) -> Lettering:
    r"""Return a text as it can be drawn here, with the font file to draw it.

    DejaVu Sans, which comes with matplotlib, has Latin, Greek and Cyrillic letters. For others the
    fonts of the machine are searched, plain upright sans-serif ones first. A character that no single
    font can give together with the rest is written as its Python escape, ``\u80be``, as are line breaks
    and other control characters: a name stays recognisable and never turns into empty boxes.
    """
    line = "".join(character if character.isprintable() else _escaped(character) for character in text)
    needed = {ord(character) for character in line}
    for path in _fonts():
        if needed <= _characters(path):
            return Lettering(line, path)
    available = _characters(_dejavu())
    return Lettering("".join(c if ord(c) in available else _escaped(c) for c in line), _dejavu())


def load_font(path: Path, *, size_px: int) -> ImageFont.FreeTypeFont:
    """Return a font file as a Pillow font whose letters are about `size_px` high, ascender to descender."""
    return ImageFont.truetype(str(path), size_px)


def text_width_px(text: str, *, size_px: int) -> int:
    """Return how wide `draw_text` draws a text."""
    drawn = lettering(text)
    return int(load_font(drawn.font_path, size_px=size_px).getlength(drawn.text) + 0.999)


def draw_text(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    text: str,
    *,
    size_px: int,
    color: tuple[int, int, int],
    anchor: str = "lm",
) -> None:
    """Draw one line of text; `anchor` is Pillow's: "lm" puts the left end's middle at `position` (x, y)."""
    drawn = lettering(text)
    draw.text(position, drawn.text, fill=color, font=load_font(drawn.font_path, size_px=size_px), anchor=anchor)


def shortened(text: str, *, size_px: int, max_width_px: int) -> str:
    """Return a text that fits into `max_width_px`: letters in its middle give way to an ellipsis.

    Names of tiles differ at their ends as often as at their beginnings, so both are kept.
    """
    if text_width_px(text, size_px=size_px) <= max_width_px:
        return text
    for n_kept in range(len(text) - 1, 0, -1):
        n_end = n_kept // 2
        short = f"{text[: n_kept - n_end]}…{text[len(text) - n_end :]}"
        if text_width_px(short, size_px=size_px) <= max_width_px:
            return short
    return "…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _fonts() -> Iterator[Path]:
    yield _dejavu()
    yield from _system_fonts()  # searched only if DejaVu does not do


@cache
def _dejavu() -> Path:
    import matplotlib  # slow to import

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def _system_fonts() -> tuple[Path, ...]:
    from matplotlib.font_manager import findSystemFonts

    def unfitness(path: Path) -> tuple[bool, str]:
        name = path.name.lower()
        return any(word in name for word in ("serif", "mono", "bold", "italic", "oblique", "light", "thin")), name

    paths = (Path(name) for name in findSystemFonts())
    # macOS has a font of last resort, which "has" every character: as an empty box.
    return tuple(sorted((path for path in paths if "lastresort" not in path.name.lower()), key=unfitness))


@cache
def _characters(path: Path) -> frozenset[int]:
    """Return the code points that a font file can draw; none if it cannot be used."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(str(path))
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):  # a damaged font file on the machine is no reason to fail
        return frozenset()
