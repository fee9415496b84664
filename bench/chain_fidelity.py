#!/usr/bin/env python3
"""Fidelity of policies on many chains: `vase fidelity` on questions of our tasks with their worked solutions, or on a model's own answers.

    python3 bench/chain_fidelity.py --tier 2k --per-task 4 --policies vase-plus,vase --budget 4x --out chains.jsonl [-- -ngl 99]
    python3 bench/chain_fidelity.py --run full.jsonl --per-task 8 --least 1000 --policies vase-plus,vase --budget 4x --out chains.jsonl -- -m MODEL
    python3 bench/chain_fidelity.py --table chains.jsonl

Far cheaper than answers (all policies read a chain side by side, many tokens a step) and closer to them than one text: a chain whose
every likeliest token is that of the full cache would have come out word for word. Prints a Markdown table: KL(full || policy) in
nats a token by task, the tokens in 1,000 whose likeliest differs, the chains without one, and in how many chains the policy is
nearer to the full cache than the first one. The questions are put as prompts and pinned as the policies do; the answers of our tasks are
written as our reasoner was taught to, those of a run (`vase eval --policies full --keep-text`) are read as the model wrote them, if it
ended them itself. What --out holds already is not measured again. What follows `--` goes to `vase fidelity`.
"""

import argparse
import concurrent.futures
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

TASKS = ["arithmetic", "deduction", "graph", "program", "subset", "tracking"]


def run(command: list, about: str) -> str:
    """What the program prints; ends with its complaint if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror} (--vase names the program)")
    if done.returncode != 0:
        sys.exit(f"{about}: {done.stderr.strip()}")
    return done.stdout


def lines_of(text: str) -> list[dict]:
    """The objects of JSON Lines. A model's text may hold other ends of lines than the newline, which are none here."""
    return [json.loads(line) for line in text.split("\n") if line]


def worked(problem: dict) -> str:
    return f"<think>\n{problem['chain']}</think>\n\nThe answer is \\boxed{{{problem['answer']}}}."


def in_turn(by_task: list[list[dict]]) -> list[dict]:
    """One of each task after the other, so that an interrupted run has seen all tasks."""
    return [problem for together in itertools.zip_longest(*by_task) for problem in together if problem]


def answers_of(run: pathlib.Path, per_task: int, least: int) -> list[dict]:
    """The first answers of each task that the full cache brought to their end, of at least so many tokens."""
    by_task: dict[str, list[dict]] = {}
    for answer in lines_of(run.read_text()):
        if answer.get("policy") != "full":
            continue
        if "question" not in answer or "text" not in answer:
            sys.exit(f"{run} has no questions and texts: it must be a run of `vase eval --keep-text`, one question an answer")
        found = by_task.setdefault(answer["task"], [])
        if answer["finish"] == "end" and answer["tokens"] >= least and len(found) < per_task:
            found.append({key: answer[key] for key in ("id", "task", "question", "text")})
    chains = in_turn(list(by_task.values()))
    if not chains:
        sys.exit(f"{run} has no answer of the full cache that ended after {least} tokens or more: try a smaller --least")
    return chains


def make_problems(vase: str, tier: str, per_task: int, split: str) -> list[dict]:
    """Problems with their chains."""
    command = [vase, "tasks", "make", "--tier", tier, "--count", str(per_task), "--split", split, "--with-chain"]
    by_task = []
    for task in TASKS:
        by_task.append(lines_of(run([*command, "--task", task], task)))
    return [problem | {"text": worked(problem)} for problem in in_turn(by_task)]


def measure(command: list[str], problem: dict, asked: list[str]) -> list[dict]:
    """One entry for each policy: means over the chain."""
    with tempfile.TemporaryDirectory() as folder:
        text, out = pathlib.Path(folder, "text.txt"), pathlib.Path(folder, "out.jsonl")
        text.write_text(problem["text"])
        options = ["--prompt", problem["question"], "--file", text, "--out", out, "--bucket", "1000000000"]
        run([*command, *options], problem["id"])
        entries = lines_of(out.read_text())[1:]
    return [{"id": problem["id"], "task": problem["task"], "asked": asked, **entry} for entry in entries]


