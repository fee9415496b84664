"""The JSONL file of an evaluation, into which parts from several machines go. `vase eval`, `vase report` read it as one of their own."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable
from pathlib import Path

from vase.ray.failure import Failure


class RunFile:
    """A run that is there already goes on; a torn last line, as after a power cut, is cut off."""

    def __init__(self, path: Path) -> None:
        """Raises Failure if the file cannot be written, or another process writes to it."""
        try:
            self._file = path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"another evaluation is writing to {path}") from None
        except OSError as error:
            raise Failure(f"cannot write {path}: {error.strerror}") from None
        self._file.seek(0)
        whole, newline, _ = self._file.read().rpartition(b"\n")
        self._file.truncate(len(whole) + len(newline))
        self.lines: list[str] = whole.decode().split("\n") if whole else []
        self._keys = {_key(line) for line in self.lines[1:]}

    @property
    def answers(self) -> int:
        """Lines but the first, which says how the run is made."""
        return max(len(self.lines) - 1, 0)

    def append(self, lines: Iterable[str]) -> None:
        """Lines of a part, its first line among them or not. What is there already is left out: an answer that arrived before its
        machine died may be sent again. Raises Failure if a first line is not this file's."""
        for line in lines:
            if "vase_eval" in json.loads(line):
                if self.lines and line != self.lines[0]:
                    raise Failure(f"two machines run different evaluations, or have different models:\n{self.lines[0]}\n{line}")
                if self.lines:
                    continue
            elif (key := _key(line)) in self._keys:
                continue
            else:
                self._keys.add(key)
            self.lines.append(line)
            self._file.write(line.encode() + b"\n")
        self._file.flush()


def _key(line: str) -> tuple[object, ...]:
    """What makes an answer one of its kind in a run, as `vase eval` has it."""
    record = json.loads(line)
    return tuple(record[name] for name in ("id", "policy", "budget", "sample"))
