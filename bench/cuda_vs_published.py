#!/usr/bin/env python3
"""Our eviction on a GPU against the published PyTorch code on the same GPU.

    git clone https://github.com/terarachang/VaSE /tmp/VaSE
    python3 bench/cuda_vs_published.py --peer /tmp/VaSE --program build/cuda/bench/cuda_eviction_bench

Needs torch with CUDA and transformers. Both at the size of cuda_eviction_bench, 1 and 8 sequences. The published code
evicts one layer at a time; its time is a layer's, ours that of all 36 layers divided by 36. Ours is also given for f16, what
llama.cpp's caches hold. Prints a table; all measurements go to the file named by --json.
"""

import argparse
import json
import statistics
import subprocess
from pathlib import Path

import torch
from peer_published import BUDGET, MODES, RECENCY, full_layer, load_published

HERE = Path(__file__).resolve().parent
BATCHES = [1, 8]


def published_ms(published, mode: str, batch: int, repetitions: int) -> float:
    """Median milliseconds of one eviction of one layer, between CUDA events."""
    layer, keys, values = full_layer(published, mode, batch, torch.bfloat16, "cuda")
    rows, times = BUDGET + RECENCY, []
    for _ in range(repetitions + 3):
        layer.k_cache[:, :rows], layer.v_cache[:, :rows] = keys, values
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        layer._run_eviction(rows)
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times[3:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", type=Path, required=True, help="clone of terarachang/VaSE")
    parser.add_argument("--program", type=Path, default=HERE.parent / "build/cuda/bench/cuda_eviction_bench")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--json", type=Path, help="file for all measurements")
    arguments = parser.parse_args()
    if not arguments.program.exists():
        raise SystemExit(f"{arguments.program} is not there: run make cuda, or name it with --program")

    published = load_published(arguments.peer)
    with torch.inference_mode():
        theirs = {
            batch: {policy: published_ms(published, mode, batch, arguments.repetitions) for policy, mode in MODES.items()}
            for batch in BATCHES
        }
    torch.cuda.empty_cache()
    ours = json.loads(subprocess.run([arguments.program.resolve()], check=True, capture_output=True, text=True).stdout)
    if arguments.json:
        arguments.json.write_text(json.dumps({"published_ms": theirs, "ours": ours}, indent=1))

    print(f"{ours['device']}, milliseconds a layer\n")
    print("| policy | sequences | items a turn | published, bf16 | ours, bf16 | times faster | ours, f16 | times faster |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    mine = {
        (measured["batch"], measured["items_a_turn"], result["policy"], measured["rows"]): result["ms_a_layer"]
        for measured in ours["batches"]
        for result in measured["policies"]
    }
    for batch, turn, policy, rows in mine:
        peer = theirs[batch].get(policy)
        if rows != "f16" or peer is None:
            continue
        row = f"| `{policy}` | {batch} | {turn} | {peer:.2f} |"
        for rows in ("bf16", "f16"):
            ms = mine[batch, turn, policy, rows]
            row += f" {ms:.4f} | {peer / ms:.1f} |"
        print(row)


if __name__ == "__main__":
    main()
