"""The memory of this machine: how much is free, and how to keep what was used."""

import ctypes
import sys
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def free_memory_bytes() -> int:
    """Return the memory that is free for use right now, by the machine and by the limit of a container."""
    free = int(psutil.virtual_memory().available)
    limit, used = (_read_number(_CGROUP / name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else max(0, min(free, limit - used))


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no control group here, or "max": no limit
        return None


def keep_freed_memory() -> bool:
    """Let this process keep memory that it has freed, for its next arrays; return whether that could be set.

    glibc gives every freed block above 32 MB back to the system, and the next tensor of that size is paid for
    page by page: on a processor that can be half the time of a large network. The price is a process that
    holds its largest need until it ends. The command line does it; a script may call it first.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
