from contextlib import contextmanager

import glomseg.progress
from glomseg.progress import only_if_slow


def test_a_bar_is_silent_until_its_work_has_lasted_a_while(monkeypatch):
    now, calls, opened = [100.0], [], []
    monkeypatch.setattr(glomseg.progress.time, "monotonic", lambda: now[0])

    @contextmanager
    def bars(description, *, unit):
        opened.append(description)
        yield lambda done, total, note="": calls.append((description, unit, done, total, note))

    with only_if_slow(bars, after_s=2.0)("tissue", unit="megapixel") as bar:
        bar(1, 3)
        assert not opened
        now[0] = 102.5
        bar(2, 3, "half")
        bar(3, 3)
    assert calls == [("tissue", "megapixel", 2, 3, "half"), ("tissue", "megapixel", 3, 3, "")]
    assert opened == ["tissue"]
