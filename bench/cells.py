#!/usr/bin/env python3
"""Runs tables of docs/results.md as cells: `vase eval` for each policy and budget of a table, on all GPUs of a machine.

    python3 bench/cells.py bench/tables.ini --list
    python3 bench/cells.py bench/tables.ini --tables natural-asdiv,natural-gsm8k --vase build/cuda/bin/vase \\
        --models DIR --questions DIR --out RUNS --gpus 4 --workers 3 -- -ngl 99

The full cache comes first, since budgets such as 8x are counted in its lengths; where --policies leaves it out, the table's run in docs/results
says them. Cells come in the order of the file. What follows `--` goes to each `vase eval`, in place of what
the table says of these options. Without --gpus one cell at a time runs on the CPU.

Each cell has a file in RUNS/TABLE; where all that were asked for are there, these become RUNS/TABLE.jsonl, as docs/results keeps it. Stopped by Ctrl+C
(or SIGTERM), cells keep the answers they have, and the same command goes on. A cell that fails is named at the end with what it said last;
the others go on. Exit code: 0 if all cells are there, 1 if one failed, 130 if stopped.
"""

from __future__ import annotations

import argparse
import configparser
import gzip
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = "lengths.jsonl"  # in a table's folder: its run in docs/results
RESULTS = ROOT / "docs/results"
NEEDED = {"model", "problems", "policies", "budgets"}


@dataclass(frozen=True)
class Cell:
    table: str
    policy: str
    budget: str
    command: list[str]
    file: Path
    lengths: Path | None  # of the full cache, which must be there first

    @property
    def name(self) -> str:
        return f"{self.table} {self.policy} {self.budget}".rstrip()

    @property
    def done(self) -> Path:
        return self.file.with_suffix(".done")

    def answers(self) -> int:
        """Lines of the file but the first, which has the settings."""
        return max(self.file.read_bytes().count(b"\n") - 1, 0) if self.file.exists() else 0


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def tables_of(path: Path) -> configparser.ConfigParser:
    tables = configparser.ConfigParser()
    with open(path) as file:
        tables.read_file(file)
    for name in tables.sections():
        missing = NEEDED - set(tables[name])
        unknown = set(tables[name]) - NEEDED - {"options"} - set(tables.defaults())
        if missing or unknown:
            raise ValueError(f"{path}: [{name}] " + (f"lacks {', '.join(sorted(missing))}" if missing else f"has {', '.join(sorted(unknown))}, which nobody reads"))
    return tables


def options_of(arguments: list[str]) -> list[list[str]]:
    """Each option with its values."""
    options: list[list[str]] = []
    for word in arguments:
        if re.match(r"--?[a-zA-Z]", word) or not options:
            options.append([])
        options[-1].append(word)
    return options


def cells_of(name: str, table: configparser.SectionProxy, args: argparse.Namespace) -> list[Cell]:
    folder = args.out / name
    policies = [policy for policy in words(table["policies"]) if policy in (args.policies or [policy])]
    budgets = [budget for budget in words(table["budgets"]) if budget in (args.budgets or [budget])]
    given = {option[0] for option in options_of(args.rest)}
    command = [args.vase, "eval", "-m", str(args.models / table["model"])]
    command += [part for file in words(table["problems"]) for part in ("--problems", str(args.questions / file))]
    command += [word for option in options_of(shlex.split(table.get("options", ""))) if option[0] not in given for word in option] + args.rest

    def cell(policy: str, budget: str, lengths: Path | None) -> Cell:
        file = folder / f"{policy}{'-' if budget else ''}{budget}.jsonl".replace(":", "_").replace("=", "_")
        wanted = ["--budgets", budget] if budget else []
        wanted += ["--lengths", str(lengths)] if lengths else []
        return Cell(name, policy, budget, [*command, "--policies", policy, *wanted, "-o", str(file)], file, lengths)

    full = [cell("full", "", None)] if "full" in policies else []
    lengths = full[0].file if full else folder / PUBLISHED
    return full + [cell(policy, budget, lengths) for budget in budgets for policy in policies if policy != "full"]


def take_lengths(name: str, cells: list[Cell], out: Path) -> None:
    """Unpacks the table's published run, whose full cache says how long answers are, if the full cache is not among the cells."""
    if not any(cell.lengths == out / name / PUBLISHED for cell in cells):
        return
    run = RESULTS / f"{name}.jsonl.gz"
    if not run.exists():
        raise ValueError(f"{name} without the full cache needs {run}, which is not there: add full to --policies")
    (out / name).mkdir(parents=True, exist_ok=True)
    (out / name / PUBLISHED).write_bytes(gzip.decompress(run.read_bytes()))


def join(cells: list[Cell], path: Path) -> None:
    """One file of all cells: the settings once, then their answers. Throws if their settings differ."""
    settings, answers = None, []
    for cell in cells:
        first, *lines = cell.file.read_text().splitlines(keepends=True)
        if settings not in (None, first):
            raise ValueError(f"{cell.file} has other settings than {cells[0].file}: delete what was run with others")
        settings = first
        answers += lines
    partial = path.with_suffix(".part")
    partial.write_text((settings or "") + "".join(answers))
    partial.replace(path)


class Stop(Exception):
    pass


