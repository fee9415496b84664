#!/usr/bin/env python3
"""Decoding on a GPU, plain llama.cpp against the bounded cache: speed, depth, memory.

    python3 bench/decode_on_gpu.py --vase build/cuda/bin/vase --models /tmp --out decode.json
    python3 bench/decode_on_gpu.py --tables decode.json         # the Markdown of docs/performance.md
    python3 bench/decode_on_gpu.py --plot decode.json docs/images/decode_on_gpu.png

Runs `vase bench` and `vase plan` on models of random weights (made if they are not there; needs the
packages gguf and numpy, 20 GB of disk, and a GPU with 80 GB). What is measured is written to the
JSON file after every step. `--list` shows the steps, the most important first, with the seconds
they were expected to take on an H100; no step is begun that is not expected to end within --limit.
`--two` measures layers on two GPUs against all layers on one.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import decode_on_gpu_report as report

TIMES_EXPECTED = 3  # a step may take so many times its estimate before it is ended


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    seconds: int  # expected on an H100
    model: str
    options: str  # of `vase bench`
    plans: tuple[str, ...] = ()  # options of `vase plan`, to be held against what the GPU reports
    gpus: str = ""  # CUDA_VISIBLE_DEVICES, if not all


STEPS = (
    Step("interval 64", 45, "qwen3-4b",
         "--parallel 1,8,32 --depths 4224 -n 128"),
    Step("depth", 50, "qwen3-4b",
         "--parallel 1,8 --depths 4224,16384,32640 -n 128"),
    # 64 x 4,096 cells: the cache of 8 sequences at 32,768 tokens.
    Step("equal memory", 25, "qwen3-4b",
         "--parallel 64 --budget 4032 --no-plain --depths 4224 -n 128",
         plans=("--parallel 64 --budget 4032",)),
    Step("interval 128", 35, "qwen3-4b",
         "--parallel 1,8,32 --interval 128 --depths 4352 -n 256"),
    Step("flat memory", 30, "qwen3-4b",
         "--parallel 1 --no-plain -n 64 "
         "--depths 512,4224,8192,16384,32768,49152,65472",
         plans=("--parallel 1",)),
    Step("staggered", 40, "qwen3-4b",
         "--parallel 8,32 --stagger --depths 4224 -n 128"),
    Step("14B", 35, "qwen3-14b", "--parallel 1,8 --depths 4224 -n 128"),
    Step("14B depth", 40, "qwen3-14b", "--parallel 1 --depths 32640 -n 128"),
    Step("memory of 8", 8, "qwen3-4b",
         "--parallel 8 --no-plain --depths 4224 -n 64", plans=("--parallel 8",)),
    Step("depth 64k", 35, "qwen3-4b", "--parallel 1 --depths 65408 -n 128"),
)  # fmt: skip

TWO_GPUS = tuple(
    Step(f"{count} GPUs", 25, "qwen3-4b",
         "--parallel 1,8 --depths 4224 -n 128", gpus=devices)
    for count, devices in ((1, "0"), (2, "0,1"))
)  # fmt: skip


def model_file(shape: str, folder: pathlib.Path) -> pathlib.Path:
    """The random model of a shape, made if it is not there."""
    path = folder / f"{shape}.gguf"
    if not path.exists():
        script = pathlib.Path(__file__).with_name("random_model.py")
        unfinished = path.with_suffix(".part")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, script, shape, unfinished], check=True)
        unfinished.rename(path)
    return path


def run(command: list, seconds: float, gpus: str) -> tuple[str, str]:
    """What a program printed, and what went wrong ('' if nothing did)."""
    environment = dict(os.environ, **({"CUDA_VISIBLE_DEVICES": gpus} if gpus else {}))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds,
                              env=environment)  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"ended after {seconds:.0f} s"
    if done.returncode == 0:
        return done.stdout, ""
    return done.stdout, f"exit code {done.returncode}: {done.stderr.strip()[-2000:]}"


def measure(step: Step, vase: str, policy: str, models: pathlib.Path) -> dict:
    """Runs one step: its benchmark, line by line, and its plans."""
    model = model_file(step.model, models)
    shared = ["-m", model, "-ngl", "99", "--policy", policy]
    start = time.monotonic()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        options = step.options if "--budget" in step.options else f"{step.options} --budget 4096"
        command = [vase, "bench", *shared, "--json", file.name, *options.split()]
        _, error = run(command, TIMES_EXPECTED * step.seconds, step.gpus)
        runs = [json.loads(line) for line in file.read().splitlines()]
    command = f"vase bench -m {model.name} -ngl 99 --policy {policy} {options}"
    result = {"command": command, "runs": runs, "plans": []}
    for options in step.plans:
        text, plan_error = run([vase, "plan", *shared, "--json", *options.split()], 60, step.gpus)
        error = error or plan_error
        if not plan_error:
            result["plans"].append(json.loads(text))
    return result | {"seconds": round(time.monotonic() - start, 1), "error": error}


def device_name() -> str:
    query = "--query-gpu=name,driver_version,memory.total"
    try:
        text, error = run(["nvidia-smi", query, "--format=csv,noheader"], 30, "")
    except FileNotFoundError:
        return "no nvidia-smi"
    return error or "; ".join(text.split("\n")).strip("; ")


def measure_all(steps: tuple[Step, ...], arguments) -> bool:
    """Writes the file after each step. True if all went well."""
    start = time.monotonic()
    results = {"device": device_name(), "policy": arguments.policy, "steps": {}}
    well = True
    for step in steps:
        left = arguments.limit - (time.monotonic() - start)
        if step.seconds > left:
            print(f"{step.name}: left out, {left:.0f} s are left", flush=True)
            continue
        print(f"{step.name}: ...", flush=True)
        result = measure(step, arguments.vase, arguments.policy, arguments.models)
        results["steps"][step.name] = result
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")
        well = well and not result["error"]
        print(f"{step.name}: {result['seconds']} s, {len(result['runs'])} measurements, expected "
              f"{step.seconds} s {result['error']}", flush=True)  # fmt: skip
    return well


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vase", default="vase", help="the program (default: from PATH)")
    parser.add_argument("--policy", default="vase", help="what evicts (default: vase)")
    parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path("."), metavar="DIR")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("decode_on_gpu.json"))
    parser.add_argument("--limit", type=float, default=3600, help="seconds for all steps")
    parser.add_argument("--only", action="append", metavar="STEP", help="this step (repeatable)")
    parser.add_argument("--two", action="store_true", help="one GPU against two")
    parser.add_argument("--list", action="store_true", help="the steps and their estimates")
    parser.add_argument("--tables", type=pathlib.Path, metavar="FILE", help="print Markdown tables")
    parser.add_argument("--plot", nargs=2, metavar=("FILE", "PNG"), help="speed against depth")
    arguments = parser.parse_args()

    if arguments.tables:
        print(report.tables(json.loads(arguments.tables.read_text())))
        return 0
    if arguments.plot:
        report.plot(json.loads(pathlib.Path(arguments.plot[0]).read_text()), arguments.plot[1])
        return 0
    steps = TWO_GPUS if arguments.two else STEPS
    if unknown := set(arguments.only or ()) - {step.name for step in steps}:
        parser.error(f"no step is named {', '.join(sorted(unknown))}; --list shows them")
    steps = tuple(s for s in steps if not arguments.only or s.name in arguments.only)
    if arguments.list:
        for step in steps:
            print(f"{step.seconds:4} s  {step.name}: {step.model} {step.options}")
        print(f"{sum(step.seconds for step in steps):4} s  in all")
        return 0
    return 0 if measure_all(steps, arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
