"""An evaluation over all machines of a Ray cluster.

    python -m vase.ray.evaluate -o run.jsonl -- -m model.gguf --problems gsm8k.jsonl --policies full,vase-plus --budgets 4x

What stands behind -- is for `vase eval`; model and files of questions lie at the same paths on every machine. Parts of the questions
go to whoever is free, answers come as they are ready, and the same command goes on where it was stopped. If a machine dies, what it had
not answered is asked again elsewhere. The file is one of `vase eval`'s own: --summary and `vase report` read it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import ray
from ray.exceptions import RayError, RayTaskError

from vase.program import find_program
from vase.ray.evaluation_part import Part
from vase.ray.failure import Failure
from vase.ray.run_file import RunFile

_ATTEMPTS = 5  # of a part whose machines die one after the other without an answer
_OURS = ("-o", "--out", "--part", "--summary", "--json", "--check-problems")
_NEEDS_LENGTHS = ("x", "prompt")  # how budgets end that are shares of the full cache's mean length


@ray.remote(max_retries=0, num_returns="streaming")
def _run(part: Part, done: list[str]) -> Iterator[list[str]]:
    yield from part.run(done)


class Evaluation:
    """Parts, the machines that have one, and the file into which all goes."""

    def __init__(self, file: RunFile, parts: list[Part], cpus: float, gpus: float) -> None:
        self._file = file
        self._waiting = list(parts)
        self._attempts = dict.fromkeys(parts, 0)
        self._cpus, self._gpus = cpus, gpus
        self._task = _run.options(num_cpus=cpus, num_gpus=gpus)
        self._at_work: dict[ray.ObjectRefGenerator, Part] = {}
        self._said, self._began, self._answers = 0.0, time.monotonic(), file.answers

    def run(self) -> None:
        """Until all parts are done. Raises Failure if one cannot be."""
        parts = len(self._waiting)
        try:
            while self._waiting or self._at_work:
                while self._waiting and len(self._at_work) < self._room():
                    part = self._waiting.pop(0)
                    self._attempts[part] += 1
                    self._at_work[self._task.remote(part, self._file.lines)] = part
                ready, _ = ray.wait(list(self._at_work), num_returns=1, timeout=5)
                for generator in ready:
                    self._take(generator)
                self._progress(parts)
        finally:
            for generator in self._at_work:  # those that are not wanted any more
                ray.cancel(generator)

    def _room(self) -> int:
        """Parts that may be handed over: twice as many as run at a time, so that no machine waits for us."""
        return 2 * max(_at_a_time(self._cpus, self._gpus), 1)

    def _take(self, generator: ray.ObjectRefGenerator) -> None:
        part = self._at_work[generator]
        try:
            lines = ray.get(next(generator))
        except StopIteration:
            del self._at_work[generator]
            return
        except RayTaskError as error:  # vase eval's own words
            raise Failure(f"{error.cause}") from None
        except RayError:  # its machine is gone
            del self._at_work[generator]
            if self._attempts[part] == _ATTEMPTS:
                raise Failure(f"part {part.name} was begun {_ATTEMPTS} times, and each time its machine died") from None
            self._waiting.append(part)
            self._say(f"a machine has gone: part {part.name} is asked again, but for what has come of it")
            return
        self._file.append(lines)
        self._attempts[part] = 1

    def _progress(self, parts: int) -> None:
        now = time.monotonic()
        left = len(self._waiting) + len(self._at_work)
        if now - self._said < (1 if sys.stderr.isatty() else 60) and left:
            return
        self._said = now
        rate = 60 * (self._file.answers - self._answers) / max(now - self._began, 1)
        self._say(f"{self._file.answers} answers, {parts - left} of {parts} parts done, {rate:.1f} answers a minute")

    def _say(self, text: str) -> None:
        print(f"vase.ray.evaluate: {text}", file=sys.stderr, flush=True)


def evaluate(out: Path, options: list[str], *, parts: int = 0, cpus: float = 1, gpus: float = 0) -> None:
    """Asks all questions of `vase eval` with these options, on the cluster that ray.init() has found.

    `parts`: how many parts the questions are in, 0: four for each that runs at a time. `cpus`, `gpus`: of each. Raises Failure.
    """
    for option in options:
        if option.split("=")[0] in _OURS:
            raise Failure(f"{option} is not for an evaluation over several machines: -o stands before --")
    file = RunFile(out)
    at_a_time = _at_a_time(cpus, gpus)
    if at_a_time < 1:
        raise Failure(f"the cluster does not have {cpus:g} cores and {gpus:g} GPUs to give")
    count = parts or 4 * at_a_time

    def run(asked: list[str], *, lengths: bool) -> None:
        made = [Part(f"{index}/{count}", tuple(asked), os.getcwd(), lengths) for index in range(1, count + 1)]
        Evaluation(file, made, cpus, gpus).run()

    budgets, policies = _value(options, "--budgets", "4x"), _value(options, "--policies", "full")
    shares = any(budget.endswith(_NEEDS_LENGTHS) for budget in budgets.split(","))
    by_lengths = shares and "full" in policies.split(",") and not _value(options, "--lengths", "")
    if by_lengths:
        # The mean over all of them, wherever they were asked, is what 4x is a quarter of.
        run(_without(options, "--policies") + ["--policies", "full"], lengths=False)
    run(options, lengths=by_lengths)


def _at_a_time(cpus: float, gpus: float) -> int:
    """How many parts the cluster, as it is now, runs side by side."""
    has = ray.cluster_resources()
    return int(min(has.get(name, 0) / each for name, each in (("CPU", cpus), ("GPU", gpus)) if each > 0))


def _value(options: list[str], name: str, default: str) -> str:
    """Of NAME VALUE or NAME=VALUE."""
    for index, option in enumerate(options):
        if option == name and index + 1 < len(options):
            return options[index + 1]
        if option.startswith(name + "="):
            return option.partition("=")[2]
    return default


def _without(options: list[str], name: str) -> list[str]:
    kept, skip = [], False
    for option in options:
        if not skip and option != name and not option.startswith(name + "="):
            kept.append(option)
        skip = option == name
    return kept


def main() -> None:
    """See the top of this file."""
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="python -m vase.ray.evaluate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=Path("eval.jsonl"), help="JSONL file of the run; goes on if it is there")
    parser.add_argument("--address", default="auto", help="of the cluster (default: the one that this machine is part of)")
    parser.add_argument("--parts", type=int, default=0, help="parts of the questions (default: four for each that runs at a time)")
    parser.add_argument("--cpus", type=float, default=1, help="cores of each part")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each part")
    given = parser.parse_args(arguments[:cut])
    try:
        # What Ray says of its nodes, whatever log_to_driver is, must not stand in the table.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                ray.init(address=given.address, log_to_driver=False, logging_level="ERROR")
            except ConnectionError as error:
                raise Failure(f"no Ray cluster at {given.address}: ray start --head starts one ({error})".splitlines()[0]) from None
            evaluate(given.out, arguments[cut + 1:], parts=given.parts, cpus=given.cpus, gpus=given.gpus)
            subprocess.run([find_program(), "eval", "--summary", str(given.out)], check=False)
    except (Failure, RuntimeError) as error:
        sys.exit(f"vase.ray.evaluate: {error}")
    except KeyboardInterrupt:
        sys.exit(f"vase.ray.evaluate: stopped; the same command goes on from {given.out}")


if __name__ == "__main__":
    main()
