"""bench/thinking_budget.py: the table and the picture of records, without a model."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "bench" / "thinking_budget.py"
PROGRAM = os.environ.get("VASE_PROGRAM", "build/release/bin/vase")


def record(question, policy, correct, tokens):
    budget = "full" if policy == "full" else "256"
    return {"task": "arithmetic", "tier": "1k", "id": f"q{question}", "policy": policy, "budget": budget, "cache_types": "f16/f16", "sample": 0,
            "correct": correct, "answer": None, "expected": "1", "finish": "end", "loop": None, "prompt_tokens": 9, "tokens": tokens,
            "evictions": 0, "loop_alarms": 0, "peak_kv_bytes": 1, "seconds": 1.0, "share_seconds": 1.0, "seed": 1, "temperature": 0}  # fmt: skip


def write_records(path, right, tokens):
    """``right``: of each policy, which questions were answered right."""
    lines = [{"vase_eval": 1, "settings": {}}]
    lines += [record(i, policy, correct, tokens) for policy, all_of_it in right.items() for i, correct in enumerate(all_of_it)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def printed(folder, *options):
    command = [sys.executable, SCRIPT, "--program", PROGRAM, "--folder", folder, *options]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


def test_answers_are_paired_with_those_without_a_budget(tmp_path):
    pytest.importorskip("matplotlib")
    write_records(tmp_path / "thinking-any.jsonl", {"full": [True] * 8}, 900)
    write_records(tmp_path / "thinking-64.jsonl", {"full": [True, True] + [False] * 6}, 100)
    write_records(tmp_path / "thinking-256.jsonl", {"full": [True] * 7 + [False]}, 300)
    run = printed(tmp_path, "--png", tmp_path / "picture.png")
    assert run.returncode == 0, run.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in run.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["64", "256", "none"]
    assert [row[4] for row in rows] == ["25.0", "87.5", "100.0"]
    assert [row[6:] for row in rows] == [["100", "6", "0", "0.031"], ["300", "1", "0", "1.000"], ["900", "", "", ""]]
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_an_empty_folder_is_said(tmp_path):
    run = printed(tmp_path)
    assert run.returncode == 1 and "holds no records: --budgets measures some" in run.stderr