def shares_gpus() -> bool:
    """Whether CUDA's multi-process service runs: without it processes on one GPU take turns."""
    return (Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")) / "control").exists()


class Runner:
    """Workers, each on a GPU or on the CPU, that take the first cell whose lengths are there."""

    def __init__(self, cells: list[Cell], places: list[dict[str, str]], say):
        self.waiting = [cell for cell in cells if not cell.done.exists()]
        self.total, self.failed, self.say = len(self.waiting), [], say
        self.free = list(places)
        self.running: dict[subprocess.Popen, tuple[Cell, dict[str, str], float]] = {}

    def run(self, every: float) -> None:
        said = time.monotonic()
        try:
            while self.waiting or self.running:
                self._start()
                self._reap()
                if time.monotonic() - said >= every:
                    said = time.monotonic()
                    self.say("running: " + ", ".join(f"{cell.name} ({cell.answers()} answers)" for cell, *_ in self.running.values()))
                time.sleep(0.1)
        finally:
            for process in self.running:
                process.send_signal(signal.SIGINT)
            for process in self.running:
                process.wait()

    def _start(self) -> None:
        failed = {cell.file for cell, _ in self.failed}
        for cell in [cell for cell in self.waiting if cell.lengths in failed]:
            self.waiting.remove(cell)
            self.failed.append((cell, "the full cache, which its budget is counted in, failed"))
        ready = [cell for cell in self.waiting if cell.lengths is None or self._is_there(cell.lengths)]
        for cell in ready[: len(self.free)]:
            place = self.free.pop(0)
            self.waiting.remove(cell)
            cell.file.parent.mkdir(parents=True, exist_ok=True)
            with open(cell.file.with_suffix(".log"), "w") as log:
                process = subprocess.Popen(cell.command, stdout=log, stderr=log, env=os.environ | place, start_new_session=True)
            self.running[process] = cell, place, time.monotonic()

    @staticmethod
    def _is_there(lengths: Path) -> bool:
        return lengths.name == PUBLISHED or lengths.with_suffix(".done").exists()

    def _reap(self) -> None:
        for process in [process for process in self.running if process.poll() is not None]:
            cell, place, began = self.running.pop(process)
            self.free.append(place)
            if process.returncode == 0:
                cell.done.touch()
            else:
                log = cell.file.with_suffix(".log").read_text(errors="replace").strip()
                self.failed.append((cell, log.splitlines()[-1] if log else f"exit code {process.returncode}"))
            left = len(self.waiting) + len(self.running)
            self.say(f"{self.total - left} of {self.total}: {cell.name}, {cell.answers()} answers, {time.monotonic() - began:.0f} s"
                     + ("" if process.returncode == 0 else f", FAILED ({process.returncode})"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="What follows -- goes to each vase eval.")
    parser.add_argument("file", type=Path, help="the tables, e.g. bench/tables.ini")
    parser.add_argument("--tables", type=words, help="names, comma-separated (default: all)")
    parser.add_argument("--policies", type=words, help="of these alone, e.g. full,vase-plus")
    parser.add_argument("--budgets", type=words, help="likewise, e.g. 4x,8x")
    parser.add_argument("--list", action="store_true", help="print the cells and what is there of them; run nothing")
    parser.add_argument("--vase", default=str(ROOT / "build/release/bin/vase"), help="the program")
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("VASE_CACHE", Path.home() / ".cache/vase")) / "models", help="folder of the models")
    parser.add_argument("--questions", type=Path, default=Path("."), help="folder of the files of questions")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs to spread over (default 0: the CPU)")
    parser.add_argument("--workers", type=int, default=1, help="cells at a time on each GPU")
    parser.add_argument("--every", type=float, default=30, help="seconds between lines about what runs")
    given = sys.argv[1:]
    split = given.index("--") if "--" in given else len(given)
    args = parser.parse_args(given[:split])
    args.rest = given[split + 1 :]
    if args.gpus < 0 or args.workers < 1:
        parser.error("--gpus must be 0 or more, --workers 1 or more")

    try:
        tables = tables_of(args.file)
        chosen = args.tables if args.tables is not None else tables.sections()
        unknown = [name for name in chosen if name not in tables]
        if unknown:
            raise ValueError(f"{args.file} has no table {', '.join(unknown)}; it has: {', '.join(tables.sections())}")
        for key, asked in (("policies", args.policies), ("budgets", args.budgets)):
            there = {word for name in chosen for word in words(tables[name][key])}
            if nowhere := [word for word in asked or [] if word not in there]:
                raise ValueError(f"no table here has {', '.join(nowhere)} among its {key}: {', '.join(sorted(there))}")
        cells = {name: cells_of(name, tables[name], args) for name in chosen}
        if args.list:
            for cell in (cell for row in cells.values() for cell in row):
                print(f"{'done' if cell.done.exists() else f'{cell.answers()} answers' if cell.answers() else '-':>12}  {cell.name}")
            return 0
        if shutil.which(args.vase) is None:
            raise ValueError(f"there is no program {args.vase}: name it by --vase")
        for name in chosen:
            take_lengths(name, cells[name], args.out)
    except (OSError, ValueError, configparser.Error) as error:
        print(f"cells.py: {error}", file=sys.stderr)
        return 2

    def stop(*_):
        raise Stop

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if args.gpus and args.workers > 1 and not shares_gpus():
        print("several workers on a GPU take turns unless CUDA's multi-process service runs, and took half of the time with it: nvidia-cuda-mps-control -d", flush=True)
    places = [{"CUDA_VISIBLE_DEVICES": str(gpu)} for _ in range(args.workers) for gpu in range(args.gpus)] or [{}]
    runner = Runner([cell for row in cells.values() for cell in row], places, lambda line: print(line, flush=True))
    try:
        runner.run(args.every)
    except Stop:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    try:
        for name, row in cells.items():
            if all(cell.done.exists() for cell in row):
                join(row, args.out / f"{name}.jsonl")
                print(args.out / f"{name}.jsonl")
    except (OSError, ValueError) as error:
        print(f"cells.py: {error}", file=sys.stderr)
        return 1
    for cell, reason in runner.failed:
        print(f"cells.py: {cell.name} failed: {reason} ({cell.file.with_suffix('.log')})", file=sys.stderr)
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
