#!/usr/bin/env python3
"""Right answers by the budget for thinking: `vase eval --reasoning-budget N` over several N, a table and a picture.

    python3 bench/thinking_budget.py --program build/release/bin/vase --folder RUNS --budgets 0 128 512 -1 --png FILE \\
        -- -m model.gguf --lora reasoner.gguf --problems gsm8k_test.jsonl --count 200 --policies full,vase-plus --budgets 512 -n 2048
    python3 bench/thinking_budget.py --folder RUNS --png FILE      # from the records that are there, without a model

-1 is no budget. Each N has a file of records in --folder, and goes on where it was stopped. What follows `--` goes to `vase eval`;
budgets of the cache are best given in rows there, the same for each N. Answers are paired by question: the last columns count those
that are right only without a budget and only with it, and the exact binomial test of them (McNemar).
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from paired import binomial
from recording import markdown

NO_BUDGET = -1
COLUMNS = ["thinking budget", "cache", "policy", "questions", "right, %", "95%", "tokens", "only without a budget", "only with it", "p"]


def records_of(folder: Path, budget: int) -> Path:
    return folder / f"thinking-{'any' if budget == NO_BUDGET else budget}.jsonl"


def budgets_in(folder: Path) -> list[int]:
    """Ascending, no budget last."""
    names = [path.stem.removeprefix("thinking-") for path in folder.glob("thinking-*.jsonl")]
    return in_order([NO_BUDGET if name == "any" else int(name) for name in names])


def in_order(budgets: list[int]) -> list[int]:
    return sorted(set(budgets), key=lambda budget: math.inf if budget == NO_BUDGET else budget)


def cells_of(program: Path, records: Path) -> dict[tuple[str, str], dict]:
    """By cache budget and policy, over all tasks of the first tier."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        subprocess.run([program, "eval", "--summary", records, "--json", file.name], check=True, stdout=subprocess.DEVNULL)
        cells = json.loads(file.read())["cells"]
    return {(cell["budget"], cell["policy"]): cell for cell in cells if cell["task"] == "all" and cell["tier"] == cells[0]["tier"]}


def answers_in(records: Path) -> dict[tuple, bool]:
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    return {(line["budget"], line["policy"], line["id"], line["sample"]): line["correct"] for line in lines if "id" in line}


def only(here: dict[tuple, bool], there: dict[tuple, bool], cell: tuple[str, str]) -> tuple[int, int]:
    """Answers of a cell that are right only there, and only here."""
    both = [key for key in here if key in there and key[:2] == cell]
    return sum(there[key] and not here[key] for key in both), sum(here[key] and not there[key] for key in both)


def rows_of(measured: dict[int, dict], answers: dict[int, dict]) -> list[list[str]]:
    rows = []
    for budget, cells in measured.items():
        for (cache, policy), cell in cells.items():
            pairs = ["", "", ""]
            if budget != NO_BUDGET and NO_BUDGET in answers:
                counts = only(answers[budget], answers[NO_BUDGET], (cache, policy))
                pairs = [*map(str, counts), f"{binomial(*counts):.3f}"]
            rows.append([
                "none" if budget == NO_BUDGET else f"{budget:,}", cache, f"`{policy}`", f"{cell['questions']}",
                f"{100 * cell['accuracy']:.1f}", f"{100 * cell['low']:.1f} to {100 * cell['high']:.1f}",
                f"{cell['mean_tokens']:,.0f}", *pairs,
            ])  # fmt: skip
    return rows


def draw(measured: dict[int, dict], path: Path) -> None:
    """Right answers against the budget, a line for each cache; no budget stands at the right edge."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    places = list(range(len(measured)))
    figure, axes = plt.subplots(figsize=(5.6, 3.6))
    kinds = list(dict.fromkeys(key for cells in measured.values() for key in cells))
    for number, key in enumerate(kinds):
        there = [(place, cells[key]) for place, cells in zip(places, measured.values()) if key in cells]
        right = [100 * cell["accuracy"] for _, cell in there]
        errors = [[100 * (cell["accuracy"] - cell["low"]) for _, cell in there], [100 * (cell["high"] - cell["accuracy"]) for _, cell in there]]
        cache, policy = key
        shift = 0.06 * (number - (len(kinds) - 1) / 2)  # so that the intervals do not cover each other
        axes.errorbar([place + shift for place, _ in there], right, yerr=errors, marker="o", markersize=4, capsize=2,
                      color="black" if cache == "full" else f"C{number}", linestyle="--" if cache == "full" else "-",
                      label="full cache" if cache == "full" else f"{policy}, {cache} rows")  # fmt: skip
    axes.set_xticks(places, ["none" if budget == NO_BUDGET else f"{budget:,}" for budget in measured])
    axes.set_xlabel("tokens that a thought may have")
    axes.set_ylabel("right answers, %")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=Path("build/release/bin/vase"))
    parser.add_argument("--folder", type=Path, required=True, help="of the records")
    parser.add_argument("--budgets", type=int, nargs="*", default=[], help="for thinking, in tokens; none: only what is in --folder")
    parser.add_argument("--message", default="", help="written where a thought is cut, before the mark (a newline: $'\\n')")
    parser.add_argument("--png", type=Path, help="draw the picture there")
    parser.add_argument("more", nargs="*", help="options of `vase eval`, behind --")
    arguments = parser.parse_args()

    arguments.folder.mkdir(parents=True, exist_ok=True)
    for budget in in_order(arguments.budgets):
        command = [arguments.program, "eval", *arguments.more, "--reasoning-budget", str(budget), "--out", records_of(arguments.folder, budget)]
        if arguments.message and budget != NO_BUDGET:
            command += ["--reasoning-budget-message", arguments.message]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
            sys.exit(f"`vase eval` failed with a thinking budget of {budget}")
    budgets = budgets_in(arguments.folder)
    if not budgets:
        sys.exit(f"{arguments.folder} holds no records: --budgets measures some")
    measured = {budget: cells_of(arguments.program, records_of(arguments.folder, budget)) for budget in budgets}
    answers = {budget: answers_in(records_of(arguments.folder, budget)) for budget in budgets}
    print(markdown(COLUMNS, rows_of(measured, answers)))
    if arguments.png:
        draw(measured, arguments.png)


if __name__ == "__main__":
    main()
