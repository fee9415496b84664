#!/usr/bin/env python3
"""planned_memory.py [MODEL.gguf...]: what `vase plan` says against what the process took.

Each case plans, then reads a text and decodes through evictions (`vase bench --no-plain`), and prints the most memory that was
resident. Planned must never be below it, and no more than 3% above; what is reserved and not touched is a column of its own. Without
a model: the default one, with its adapter and without. Exits with 1 if a case is off. VASE_PROGRAM: the program.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = os.environ.get("VASE_PROGRAM", str(Path(__file__).parent.parent / "build/release/bin/vase"))
COMMON = ["--budget", "256", "-t", "2"]
MOST_ABOVE = 1.03
CASES = {
    "batch 64": ["-b", "64", "--ub", "64"],
    "batch 2,048": ["-b", "2048", "--ub", "2048"],
    "4 sequences": ["--parallel", "4"],
    "q8_0": ["-ctk", "q8_0", "-ctv", "q8_0"],
    "q4_0": ["-ctk", "q4_0", "-ctv", "q4_0"],
    "vase, 4 sequences": ["--parallel", "4", "--policy", "vase"],
}


def planned(model, options):
    result = subprocess.run([PROGRAM, "plan", "--json", *COMMON, *model, *options], check=True, capture_output=True, text=True)
    return json.loads(result.stdout)["bounded"]


def peak_resident(model, options):
    """Bytes that were resident at most while a text was read and decoded."""
    command = [PROGRAM, "bench", "--no-plain", "--depths", "700", "-n", "72", *COMMON, *model, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return usage.ru_maxrss * 1024


def main():
    models = {Path(name).stem: ["-m", name] for name in sys.argv[1:]}
    models = models or {"default": [], "default, no adapter": ["--no-reasoner"]}
    worst = 0
    print("| model | case | planned, MiB | resident, MiB | planned / resident | reserved beside it, MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, model in models.items():
        for case, options in CASES.items():
            plan = planned(model, options)
            peak = peak_resident(model, options)
            ratio = plan["resident_bytes"] / peak
            off = not 1 <= ratio <= MOST_ABOVE
            worst += off
            print(
                f"| {name} | {case} | {plan['resident_bytes'] / 2**20:.1f} | {peak / 2**20:.1f} | {ratio:.3f}{' (off)' if off else ''} "
                f"| {plan['unused_logits_bytes'] / 2**20:.1f} |",
                flush=True,
            )
    sys.exit(worst > 0)


if __name__ == "__main__":
    main()
