#!/usr/bin/env python3
"""planned_memory.py [--quick] [--batches 64,512] [--sequences 1,3] [MODEL.gguf[+ADAPTER.gguf]...]: what `vase plan` says against
what the process took.

Each case plans, then reads a text and decodes through evictions (`vase bench --no-plain`), and prints the most memory that was
resident. Planned must never be below it, and no more than 3% above; what is reserved and not touched is a column of its own. Without
a model: the default one, with its adapter and without. --quick: three cases of the default model, for the tests. Exits with 1 if a
case is off, with 77 if the default model is wanted and is not there. VASE_PROGRAM: the program.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = os.environ.get("VASE_PROGRAM", str(Path(__file__).parent.parent / "build/release/bin/vase"))
COMMON = ["-t", "2"]
LEAST_BUDGET = 512  # the sliding window of Gemma 3
MOST_ABOVE = 1.03
MEBIBYTE = 2**20
SKIPPED = 77


def case(batch, sequences, cache_type):
    size = str(batch)
    # A whole batch of one sequence fits its cells, so that all of the compute buffer is used.
    budget = max(LEAST_BUDGET, batch)
    return budget, [
        *("--budget", str(budget), "-b", size, "--ub", size, "--parallel", str(sequences), "-ctk", cache_type, "-ctv", cache_type),
        *(["--policy", "vase"] if sequences > 1 else []),  # the one that holds queries, too
    ]


CACHE_TYPES = ("f16", "q8_0")
QUICK = [(64, 1, "f16"), (512, 4, "q8_0"), (2048, 4, "f16")]


def planned(model, options):
    result = subprocess.run([PROGRAM, "plan", "--json", *COMMON, *model, *options], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr)
    return json.loads(result.stdout)["bounded"]


def peak_resident(model, options, tokens):
    """Bytes that were resident at most while a text of so many tokens was read and decoded."""
    command = [PROGRAM, "bench", "--no-plain", "--depths", str(tokens), "-n", "8", *COMMON, *model, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return usage.ru_maxrss * 1024


def arguments_of(name):
    model, _, adapter = name.partition("+")
    return ["-m", model, *(["--lora", adapter] if adapter else [])]


def have_default_model():
    return subprocess.run([PROGRAM, "plan", "--no-reasoner"], capture_output=True).returncode == 0


def integers(text):
    return [int(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description="What `vase plan` says against what the process took.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--batches", type=integers, default=[64, 512, 2048])
    parser.add_argument("--sequences", type=integers, default=[1, 4])
    parser.add_argument("models", nargs="*")
    arguments = parser.parse_args()
    quick = arguments.quick
    models = {"+".join(Path(file).stem for file in name.split("+")): arguments_of(name) for name in arguments.models}
    if not models:
        if not have_default_model():
            sys.exit(SKIPPED)
        models = {"default": []} if quick else {"default": [], "default, no adapter": ["--no-reasoner"]}
    shapes = QUICK if quick else itertools.product(arguments.batches, arguments.sequences, CACHE_TYPES)
    worst = 0
    print("| model | batch | sequences | types | planned, MiB | resident, MiB | planned / resident | untouched beside it, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for (name, model), shape in itertools.product(models.items(), shapes):
        budget, options = case(*shape)
        plan = planned(model, options)
        peak = peak_resident(model, options, tokens=budget + 600)
        ratio = plan["resident_bytes"] / peak
        off = not 1 <= ratio <= MOST_ABOVE
        worst += off
        columns = [name, *map(str, shape), f"{plan['resident_bytes'] / MEBIBYTE:.1f}", f"{peak / MEBIBYTE:.1f}"]
        columns += [f"{ratio:.3f}{' (off)' if off else ''}", f"{plan['unused_logits_bytes'] / MEBIBYTE:.1f}"]
        print(f"| {' | '.join(columns)} |", flush=True)
    sys.exit(worst > 0)


if __name__ == "__main__":
    main()
