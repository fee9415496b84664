#!/usr/bin/env python3
"""Prints what `vase eval --turns` measured on several sets as Markdown: a row a set and budget, a column a policy.

    conversation_table.py --policies vase-plus,rkv,random+prompt --budgets 8x SET=TABLES.json...

Each TABLES.json is the output of `vase eval --summary RUN --base POLICY --json`. The first table holds right answers in percent, the
question of the turn / the look-backs, and the widest half of an interval in the row; the other two hold the differences from the base,
paired on the same conversations, with their 95% intervals, bold where zero lies outside. A dash stands for what was not run. If
TABLES.json is of several tasks, that is also who was not run on all of them; a budget at which nobody was has no row.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

LOOK_BACK = " look-back"
Key = tuple[bool, str, str]  # whether it is of the look-backs, budget, policy


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run_of(policy: str, budget: str) -> tuple[str, str]:
    """Budget and policy of the run that stands in a row of this budget: there is one full cache for all."""
    return "full" if policy == "full" else budget, policy


def key_of(cell: dict) -> Key:
    return cell["tier"].endswith(LOOK_BACK), cell["budget"], cell["policy"]


def on_all_tasks(tables: dict) -> set[Key]:
    """Who was run on every task of a file: what is said over all tasks of anybody else is of fewer."""
    tasks: dict[bool, set[str]] = defaultdict(set)
    had: dict[Key, set[str]] = defaultdict(set)
    for cell in tables["cells"]:
        if cell["task"] != "all":
            tasks[key_of(cell)[0]].add(cell["task"])
            had[key_of(cell)].add(cell["task"])
    return {key for key, some in had.items() if some == tasks[key[0]]}


def cells_of(tables: dict) -> dict[Key, dict]:
    """Over all tasks of a file."""
    complete = on_all_tasks(tables)
    return {key_of(cell): cell for cell in tables["cells"] if cell["task"] == "all" and key_of(cell) in complete}


def comparisons_of(tables: dict) -> dict[Key, dict]:
    """Where both of a pair were run on all tasks of a file."""
    complete = on_all_tasks(tables)
    return {
        key_of(one): one
        for one in tables["comparisons"]
        if all((key_of(one)[0], *run_of(policy, one["budget"])) in complete for policy in (one["policy"], one["base"]))
    }


def half_width(cell: dict) -> float:
    return max(cell["high"] - cell["accuracy"], cell["accuracy"] - cell["low"])


def span(numbers: list[int]) -> str:
    """One number, or the smallest and the largest."""
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def right_row(name: str, budget: str, policies: list[str], tables: dict) -> list[str] | None:
    """Nothing if no policy that evicts was run at this budget."""
    cells = cells_of(tables)
    keys = [run_of(policy, budget) for policy in policies]
    there = [cells[look_back, *key] for key in keys for look_back in (False, True) if (look_back, *key) in cells]
    evicting = [cell for cell in there if cell["policy"] != "full"]
    if not evicting:
        return None
    right = [
        f"{100 * cells[False, *key]['accuracy']:.1f} / {100 * cells[True, *key]['accuracy']:.1f}"
        if {(False, *key), (True, *key)} <= cells.keys() else "-"
        for key in keys
    ]  # fmt: skip
    widest = [100 * max(half_width(c) for c in there if c["tier"].endswith(LOOK_BACK) == kind) for kind in (False, True)]
    rows = round(max(cell["mean_rows"] for cell in evicting))
    count = span([cell["questions"] for cell in evicting])
    return [name, f"{budget}, {rows}", count, *right, f"{widest[0]:.0f} / {widest[1]:.0f}"]


def difference(one: dict | None) -> str:
    if one is None:
        return "-"
    text = f"{100 * one['difference']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
    return f"**{text}**" if one["low"] > 0 or one["high"] < 0 else text


def difference_row(name: str, budget: str, others: list[str], look_back: bool, tables: dict) -> list[str] | None:
    comparisons = comparisons_of(tables)
    found = [comparisons.get((look_back, budget, policy)) for policy in others]
    return [name, budget, *map(difference, found)] if any(found) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", required=True, help="the columns, in this order")
    parser.add_argument("--budgets", required=True)
    parser.add_argument("sets", nargs="+", metavar="SET=TABLES.json")
    arguments = parser.parse_args()
    policies = arguments.policies.split(",")
    read = [(name, json.loads(Path(path).read_text())) for name, path in (one.split("=", 1) for one in arguments.sets)]
    wanted = [(name, budget, tables) for name, tables in read for budget in arguments.budgets.split(",")]

    def print_rows(title: str, header: list[str], rows: list[list[str] | None]) -> None:
        print(f"{title}\n\n{table(header, [row for row in rows if row])}\n")

    print_rows(
        "right, %: question of the turn / look-backs",
        ["set", "budget, rows", "conversations", *(f"`{policy}`" for policy in policies), "+-"],
        [right_row(name, budget, policies, tables) for name, budget, tables in wanted],
    )
    base = read[0][1]["comparisons"][0]["base"]
    others = [policy for policy in policies if policy != base]
    for title, look_back in ((f"question of the turn, less {base}", False), (f"look-backs, less {base}", True)):
        print_rows(
            title,
            ["set", "budget", *(f"`{policy}`" for policy in others)],
            [difference_row(name, budget, others, look_back, tables) for name, budget, tables in wanted],
        )


if __name__ == "__main__":
    main()
