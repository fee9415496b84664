#!/usr/bin/env python3
"""Prints accuracy and fidelity against bytes as a Markdown table, the most bytes first.

    quantised_cache_table.py TABLES.json FIDELITY.jsonl...

TABLES.json is the output of `vase eval --summary RUNS --json`, the others are those of `vase fidelity --out`, one for each type of
cache. Without TABLES.json (a dash in its place) the table holds fidelity alone. Bold is what no cache of as few bytes betters.
"""

import json
import sys
from pathlib import Path


def read_fidelity(path: str) -> list[dict]:
    """One entry for each policy and budget: means over the whole text."""
    first, *buckets = (json.loads(line) for line in Path(path).read_text().splitlines())
    entries: dict[tuple[str, str], list[dict]] = {}
    for bucket in buckets:
        entries.setdefault((bucket["policy"], bucket["budget"]), []).append(bucket)

    def mean(parts: list[dict], name: str) -> float:
        return sum(part[name] * (part["to"] - part["from"]) for part in parts) / (parts[-1]["to"] - parts[0]["from"])

    return [
        {
            "types": first["cache_types"],
            "policy": policy,
            "budget": budget,
            "bytes": parts[0]["peak_kv_bytes"],
            "kl": mean(parts, "kl"),
            "same_top": mean(parts, "same_top"),
        }
        for (policy, budget), parts in entries.items()
    ]


def read_cells(path: str) -> list[dict]:
    cells = json.loads(Path(path).read_text())["cells"]
    return [cell | {"bytes": cell["mean_kv_bytes"]} for cell in cells if cell["task"] == "all"]


def best_of(rows: list[dict], score) -> set[int]:
    """Indices of the rows that no row of as few bytes betters: of what has that score, the fewest bytes."""
    best, highest = set(), None
    for index in sorted(range(len(rows)), key=lambda i: (rows[i]["bytes"], -score(rows[i]))):
        if highest is None or score(rows[index]) > highest:
            highest = score(rows[index])
            best.add(index)
    return best


def name_of(types: str) -> str:
    keys, values = types.split("/")
    return keys if keys == values else types


def size(count: float) -> str:
    return f"{count / 2**20:.2f} MiB"


def bold(text: str, is_bold: bool) -> str:
    return f"**{text}**" if is_bold else text


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fidelity_table(measured: list[dict]) -> str:
    rows = sorted(measured, key=lambda row: -row["bytes"])
    best = best_of(rows, lambda row: -row["kl"])
    return table(
        ["types", "policy", "budget", "KV cache", "KL", "same top-1"],
        [
            [name_of(row["types"]), f"`{row['policy']}`", row["budget"], size(row["bytes"]),
             bold(f"{row['kl']:.4f}", index in best), f"{100 * row['same_top']:.1f}%"]
            for index, row in enumerate(rows)
        ],
    )  # fmt: skip


def accuracy_table(cells: list[dict], measured: list[dict]) -> str:
    fidelity = {(row["types"], row["policy"], row["budget"]): row for row in measured}
    rows = sorted(cells, key=lambda cell: -cell["bytes"])
    best = best_of(rows, lambda cell: cell["accuracy"])
    lines = []
    for index, cell in enumerate(rows):
        row = fidelity.get((cell["cache_types"], cell["policy"], cell["budget"]))
        interval = f"{100 * cell['low']:.1f} to {100 * cell['high']:.1f}"
        lines.append(
            [name_of(cell["cache_types"]), f"`{cell['policy']}`", cell["budget"], size(cell["bytes"]),
             bold(f"{100 * cell['accuracy']:.1f}", index in best), interval,
             f"{row['kl']:.4f}" if row else "", f"{100 * row['same_top']:.1f}%" if row else ""]
        )  # fmt: skip
    header = ["types", "policy", "budget", "KV cache", "right, %", "95%", "KL", "same top-1"]
    return table(header, lines)


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    measured = [row for path in sys.argv[2:] for row in read_fidelity(path)]
    if sys.argv[1] == "-":
        print(fidelity_table(measured))
        return
    cells = read_cells(sys.argv[1])
    for tier in dict.fromkeys(cell["tier"] for cell in cells):
        count = max(cell["questions"] for cell in cells if cell["tier"] == tier)
        print(f"tier {tier or 'of the file'}, {count} questions\n")
        print(accuracy_table([cell for cell in cells if cell["tier"] == tier], measured) + "\n")


if __name__ == "__main__":
    main()
