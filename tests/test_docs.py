"""The pages for readers keep up with the program, and their links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

import glomseg
from glomseg.config import Settings
from glomseg.recipes import load_recipe

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def flat(settings: Settings) -> dict[str, str]:
    values = {}
    for section, content in settings:
        if isinstance(content, BaseModel):
            values |= {f"{section}.{key}": shown(value) for key, value in content}
    return values


def test_the_table_of_settings_is_complete_and_right():
    text = (DOCS / "train.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.\w+)` \|([^|\n]*)\|([^|\n]*)\|([^|\n]*)\|([^|\n]*)\|", text, re.MULTILINE)
    columns = [flat(settings) for settings in (Settings(), load_recipe("default"), load_recipe("homework"))]
    assert [key for key, *_ in rows] == list(columns[0])
    for key, _, *cells in rows:
        assert [cell.strip() for cell in cells] == [column[key] for column in columns], key


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_in_the_index():
    index = DOCS / "README.md"
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in links(index)}
    assert {page for page in DOCS.glob("*.md") if page != index} <= listed


def test_the_readmes_show_the_same_commands():
    def commands(name: str) -> list[str]:
        blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]

    assert commands("README.md") == commands("README.zh-CN.md")
    assert "glomseg inspect kidney --mpp 1" in commands("README.md")


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {glomseg.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{glomseg.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all((ROOT / name).is_file() for name in [project["readme"], *project["license-files"]])
