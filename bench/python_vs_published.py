#!/usr/bin/env python3
"""vase.select and vase.compact against the published PyTorch code: the same tensors, in turns, in one process.

    git clone https://github.com/terarachang/VaSE /tmp/VaSE
    PYTHONPATH=build/release/python python3 bench/python_vs_published.py --peer /tmp/VaSE
    ... --device cuda --dtype bfloat16 --batch 8     # on a GPU, with a package built with VASE_CUDA=ON

Needs torch, transformers and the package vase. Prints a table for docs/performance.md: milliseconds a layer as medians over the
rounds, and the ratio round by round. One eviction of one layer at the size of eviction_bench.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from peer_published import BUDGET, MODES, RECENCY, full_layer, load_published

import vase

ROWS = BUDGET + RECENCY


def milliseconds(device: str, restore: Callable[[], None], evict: Callable[[], None]) -> float:
    """One eviction on restored rows, the device's work included."""
    restore()
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    evict()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3


class Both:
    """The same rows in the published layer and in tensors of ours."""

    def __init__(self, published, policy: str, arguments):
        self.device, self.policy = arguments.device, policy
        dtype = getattr(torch, arguments.dtype)
        self.layer, self.keys, self.values = full_layer(published, MODES[policy], arguments.batch, dtype, arguments.device)
        self.our_keys, self.our_values = torch.empty_like(self.keys), torch.empty_like(self.values)
        self.queries = getattr(self.layer, "queries", [None] * arguments.batch)  # CUR has none

    def published_ms(self) -> float:
        def restore():
            self.layer.k_cache[:, :ROWS], self.layer.v_cache[:, :ROWS] = self.keys, self.values

        return milliseconds(self.device, restore, lambda: self.layer._run_eviction(ROWS))

    def our_ms(self) -> float:
        def restore():
            self.our_keys.copy_(self.keys)
            self.our_values.copy_(self.values)

        def evict():
            for sequence, queries in enumerate(self.queries):
                keys, values = self.our_keys[sequence], self.our_values[sequence]
                mask = vase.select(keys, values, queries, self.policy, budget=BUDGET, sequence=sequence)
                vase.compact(keys, values, mask, vacate=BUDGET)

        return milliseconds(self.device, restore, evict)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", type=Path, required=True, help="clone of terarachang/VaSE")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    parser.add_argument("--batch", type=int, default=1, help="sequences")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    vase.set_threads(arguments.threads)
    torch.manual_seed(1)
    published = load_published(arguments.peer)

    where = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{arguments.threads} threads"
    print(f"{where}, {arguments.dtype}, {arguments.batch} sequence(s), {arguments.rounds} rounds, milliseconds a layer\n")
    print("| policy | published | vase.select + vase.compact | times faster (min - max) |")
    print("| --- | --- | --- | --- |", flush=True)
    with torch.inference_mode():
        for policy in MODES:
            both = Both(published, policy, arguments)
            both.published_ms(), both.our_ms()  # the first ones warm up
            rounds = [(both.published_ms(), both.our_ms()) for _ in range(arguments.rounds)]
            theirs, mine = zip(*rounds)
            ratios = [a / b for a, b in rounds]
            print(
                f"| `{policy}` | {statistics.median(theirs):.2f} | {statistics.median(mine):.2f} "
                f"| {statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
