"""What the documentation says about settings is what the code does."""

import re
from pathlib import Path

from pydantic import BaseModel

from glomseg.config import Settings, load_recipe

DOCS = Path(__file__).resolve().parents[1] / "docs"


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
    rows = re.findall(r"^\| `(\w+\.\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|", (DOCS / "train.md").read_text(), re.M)
    columns = [flat(settings) for settings in (Settings(), load_recipe("default"), load_recipe("homework"))]
    assert [key for key, *_ in rows] == list(columns[0])
    for key, _, *cells in rows:
        assert [cell.strip() for cell in cells] == [column[key] for column in columns], key


def test_every_page_is_reachable_and_every_link_leads_somewhere():
    root = DOCS.parent
    pages = [root / "README.md", root / "README.zh-CN.md", *DOCS.rglob("*.md")]
    linked = set()
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                path = (page.parent / target).resolve()
                assert path.exists(), f"{page.name} links to {target}"
                linked.add(path)
    assert {page.resolve() for page in pages if page.parent == DOCS} <= linked
