"""From a template and its values to one HTML file that needs nothing beside it.

Styles, scripts and pictures are in the file. Its content security policy lets the browser run only the script that is
known by its hash, and load nothing from anywhere: a tile's name that holds markup cannot run, and no page calls home.
"""

import base64
import hashlib
import json
import os
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glomseg._version import __version__
from glomseg.files import json_text, write_text

_SCRIPTS = ("masks.js", "review.js", "viewer.js", "gallery.js", "tables.js", "start.js")
"""In the order in which they need each other."""


def write_page(path: str | os.PathLike[str], template: str, **values: Any) -> None:
    """Write one self-contained HTML file: whole or not at all.

    Parameters
    ----------
    path
        The file.
    template
        Name of a file in ``templates/``.
    values
        What the template shows. Text is escaped; only `Markup` (drawings made here) is not.
    """
    write_text(path, render_page(template, **values))


def render_page(template: str, **values: Any) -> str:
    """Return the page as text; see `write_page`."""
    environment = Environment(
        loader=PackageLoader("glomseg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["data"] = data_block
    script = "(() => {\n'use strict';\n" + "\n".join(_asset(name) for name in _SCRIPTS) + "\n})();"
    # The hash is of the text between the tags, to the byte.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template(template).render(
        version=__version__,
        style=Markup(_asset("page.css")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        **values,
    )


def data_block(value: Any) -> Markup:
    """Return a value as JSON that may stand in a script element, whatever text is in it."""
    text = json_text(value)
    # A lone surrogate (a file name that is no UTF-8) would not survive the writing.
    if not text.isascii():
        text = json.dumps(json.loads(text), separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def percent(value: float | None, *, digits: int = 1) -> str:
    """Return a share as a percentage without its sign; a dash where it is not defined."""
    return "-" if value is None or value != value else f"{100 * value:.{digits}f}"


def _asset(name: str) -> str:
    return resources.files("glomseg.report").joinpath("assets", name).read_text(encoding="utf-8")
