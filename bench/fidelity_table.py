#!/usr/bin/env python3
"""How far each policy is from the full cache: runs of `vase fidelity` side by side.

    python3 bench/fidelity_table.py docs/results/fidelity/*.jsonl

A column is a text and a budget, a line a policy: KL divergence from the full cache in nats a token, the mean over all tokens of the run.
The least of a column is bold. One table for each model and length.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from recording import markdown


def divergences(runs: list[Path]) -> dict[tuple[str, int], dict[tuple[str, str, int], dict[str, float]]]:
    """KL by model and number of tokens, by text, budget and rows, by policy."""
    tables: dict = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        head, *lines = [json.loads(line) for line in run.read_text().splitlines()]
        if "vase_fidelity" not in head:
            raise ValueError(f"{run} is no run of vase fidelity")
        sums: dict = defaultdict(lambda: [0, 0.0])
        for line in lines:
            tokens = line["to"] - line["from"]
            sums[line["policy"], line["budget"], line["rows"]][0] += tokens
            sums[line["policy"], line["budget"], line["rows"]][1] += tokens * line["kl"]
        for (policy, budget, rows), (tokens, nats) in sums.items():
            tables[head["model"].split()[0], tokens][Path(head["text"]).stem, budget, rows][policy] = nats / tokens
    return tables


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="files of `vase fidelity -o`")
    try:
        tables = divergences(parser.parse_args().runs)
    except (OSError, ValueError, KeyError) as error:
        print(f"fidelity_table.py: {error}", file=sys.stderr)
        return 2
    for (model, tokens), columns in tables.items():
        print(f"\n{model}, {tokens + 1:,} tokens\n")
        policies = list(dict.fromkeys(policy for column in columns.values() for policy in column))
        rows = []
        for policy in policies:
            cells = []
            for column in columns.values():
                said = f"{column[policy]:.4f}" if policy in column else "-"
                cells.append(f"**{said}**" if policy in column and column[policy] == min(column.values()) else said)
            rows.append([f"`{policy}`", *cells])
        print(markdown(["policy", *(f"{text}, {budget} ({rows:,})" for text, budget, rows in columns)], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
