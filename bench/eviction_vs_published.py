#!/usr/bin/env python3
"""Our eviction of one layer against the published PyTorch code, in turns on the same machine.

    git clone https://github.com/terarachang/VaSE /tmp/VaSE
    python3 bench/eviction_vs_published.py --peer /tmp/VaSE

Needs build/release (make bench builds it) and a Python with torch and transformers. Prints the table of
docs/performance.md: milliseconds a layer as medians over the rounds, and the median of the ratios round by round.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
POLICIES = ["vase", "snapkv", "vase-cur", "rkv"]


def ours(program: Path, policy: str, threads: int) -> tuple[float, float]:
    """Milliseconds a layer and the ratio to the machine's floor."""
    output = subprocess.run(
        [
            program,
            f"--benchmark_filter=^evict/{policy}/threads:{threads}/",
            "--benchmark_format=json",
            "--benchmark_min_time=0.5",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    result = json.loads(output)["benchmarks"][0]
    return result["real_time"], result["over_floor"]


def published(peer: Path, policy: str, threads: int) -> float:
    output = subprocess.run(
        [sys.executable, HERE / "peer_published.py", "--peer", peer, "--policy", policy]
        + ["--threads", str(threads), "--repetitions", "3", "--json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.loads(output)[policy]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", type=Path, required=True, help="clone of terarachang/VaSE")
    parser.add_argument("--program", type=Path, default=HERE.parent / "build/release/bench/eviction_bench")
    parser.add_argument("--threads", type=int, default=2, choices=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not arguments.program.exists():
        raise SystemExit(f"{arguments.program} is not there: run make bench, or name it with --program")

    print("| policy | published, ms | ours, ms | times faster (min - max) | ours over floor |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for policy in POLICIES:
        theirs, mine, floors = [], [], []
        for _ in range(arguments.rounds):
            theirs.append(published(arguments.peer, policy, arguments.threads))
            milliseconds, over_floor = ours(arguments.program, policy, arguments.threads)
            mine.append(milliseconds)
            floors.append(over_floor)
        ratios = [a / b for a, b in zip(theirs, mine)]
        print(
            f"| `{policy}` | {statistics.median(theirs):.1f} | {statistics.median(mine):.2f} "
            f"| {statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f}) "
            f"| {statistics.median(floors):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
