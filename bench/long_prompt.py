#!/usr/bin/env python3
"""Reading long prompts into a bounded cache beside plain llama.cpp: tokens a second up to each length, and their ratio.

    python3 bench/long_prompt.py --program build/release/bin/vase -m model.gguf -ngl 99 --lengths 8192 32768 100000 --json FILE
    python3 bench/long_prompt.py --tables FILE            # prints the table again

Runs `vase bench` for each policy and budget: both caches read the same tokens in one process, by turns of 2,048, as `vase run` reads
prompts. Where others use the processors, too, the ratio of processor time says more, with -t 1 (threads wait busily for each other).
Plain llama.cpp holds all of the longest prompt; its speed is measured again in each run, beside what it is compared with.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from recording import Recording, markdown

COLUMNS = ["model", "policy", "budget", "tokens", "plain tok/s", "bounded tok/s", "ratio", "ratio of processor time", "evictions", "of the time"]


def measured(arguments, policy: str, budget: int) -> dict:
    """What `vase bench --json` writes of one run."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        command = [arguments.program, "bench", "-m", arguments.model, "--policy", policy, "--budget", budget, "-n", 1, "--json", file.name,
                   "--depths", ",".join(map(str, arguments.lengths)), *arguments.more]  # fmt: skip
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        return json.loads(file.read())


def table(measurements: list[dict]) -> str:
    rows = []
    for run in measurements:
        for depth in run["depths"]:
            plain, bounded = depth["plain"]["prompt"], depth["bounded"]["prompt"]
            rows.append([
                Path(run["model"]).name, f"`{run['policy']}`", f"{run['budget']:,}", f"{depth['depth']:,}",
                f"{plain['tokens_per_second']:,.0f}", f"{bounded['tokens_per_second']:,.0f}",
                f"{bounded['tokens_per_second'] / plain['tokens_per_second']:.2f}",
                f"{plain['processor_seconds'] / bounded['processor_seconds']:.2f}", f"{bounded['evictions']}",
                f"{bounded['eviction_seconds'] / bounded['seconds']:.1%}",
            ])  # fmt: skip
    return markdown(COLUMNS, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=Path("build/release/bin/vase"))
    parser.add_argument("-m", "--model", type=Path)
    parser.add_argument("--lengths", type=int, nargs="+", default=[4096, 8192, 16384], help="tokens of the prompts")
    parser.add_argument("--budgets", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--policies", nargs="+", default=["vase-plus", "vase"])
    parser.add_argument("--json", type=Path, help="write the measurements there, after each of them")
    parser.add_argument("--tables", type=Path, metavar="FILE", help="measure nothing; the table of what --json wrote")
    arguments, arguments.more = parser.parse_known_args()  # -ngl, -t and the like are for `vase bench`
    if arguments.tables:
        print(table(json.loads(arguments.tables.read_text())["measurements"]))
        return
    if arguments.model is None:
        parser.error("-m MODEL is needed")
    recording = Recording(arguments.json, {"options": arguments.more, "lengths": arguments.lengths})
    for policy in arguments.policies:
        for budget in arguments.budgets:
            recording.add(measured(arguments, policy, budget))
    print(table(recording.content["measurements"]))


if __name__ == "__main__":
    main()
