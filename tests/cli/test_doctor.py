"""glomseg doctor."""

import json

import pytest

from glomseg.steps.doctor import Check


@pytest.fixture
def checks(monkeypatch):
    made = [
        Check(name="GPU", status="slow", found="none", remedy="take your time"),
        Check(name="cache", status="ok", found="/a/cache"),
    ]
    monkeypatch.setattr("glomseg.steps.doctor.check_machine", lambda: made)
    return made


def test_it_shows_checks_and_remedies(checks, glomseg):
    code, said, _ = glomseg("doctor")
    assert code == 0  # slow is not ill
    assert "/a/cache" in said
    assert "GPU: take your time" in said


def test_something_missing_is_1(checks, glomseg):
    checks.append(Check(name="OpenSlide", status="missing", found="no", remedy="install it"))
    code, said, _ = glomseg("doctor")
    assert code == 1
    assert "OpenSlide: install it" in said


def test_json_is_json_and_nothing_else(checks, glomseg):
    code, said, _ = glomseg("doctor", "--json")
    assert code == 0
    assert json.loads(said)[0] == {"name": "GPU", "status": "slow", "found": "none", "remedy": "take your time"}


def test_this_machine(glomseg):
    code, said, _ = glomseg("doctor", "--json")
    names = [check["name"] for check in json.loads(said)]
    assert names[:3] == ["glomseg", "Python", "PyTorch"]
    assert code in (0, 1)
