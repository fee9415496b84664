"""The example runs as it is, on a shorter text, and draws its picture."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest

ROOT = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("VASE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vase")

pytest.importorskip("gguf")


@pytest.mark.skipif(
    not (CACHE / "models/SmolLM2-135M-Instruct.Q4_1.gguf").exists(), reason="no default model: scripts/fetch-model.sh"
)
def test_which_rows_stay(tmp_path):
    picture = tmp_path / "rows.png"
    output = subprocess.run(
        [sys.executable, ROOT / "python/examples/which_rows_stay.py"],
        env={**os.environ, "VASE_CACHE": str(CACHE), "VASE_EXAMPLE_PICTURE": str(picture), "VASE_EXAMPLE_TOKENS": "100"}
        | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    tokens, rows, evictions = map(int, re.search(r"tokens=(\d+), rows=(\d+), evictions=(\d+)", output).groups())
    assert 46 < tokens <= 145 and rows <= 128 and (evictions > 0) == (tokens > 128)
    assert matplotlib.image.imread(picture).std() > 0.1
