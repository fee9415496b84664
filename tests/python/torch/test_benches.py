"""The benchmarks of the package run, at a size that takes seconds."""

import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[3] / "bench"


def test_generate_vs_dynamic():
    arguments = "--shape tiny --device cpu --depths 300 --budget 128 --tokens 70 --read-prompt".split()
    output = subprocess.run(
        [sys.executable, BENCH / "generate_vs_dynamic.py", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split("|")[1:-1] for line in output.splitlines() if line.startswith("| 300")]
    assert [row[1].strip() for row in rows] == ["dynamic", "vase", "vase-cur"]
    assert all(float(row[2]) > 0 and float(row[4]) > 0 for row in rows)
