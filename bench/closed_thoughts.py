#!/usr/bin/env python3
"""Does a reasoner still end its thought? From runs of `vase eval --keep-text`: a line a budget and policy.

    python3 bench/closed_thoughts.py docs/results/natural-asdiv.jsonl.gz...
    python3 bench/closed_thoughts.py --base vase-plus RUN...      # and over all runs, less that policy

`right`: as graded, where an answer that stands inside a thought that was never closed is none. `in a box`: the same, and those whose
last \\boxed{} is the right answer wherever it stands: what a reader who looks into the thought would count. Boxes are compared as
numbers or texts, without math-verify, which finds two more of 96 at most in the published cells, and one fewer in one. Of published runs only the
ends of the texts are kept. With --base a second table is of the policies that were run on all files: `in a box`, and the difference from
the base on the same questions with its 95% interval.
"""

import argparse
import gzip
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

from paired import difference
from recording import markdown

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "training"))
from natural.boxes import last_boxed  # noqa: E402
from natural.grading import THOUGHT_END  # noqa: E402

Cells = dict[tuple[str, str], list[dict]]  # answers by budget and policy

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


def cells_of(path: Path) -> Cells:
    cells = defaultdict(list)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in map(json.loads, file):
            if "text" in line:
                cells[line["budget"], line["policy"]].append(line)
    if not cells:
        sys.exit(f"{path} has no texts: it must be a run of `vase eval --keep-text`")
    return cells


def rows_of(cells: Cells) -> list[list[str]]:
    rows = []
    for (budget, policy), lines in sorted(cells.items()):
        share = lambda of: f"{100 * sum(map(of, lines)) / len(lines):.1f}"  # noqa: B023, E731
        rows.append([
            lines[0]["task"], budget, f"`{policy}`", f"{len(lines)}", share(lambda line: line["correct"]), share(in_a_box),
            share(lambda line: THOUGHT_END in line["text"]), f"{sum(line['tokens'] for line in lines) / len(lines):,.0f}",
        ])  # fmt: skip
    return rows


def overall_rows(runs: list[Cells], base: str) -> list[list[str]]:
    """All runs together: who was run on each of them, and less the base at the same budget. The full cache has no base beside it."""
    found = {
        key: {(line["task"], line["id"]): in_a_box(line) for cells in runs for line in cells[key]}
        for key in sorted(set.intersection(*(set(cells) for cells in runs)))
    }
    rows = []
    for (budget, policy), answers in found.items():
        beside = found.get((budget, base), {})
        both = [key for key in answers if key in beside]
        less = ""
        if both and policy != base:
            less = "{:+.1f} ({:+.1f} to {:+.1f})".format(*difference([(answers[key], beside[key]) for key in both]))
        rows.append([budget, f"`{policy}`", f"{len(answers)}", f"{100 * sum(answers.values()) / len(answers):.1f}", less])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", metavar="POLICY", help="also print all runs together, less this policy")
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    try:
        runs = [cells_of(run) for run in arguments.runs]
        policies = sorted({policy for cells in runs for _, policy in cells})
        if arguments.base and arguments.base not in policies:
            sys.exit(f"--base {arguments.base}: the runs have {', '.join(policies)}")
        print(markdown(COLUMNS, [row for cells in runs for row in rows_of(cells)]))
        if arguments.base:
            header = ["all runs: budget", "policy", "answers", "in a box, %", f"less `{arguments.base}`"]
            print(f"\n{markdown(header, overall_rows(runs, arguments.base))}")
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"cannot read {', '.join(map(str, arguments.runs))}: runs of `vase eval --keep-text` are wanted ({error!r})")


if __name__ == "__main__":
    main()
