"""What a run has done so far, on disk: lines of results as they come, marks of what is finished."""

import json
import time
from pathlib import Path


class Folder:
    """The folder of a run, shared by its ranks; each writes files of its own."""

    def __init__(self, path, rank, world):
        self.path, self.rank, self.world = Path(path), rank, world
        self.path.mkdir(parents=True, exist_ok=True)

    def file(self, stage):
        """Where this rank writes a stage's lines."""
        return self.path / f"{stage}.{self.rank}.jsonl"

    def lines(self, stage):
        """What all ranks wrote of a stage; a line cut off by a kill is left out."""
        found = []
        for path in sorted(self.path.glob(f"{stage}.[0-9]*.jsonl")):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    try:
                        found.append(json.loads(line))
                    except json.JSONDecodeError:
                        pass  # cut off by a kill, perhaps with the next line behind it
        return found

    def append(self, stage, row):
        """Adds a line, which is on its way to the disk when this returns."""
        with open(self.file(stage), "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def finished(self, stage):
        """Whether a stage is marked as finished."""
        return (self.path / f"{stage}.done").exists()

    def finish(self, stage, **numbers):
        """Marks a stage as finished, and logs its numbers."""
        if self.rank == 0:
            self.log(stage=stage, **numbers)
            (self.path / f"{stage}.done").touch()

    def log(self, **numbers):
        """A line in log.jsonl and on the screen (first rank only)."""
        if self.rank == 0:
            row = {"time": time.strftime("%H:%M:%S"), **numbers}
            with open(self.path / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)

    def say(self, text):
        """A line on the screen."""
        print(f"{time.strftime('%H:%M:%S')} [{self.rank}] {text}", flush=True)
