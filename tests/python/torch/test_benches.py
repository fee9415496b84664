"""The benchmarks of the package run, at a size that takes seconds, and print their tables again."""

import json
import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[3] / "bench"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, BENCH / script, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_generate_vs_dynamic(tmp_path):
    file = tmp_path / "measured.json"
    arguments = "--shape tiny --device cpu --depths 300 --budget 128 --batches 1 2 --tokens 80 --prompts 400".split()
    output = run("generate_vs_dynamic.py", *arguments, "--json", file)
    measured = json.loads(file.read_text())["measurements"]
    caches = ["dynamic", "vase", "vase-cur"]
    assert [(m["batch"], m["cache"]) for m in measured[:6]] == [(batch, cache) for batch in (1, 2) for cache in caches]
    assert [m["evictions"] for m in measured[:6]] == [0, 1, 1] * 2
    assert [m["cache"] for m in measured[6:]] == caches
    assert measured[0]["cache_bytes"] > measured[1]["cache_bytes"] > 0
    assert all(m["tokens_per_second"] > 0 for m in measured[:6]) and all(m["seconds"] > 0 for m in measured[6:])
    assert run("generate_vs_dynamic.py", "--tables", file) == output
    assert output.count("\n| ") == 2 * 2 + len(measured)
