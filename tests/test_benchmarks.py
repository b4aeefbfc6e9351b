import re
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def test_the_metrics_benchmark_prints_a_ratio():
    done = subprocess.run(
        [sys.executable, "metrics.py", "--quick"], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"ratio: glomseg is [\d.]+ times \([\d.]+ to [\d.]+\) as fast as scikit-learn", done.stdout)
    assert "Python" in done.stdout
