"""bench/closed_thoughts.py: what it counts, without a model."""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "bench" / "closed_thoughts.py"


def record(number, policy, text, expected="14", correct=False):
    return {"task": "sums", "id": f"q{number}", "policy": policy, "budget": "8x", "correct": correct, "expected": expected, "tokens": 100 * number, "text": text}


def printed(*runs):
    return subprocess.run([sys.executable, SCRIPT, *runs], capture_output=True, text=True, timeout=60)


def test_boxes_inside_open_thoughts_are_counted_apart(tmp_path):
    run = tmp_path / "run.jsonl"
    lines = [
        {"vase_eval": 1, "settings": {}},
        record(1, "vase-plus", "<think>So.</think>\n\nThe answer is \\boxed{14}.", correct=True),
        record(2, "rkv", "<think>Way 1. The final answer is \\boxed{1{,}400} or rather \\boxed{14.0}."),
        record(3, "rkv", "<think>Way 1. The final answer is \\boxed{\\frac{1}{3}}.", expected="\\frac{1}{2}"),
        record(4, "rkv", "<think>Way 1.\n\nThus \\boxed{\\dfrac{1}{2}}", expected="\\frac{1}{2}"),
        record(5, "rkv", "<think>Way 1 goes on"),
    ]
    run.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = printed(run)
    assert said.returncode == 0, said.stderr
    assert "| sums | 8x | `vase-plus` | 1 | 100.0 | 100.0 | 100.0 | 100 |" in said.stdout
    assert "| sums | 8x | `rkv` | 4 | 0.0 | 50.0 | 0.0 | 350 |" in said.stdout


def test_all_runs_together_less_the_base(tmp_path):
    runs = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    for run in runs:
        lines = [
            record(1, "vase-plus", "</think> \\boxed{14}", correct=True),
            record(2, "vase-plus", "</think> \\boxed{14}", correct=True),
            record(1, "rkv", "<think> \\boxed{14}"),
            record(2, "rkv", "<think> \\boxed{15}"),
        ]
        if run == runs[0]:
            lines.append(record(1, "random", "</think> \\boxed{14}", correct=True))
        run.write_text("".join(json.dumps(line | {"task": run.stem}) + "\n" for line in lines))
    said = printed("--base", "vase-plus", *runs)
    assert said.returncode == 0, said.stderr
    together = said.stdout.split("\n\n")[1].splitlines()
    assert together[2:] == ["| 8x | `rkv` | 4 | 50.0 | -50.0 (-100.0 to +0.0) |", "| 8x | `vase-plus` | 4 | 100.0 |  |"]


def test_a_base_that_nobody_ran_is_refused_with_those_there_are(tmp_path):
    run = tmp_path / "run.jsonl"
    lines = [{"vase_eval": 1, "settings": {}}, record(1, "vase-plus", "So."), record(2, "rkv", "So.")]
    run.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = printed("--base", "nope", run)
    assert said.returncode == 1
    assert said.stderr.strip() == "--base nope: the runs have rkv, vase-plus"


def test_a_run_without_texts_is_named(tmp_path):
    run = tmp_path / "run.jsonl"
    run.write_text(json.dumps({"vase_eval": 1, "settings": {}}) + "\n")
    said = printed(run)
    assert said.returncode == 1
    assert said.stderr.strip() == f"{run} has no texts: it must be a run of `vase eval --keep-text`"
