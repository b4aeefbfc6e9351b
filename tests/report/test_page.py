"""A page of its own: nothing beside it, and no text that becomes markup."""

import base64
import hashlib
import json
import re

import pytest

from glomseg.report.page import data_block, percent, render_page

EMPTY = {"title": "t", "kind": "k", "sentences": [], "notes": [], "sections": [], "page": {"tiles": []}}


def base_page(**values):
    return render_page("base.html", **{**EMPTY, **values})


def test_text_is_escaped_wherever_it_stands():
    page = base_page(title="</title><script>1</script>", sentences=["<b>&</b>"], page={"tiles": [], "x": "</script>"})
    assert "&lt;/title&gt;&lt;script&gt;" in page
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in page
    assert page.count("</script>") == 2  # that of the data, and that of the script


def test_only_the_scripts_own_hash_may_run():
    page = base_page()
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', page)
    assert f"script-src &#39;sha256-{digest}&#39;" in policy or f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_nothing_is_fetched():
    page = base_page()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.parametrize("text", ["</script>", "<!--", "a & b", "\u2028", "肾 🫘", "\udcff", '"\\'])
def test_any_text_survives_in_the_data(text):
    block = str(data_block({"name": text}))
    assert not set("<>&\u2028") & set(block)
    assert block.isascii()
    assert json.loads(block) == {"name": text}


def test_what_is_not_defined_is_a_dash():
    assert percent(None) == percent(float("nan")) == "-"
    assert (percent(0.12345), percent(0.12345, digits=2)) == ("12.3", "12.35")