def read_lines(path: pathlib.Path, asked: list[str]) -> list[dict]:
    lines = lines_of(path.read_text()) if path.exists() else []
    for line in lines:
        if line["asked"] != asked:
            sys.exit(f"{path} was measured with {' '.join(line['asked'])}, not with {' '.join(asked)}: give another --out")
    return lines


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def differing(line: dict) -> int:
    """Tokens of the chain whose likeliest is not that of the full cache."""
    return round((1 - line["same_top"]) * (line["to"] - line["from"]))


def table_of(lines: list[dict]) -> str:
    """The policies in the order of the first chain; a chain counts once all of them have read it."""
    policies = list(dict.fromkeys(line["policy"] for line in lines))
    cells = {(line["policy"], line["id"]): line for line in lines}
    chains = [id for id in dict.fromkeys(line["id"] for line in lines) if all((policy, id) in cells for policy in policies)]
    tasks = sorted({cells[policies[0], id]["task"] for id in chains})
    head = ["policy", *tasks, "all", "differ, of 1,000", "chains unchanged", f"nearer than `{policies[0]}`"]
    rows = [head, ["---"] * len(head)]
    for policy in policies:
        own, first = ([cells[name, id] for id in chains] for name in (policy, policies[0]))
        kl = [mean([line["kl"] for line in own if line["task"] == task]) for task in tasks] + [mean([line["kl"] for line in own])]
        tokens = sum(line["to"] - line["from"] for line in own)
        rows.append([
            f"`{policy}`",
            *(f"{value:.5f}" for value in kl),
            f"{1000 * sum(map(differing, own)) / tokens:.2f}",
            f"{sum(differing(line) == 0 for line in own)} of {len(chains)}",
            "" if policy == policies[0] else f"{sum(a['kl'] < b['kl'] for a, b in zip(own, first))} of {len(chains)}",
        ])  # fmt: skip
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vase", default="build/release/bin/vase", help="the program (%(default)s)")
    parser.add_argument("--tier", default="2k", help="of the problems (%(default)s)")
    parser.add_argument("--run", type=pathlib.Path, help="answers of a model instead of our tasks: a run with the full cache and its texts")
    parser.add_argument("--least", type=int, default=1000, help="tokens of an answer of --run, at least (%(default)s)")
    parser.add_argument("--per-task", type=int, default=4, help="problems of each task (%(default)s)")
    parser.add_argument("--split", default="tune", choices=["tune", "test"], help="of the problems (%(default)s)")
    parser.add_argument("--policies", default="vase-plus,vase-cur,vase,snapkv,rkv,streaming,random", help="(%(default)s)")
    parser.add_argument("--budget", default="4x", help="rows, or 4x for a quarter of each chain (%(default)s)")
    parser.add_argument("--out", type=pathlib.Path, help="JSONL: one line a chain and policy")
    parser.add_argument("--table", type=pathlib.Path, metavar="FILE", help="only print the table of what an earlier --out holds")
    parser.add_argument("--jobs", type=int, default=1, help="chains at a time (%(default)s)")
    parser.add_argument("more", nargs="*", help="further options of vase fidelity, behind --")
    arguments = parser.parse_args()

    if (arguments.table is None) == (arguments.out is None):
        parser.error("--out says where what is measured goes, --table what to print: give one of them")
    if arguments.table:
        try:
            print(table_of(lines_of(arguments.table.read_text())))
        except (OSError, ValueError, LookupError) as error:
            sys.exit(f"{arguments.table} cannot be read, or is no --out of this script: {error}")
        return

    asked = ["--policies", arguments.policies, "--budgets", arguments.budget, *arguments.more]
    command = [arguments.vase, "fidelity", *asked]
    if arguments.run:
        try:
            problems = answers_of(arguments.run, arguments.per_task, arguments.least)
        except (OSError, ValueError) as error:
            sys.exit(f"cannot read {arguments.run}: {error}")
    else:
        problems = make_problems(arguments.vase, arguments.tier, arguments.per_task, arguments.split)
    lines = read_lines(arguments.out, asked)
    missing = [problem for problem in problems if problem["id"] not in {line["id"] for line in lines}]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool, arguments.out.open("a") as file:
        for found in pool.map(lambda problem: measure(command, problem, asked), missing):
            lines += found
            file.write("".join(json.dumps(line) + "\n" for line in found))
            file.flush()
            print(f"\r{len({line['id'] for line in lines})}/{len(problems)} chains", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(table_of(lines))


if __name__ == "__main__":
    main()
