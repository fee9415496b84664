"""Measurements of a benchmark, in a JSON file that is whole after each of them, and as tables."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Measurement = dict[str, Any]


class Recording:
    """Collects measurements, says each on stderr as it comes, and writes them all to ``path`` if one is given."""

    def __init__(self, path: Path | None, settings: Mapping[str, Any]):
        self._path = path
        self.content: dict[str, Any] = {"settings": dict(settings), "measurements": []}
        self._write()

    def add(self, measurement: Measurement) -> None:
        self.content["measurements"].append(measurement)
        print(json.dumps(measurement), file=sys.stderr, flush=True)
        self._write()

    def _write(self) -> None:
        if self._path:
            self._path.write_text(json.dumps(self.content, indent=1) + "\n")


def markdown(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table as the documents have it."""
    lines = [list(columns)]
    lines.append(["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *rows])
