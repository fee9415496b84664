"""bench/look_backs_by_question.py: what is known of the first question and of the later ones."""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "bench" / "look_backs_by_question.py"


def conversation(policy, budget, **items):
    graded = [{"id": f"c?{name}", "correct": correct} for name, correct in items.items()]
    return {"policy": policy, "budget": budget, "items": [{"id": "set-1", "correct": True}, *graded]}


def test_first_and_later_questions_are_counted_apart(tmp_path):
    records = [
        {"vase_eval": 1, "settings": {}},
        conversation("full", "full", result1=True, number3=True),
        conversation("vase", "8x", result1=True, name1=True, number11=False),
        conversation("vase", "8x", result1=None, name1=False, result2=False),
        conversation("vase", "4x", result1=False, result2=True),
    ]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    command = [sys.executable, SCRIPT, "--policies", "full,vase,rkv", "--budget", "8x", tmp_path / "run.jsonl"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # Of the first question two of three are right: the one without an answer does not count; resampled conversations have 0 to 2 of 2.
    assert output.splitlines()[4:] == [
        "| `full` | 100.0 (100.0 to 100.0) | 100.0 (100.0 to 100.0) |",
        "| `vase` | 66.7 (0.0 to 100.0) | 0.0 (0.0 to 0.0) |",
        "| `rkv` | - | - |",
    ]
