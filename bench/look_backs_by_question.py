#!/usr/bin/env python3
"""Prints which questions are still known at the end of the conversations of `vase eval --turns`, as Markdown: a row a policy.

    look_backs_by_question.py --policies full,vase-plus,rkv --budget 8x RUN.jsonl...

Right look-backs in percent at the conversation's first question, which `+prompt` pins, and at the later ones, which nothing protects;
95% intervals are bootstrapped over conversations (percentiles of 2,000 resamples), all conversations of the files together.
"""

import argparse
import json
import random
import re

LOOK_BACK = re.compile(r"\?[a-z]+(\d+)$")  # an item's id: of which kind, at which question
RESAMPLES = 2000


def read(paths: list[str]) -> list[dict]:
    lines = [json.loads(line) for path in paths for line in open(path) if line.strip()]
    return [line for line in lines if "items" in line]


def counts_of(record: dict, first: bool) -> tuple[int, int]:
    """Right answers and graded ones. What was asked for and never said is not graded: its `correct` is null."""
    graded = [
        item["correct"]
        for item in record["items"]
        if (found := LOOK_BACK.search(item["id"])) and (found[1] == "1") == first and item["correct"] is not None
    ]
    return sum(graded), len(graded)


def share(counts: list[tuple[int, int]]) -> float:
    return 100 * sum(right for right, _ in counts) / sum(graded for _, graded in counts)


def cell(counts: list[tuple[int, int]]) -> str:
    draws = random.Random(1)
    resampled = sorted(share(draws.choices(counts, k=len(counts))) for _ in range(RESAMPLES))
    low, high = resampled[RESAMPLES * 25 // 1000], resampled[RESAMPLES * 975 // 1000 - 1]
    return f"{share(counts):.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", required=True, help="the rows, in this order")
    parser.add_argument("--budget", required=True)
    parser.add_argument("runs", nargs="+", metavar="RUN.jsonl")
    arguments = parser.parse_args()
    records = read(arguments.runs)
    print(f"right look-backs, %, at {arguments.budget}\n\n| policy | first question | later questions |\n| --- | --- | --- |")
    for policy in arguments.policies.split(","):
        budget = "full" if policy == "full" else arguments.budget
        of_policy = [one for one in records if (one["policy"], one["budget"]) == (policy, budget)]
        cells = []
        for first in (True, False):
            # A conversation in which nothing of the kind was graded says nothing.
            counts = [pair for one in of_policy if (pair := counts_of(one, first))[1] > 0]
            cells.append(cell(counts) if counts else "-")
        print(f"| `{policy}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
