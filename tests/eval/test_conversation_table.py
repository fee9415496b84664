"""bench/conversation_table.py: the sets side by side, as `vase eval --summary --json` measured them."""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "bench" / "conversation_table.py"


def cell(policy, accuracy, look_back=False, budget="8x", questions=10):
    return {"tier": "turns8 look-back" if look_back else "turns8", "budget": budget, "policy": policy, "task": "all",
            "questions": questions, "accuracy": accuracy, "low": accuracy - 0.05, "high": accuracy + 0.02,
            "mean_rows": 0 if budget == "full" else 448.4}  # fmt: skip


def tables_of(*policies):
    """The first policy is the base; every other is 10 points above it in the turns and 10 below in the look-backs."""
    cells = [cell("full", 0.6, back, "full") | {"task": task} for back in (False, True) for task in ("all", "one of several")]
    comparisons = []
    for index, policy in enumerate(policies):
        for back in (False, True):
            cells.append(cell(policy, 0.4, back, questions=10 - index))
            cells.append(cell(policy, 0.9, back) | {"task": "one of several"})
            sign = -1 if back else 1
            comparisons.append({"tier": cells[-1]["tier"], "budget": "8x", "policy": policy, "base": policies[0],
                                "difference": 0.1 * sign, "low": 0.1 * sign - 0.1 * index, "high": 0.1 * sign + 0.05})  # fmt: skip
    return {"cells": cells, "comparisons": [one for one in comparisons if one["policy"] != policies[0]]}


def printed(tmp_path, **sets):
    named = []
    for name, tables in sets.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(tables))
        named.append(f"{name}={tmp_path / name}.json")
    command = [sys.executable, SCRIPT, "--policies", "full,vase-plus,rkv,random", "--budgets", "4x,8x", *named]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [
        [[part.strip() for part in line.strip("|").split("|")] for line in block.splitlines()]
        for block in output.split("\n\n") if block.startswith("|")
    ]  # fmt: skip


def test_right_answers_are_those_over_all_tasks_with_the_widest_interval(tmp_path):
    right, _, _ = printed(tmp_path, a=tables_of("vase-plus", "rkv"), b=tables_of("vase-plus"))
    assert right[0] == ["set", "budget, rows", "conversations", "`full`", "`vase-plus`", "`rkv`", "`random`", "+-"]
    assert right[2:] == [
        ["a", "8x, 448", "9 to 10", "60.0 / 60.0", "40.0 / 40.0", "40.0 / 40.0", "-", "5 / 5"],
        ["b", "8x, 448", "10", "60.0 / 60.0", "40.0 / 40.0", "-", "-", "5 / 5"],
    ]


def test_a_difference_is_bold_if_its_interval_has_no_zero(tmp_path):
    _, turns, backs = printed(tmp_path, a=tables_of("vase-plus", "rkv", "random"))
    assert turns[0] == ["set", "budget", "`full`", "`rkv`", "`random`"]
    assert turns[2:] == [["a", "8x", "-", "+10.0 (+0.0 to +15.0)", "+10.0 (-10.0 to +15.0)"]]
    assert backs[2:] == [["a", "8x", "-", "**-10.0 (-20.0 to -5.0)**", "**-10.0 (-30.0 to -5.0)**"]]


def test_over_several_tasks_there_is_only_who_was_run_on_all_of_them(tmp_path):
    tables = tables_of("vase-plus", "rkv")
    tables["cells"] += [one | {"task": "another"} for one in tables["cells"]
                        if one["task"] != "all" and one["policy"] != "rkv"]  # fmt: skip
    right, turns, _ = printed(tmp_path, a=tables)
    assert right[2:] == [["a", "8x, 448", "10", "60.0 / 60.0", "40.0 / 40.0", "-", "-", "5 / 5"]]
    assert turns[2:] == []

    tables["cells"] = [one for one in tables["cells"] if (one["policy"], one["task"]) != ("vase-plus", "another")]
    assert printed(tmp_path, a=tables)[0][2:] == []
