"""Fair timing: the cases take turns in one run, and what is reported is the ratio of their medians.

A machine's speed drifts by tens of per cent over minutes; cases that take turns drift together, so their
ratio stays what it is.
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

Seconds = list[float]


def measure(case: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    start = time.perf_counter()
    case()
    return time.perf_counter() - start


def take_turns(cases: Mapping[str, Callable[[], object]], *, n_rounds: int, n_warmup: int = 1) -> dict[str, Seconds]:
    """Return the seconds of each case in each round; in every round each case is called once."""
    seconds: dict[str, Seconds] = {name: [] for name in cases}
    for number in range(-n_warmup, n_rounds):
        for name, case in cases.items():
            elapsed = measure(case)
            if number >= 0:
                seconds[name].append(elapsed)
    return seconds


def take_turns_apart(
    builders: Mapping[str, Callable[[], Callable[[], object]]], *, n_rounds: int, n_warmup: int = 1
) -> tuple[dict[str, Seconds], dict[str, object]]:
    """Like `take_turns`, each case in a process of its own, so that none works with what another has set up.

    Parameters
    ----------
    builders
        For each case a function (one that can be pickled) that builds it.
    n_rounds, n_warmup
        Calls that count, and calls before them that do not.

    Returns
    -------
    seconds, results
        Of the counted calls, and what the last call of each case gave.
    """
    context = multiprocessing.get_context("spawn")
    sides = {}
    for name, builder in builders.items():
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(builder, theirs))  # not a daemon: those have no loaders' workers
        process.start()
        theirs.close()  # so that a side that fails ends the wait for it
        sides[name] = (process, ours)
    try:
        calls = {name: partial(_call, pipe) for name, (_, pipe) in sides.items()}
        seconds = take_turns(calls, n_rounds=n_rounds, n_warmup=n_warmup)
        results = {}
        for name, (process, pipe) in sides.items():
            pipe.send("result")
            results[name] = pipe.recv()
            process.join()
    finally:
        for process, _ in sides.values():
            process.terminate()
    return seconds, results


def _call(pipe: Connection) -> None:
    pipe.send("call")
    pipe.recv()


def _serve(builder: Callable[[], Callable[[], object]], pipe: Connection) -> None:
    case, result = builder(), None
    while pipe.recv() == "call":
        result = case()
        pipe.send("done")
    pipe.send(result)


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """Return how many times faster `fast` is, with the middle 90 % of the ratios round by round."""
    low, high = np.percentile(np.divide(slow, fast), [5, 95])
    return f"{statistics.median(slow) / statistics.median(fast):.2f} times ({low:.2f} to {high:.2f})"


def spread(seconds: Sequence[float]) -> str:
    """Return the median with the middle 90 %, in a fitting unit."""
    values = [statistics.median(seconds), *np.percentile(seconds, [5, 95])]
    factor, unit = (1, "s") if values[0] >= 1 else (1e3, "ms")
    middle, low, high = (f"{value * factor:.3g}" for value in values)
    return f"{middle} {unit} ({low} to {high})"


def print_comparison(title: str, seconds: Mapping[str, Sequence[float]]) -> None:
    """Print every case, and each later case's speed against the first one's."""
    names = list(seconds)
    print(f"\n{title}: median of {len(seconds[names[0]])} rounds (5 to 95 %)")
    for name in names:
        print(f"  {name:<44} {spread(seconds[name])}")
    for name in names[1:]:
        print(f"  ratio: {name} is {ratio(seconds[names[0]], seconds[name])} as fast as {names[0]}")


def print_machine(*packages: str) -> None:
    """Print what the figures were measured with."""
    print(f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {platform.platform()}")
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {_version(name)}" for name in packages))


def print_torch() -> None:
    """Print how torch computes here."""
    import torch

    from glomseg.devices import choose_precision

    precision = choose_precision("auto", torch.device("cpu"))
    print(
        f"torch: {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, "
        f"precision chosen for the processor: {precision}"
    )


def parse_quick(description: str | None) -> bool:
    """Return whether --quick was given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: whether it runs, not how fast")
    return bool(parser.parse_args().quick)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
