import subprocess
import sys

import pytest

from glomseg import memory
from glomseg.memory import free_memory_bytes

FAULTS = """
import resource, sys, torch
from glomseg.memory import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    raise SystemExit("not here")
for step in range(30):
    if step == 20:  # by now the heap has settled
        start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc keeps memory on request")
def test_freed_memory_is_used_again():
    faults = {}
    for how in ("give back", "keep"):
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=False)
        if "not here" in done.stderr:
            pytest.skip("this C library cannot keep memory")
        faults[how] = int(done.stdout)
    assert faults["keep"] < faults["give back"] / 10


def test_free_memory_is_what_the_machine_has():
    assert 0 < free_memory_bytes() <= memory.psutil.virtual_memory().total


@pytest.mark.parametrize(("limit", "free"), [("1000\n", 600), ("300\n", 0), ("max\n", None), (None, None)])
def test_a_container_may_allow_less(monkeypatch, tmp_path, limit, free):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text("400\n")
    assert free_memory_bytes() == free if free is not None else free_memory_bytes() > 1000
