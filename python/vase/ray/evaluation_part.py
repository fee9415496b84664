"""A part of an evaluation, as one machine does it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vase.program import find_program
from vase.ray import tied
from vase.ray.failure import Failure

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Part:
    """Which questions, and how they are asked: options of `vase eval` but those for its files. Paths are those of every machine."""

    name: str  # "2/8"
    options: tuple[str, ...]
    folder: str  # in which paths begin, where there is one of this name
    lengths: bool  # whether the answers that are there have the full cache's lengths, for budgets like 4x

    def run(self, done: list[str]) -> Iterator[list[str]]:
        """Yields lines of the run as they are written, those of `done` not among them. Raises Failure if `vase eval` does."""
        with tempfile.TemporaryDirectory(prefix="vase-eval-") as folder:
            run = Path(folder) / "run.jsonl"
            run.write_text("".join(line + "\n" for line in done))
            with run.open() as lines, tempfile.TemporaryFile("w+") as said:
                lines.seek(0, os.SEEK_END)
                process = self._start(run, said)
                running = True
                while running:
                    running = process.poll() is None  # before the file is read for the last time
                    if new := _whole_lines(lines):
                        yield new
                    elif running:
                        time.sleep(_LOOK_SECONDS)
                if process.returncode != 0:
                    said.seek(0)
                    last = next((line for line in reversed(said.read().splitlines()) if line.strip()), "it said nothing")
                    raise Failure(f"vase eval --part {self.name} ended with status {process.returncode}: {last}")

    def _start(self, run: Path, said: object) -> subprocess.Popen[bytes]:
        try:
            command = [find_program(), "eval", *self.options, "--part", self.name, "-o", str(run)]
        except RuntimeError as error:
            raise Failure(f"{error} of each node") from None
        if self.lengths:
            command += ["--lengths", str(run)]
        return subprocess.Popen([sys.executable, tied.__file__, str(os.getpid()), *command], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=said, cwd=self.folder if Path(self.folder).is_dir() else None)


def _whole_lines(file: object) -> list[str]:
    """Those that have been written since the last call; what is not ended yet is left for the next one."""
    lines = []
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(start)
            return lines
        lines.append(line[:-1])
