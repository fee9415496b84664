#!/usr/bin/env python3
"""Does a reasoner still end its thought? From runs of `vase eval --keep-text`: a line a budget and policy.

    python3 bench/closed_thoughts.py docs/results/natural-asdiv.jsonl.gz...

`right`: as graded, where an answer that stands inside a thought that was never closed is none. `in a box`: the same, and those whose
last \\boxed{} is the right answer wherever it stands: what a reader who looks into the thought would count. Of published runs only the
ends of the texts are kept.
"""

import argparse
import gzip
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

from recording import markdown

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "training"))
from natural.boxes import last_boxed  # noqa: E402

CLOSE = "</think>"
COLUMNS = ["set", "budget", "policy", "answers", "right, %", "in a box, %", "thought closed, %", "tokens"]


def plain(answer: str) -> str | float:
    """An answer without what does not change it; a number as a number."""
    text = re.sub(r"\\text\{[^}]*\}|\\[!,;]|\\left|\\right|[$\s%]", "", answer.replace("dfrac", "frac").replace("tfrac", "frac"))
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text).rstrip(".")
    try:
        return float(text)
    except ValueError:
        return text


def in_a_box(line: dict) -> bool:
    box = last_boxed(line["text"])
    return line["correct"] or (box is not None and plain(box) == plain(line["expected"]))


def rows_of(path: Path) -> list[list[str]]:
    cells = defaultdict(list)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in map(json.loads, file):
            if "text" in line:
                cells[line["budget"], line["policy"]].append(line)
    if not cells:
        sys.exit(f"{path} has no texts: it must be a run of `vase eval --keep-text`")
    rows = []
    for (budget, policy), lines in sorted(cells.items()):
        share = lambda of: f"{100 * sum(map(of, lines)) / len(lines):.1f}"  # noqa: B023, E731
        rows.append([
            lines[0]["task"], budget, f"`{policy}`", f"{len(lines)}", share(lambda line: line["correct"]), share(in_a_box),
            share(lambda line: CLOSE in line["text"]), f"{sum(line['tokens'] for line in lines) / len(lines):,.0f}",
        ])  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    try:
        print(markdown(COLUMNS, [row for run in arguments.runs for row in rows_of(run)]))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"cannot read {', '.join(map(str, arguments.runs))}: runs of `vase eval --keep-text` are wanted ({error!r})")


if __name__ == "__main__":
    main()
