#!/usr/bin/env python3
"""Times one eviction of the published PyTorch code (terarachang/VaSE) at the size of eviction_bench.

    git clone https://github.com/terarachang/VaSE /tmp/VaSE
    python3 bench/peer_published.py --peer /tmp/VaSE

Needs torch and transformers. Prints one line a mode: milliseconds a layer, f32, on the CPU. Nothing of the published code is
kept here; it is imported from the clone as it is.
"""

import argparse
import importlib.util
import json
import statistics
import time
from pathlib import Path

import torch

BUDGET, RECENCY, HEADS, QUERY_HEADS, DIM = 4096, 64, 8, 32, 128
# Our policy names and the published names of the same modes.
MODES = {
    "vase": "range_sink_sample_attn",
    "snapkv": "attn",
    "vase-cur": "cur_resample_gauss",
    "rkv": "attn_rkv",
}


def load_published(clone: Path):
    """Imports the module that holds EvictLayer."""
    path = clone / "eval/reasoning_tasks/modified/transformers/cache_utils.py"
    if not path.exists():
        raise SystemExit(f"{path} is not there: --peer must name a clone of terarachang/VaSE")
    spec = importlib.util.spec_from_file_location("published_cache_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def full_layer(published, mode: str, batch: int = 1, dtype=torch.float32, device: str = "cpu"):
    """A layer at budget + recency rows of `batch` sequences, about to evict."""
    layer = published.EvictLayer(
        0, BUDGET, RECENCY, mode, rkv_lambda=0.5, smooth=True, verbose=False, n_large=BUDGET // 4
    )
    rows = BUDGET + RECENCY
    kind = {"dtype": dtype, "device": device}
    keys, values = (torch.randn(batch, rows, HEADS, DIM, **kind) for _ in range(2))
    layer.lazy_initialization(keys, values)
    layer.k_cache[:, :rows], layer.v_cache[:, :rows] = keys, values
    layer.update_queries(torch.randn(batch, QUERY_HEADS, RECENCY, DIM, **kind))
    return layer, keys, values


def milliseconds(published, mode: str, repetitions: int) -> list[float]:
    layer, keys, values = full_layer(published, mode)
    rows = BUDGET + RECENCY
    times = []
    for _ in range(repetitions + 1):
        layer.k_cache[:, :rows], layer.v_cache[:, :rows] = keys, values
        start = time.perf_counter()
        layer._run_eviction(rows)
        times.append((time.perf_counter() - start) * 1e3)
    return times[1:]  # the first warms up


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", type=Path, required=True, help="clone of terarachang/VaSE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--policy", choices=MODES, help="one policy instead of all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    published = load_published(arguments.peer)
    medians = {}
    with torch.inference_mode():
        for policy in [arguments.policy] if arguments.policy else MODES:
            times = milliseconds(published, MODES[policy], arguments.repetitions)
            medians[policy] = statistics.median(times)
            if not arguments.json:
                print(f"{policy:9} {medians[policy]:8.1f} ms (min {min(times):.1f})", flush=True)
    if arguments.json:
        print(json.dumps(medians))


if __name__ == "__main__":
    main()
