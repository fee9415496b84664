"""bench/cells.py: which cells run, where, and what is kept of them, with a program that answers by itself."""

import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "bench" / "cells.py"

# In place of vase: three answers that say where they were made. The policy "slow" waits for its interrupt, and "bad" fails.
PROGRAM = """#!{python}
import json, os, signal, sys, time
words = sys.argv[1:]
def option(name):
    return words[words.index(name) + 1] if name in words else ""
policy = option("--policies")
with open(option("-o"), "w") as out:
    print(json.dumps({{"vase_eval": 1, "settings": {{"model": option("-m")}}}}), file=out)
    for number in range(3):
        print(json.dumps({{"id": number, "policy": policy, "budget": option("--budgets"), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
                          "lengths": os.path.exists(option("--lengths")), "words": words}}), file=out, flush=True)
if policy == "slow":
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    time.sleep(60)
if policy == "bad":
    sys.exit("no such budget")
"""

TABLES = """[DEFAULT]
often = --temp 0.6

[sums]
model = m.gguf
problems = sums.jsonl, more.jsonl
options = %(often)s --count 3
policies = full, vase-plus, {other}
budgets = 4x, 8x
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "vase"
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(0o755)
    return path


def command(tmp_path, program, *arguments, other="rkv+prompt"):
    tables = tmp_path / "tables.ini"
    tables.write_text(TABLES.format(other=other))
    return [sys.executable, SCRIPT, tables, "--vase", program, "--models", "models", "--questions", "sets", "--out", tmp_path / "runs", *arguments]


def run(*arguments, **keywords):
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    environment["CUDA_MPS_PIPE_DIRECTORY"] = str(arguments[0] / "mps")
    return subprocess.run(command(*arguments, **keywords), capture_output=True, text=True, timeout=60, env=environment)


def answers(path):
    first, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["vase_eval"] == 1
    return lines


def test_a_table_becomes_one_file(tmp_path, program):
    done = run(tmp_path, program, "--gpus", "2", "--workers", "2", "--", "-ngl", "99", "--temp", "1")
    assert done.returncode == 0, done.stderr
    lines = answers(tmp_path / "runs" / "sums.jsonl")
    cells = [("full", "")] + [(policy, budget) for budget in ("4x", "8x") for policy in ("vase-plus", "rkv+prompt")]
    assert [(line["policy"], line["budget"]) for line in lines[::3]] == cells
    assert all(line["lengths"] == (line["policy"] != "full") for line in lines), "the full cache came first"
    assert {line["gpu"] for line in lines[3:]} == {"0", "1"}
    said = lines[3]["words"]
    assert said[:7] == ["eval", "-m", "models/m.gguf", "--problems", "sets/sums.jsonl", "--problems", "sets/more.jsonl"]
    assert said[7:13] == ["--count", "3", "-ngl", "99", "--temp", "1"], "what is given takes the place of the table's"
    # What is done is not run again, and is listed as such.
    program.write_text("#!/bin/false\n")
    hint = "nvidia-cuda-mps-control -d"
    assert hint in done.stdout and hint not in run(tmp_path, program, "--gpus", "2").stdout
    (tmp_path / "mps").mkdir()
    (tmp_path / "mps" / "control").touch()
    assert hint not in run(tmp_path, program, "--gpus", "2", "--workers", "2").stdout
    assert run(tmp_path, program).returncode == 0
    assert run(tmp_path, program, "--list").stdout.split("\n")[1] == "        done  sums vase-plus 4x"


def test_without_the_full_cache_the_published_run_has_the_lengths(tmp_path, program):
    refused = run(tmp_path, program, "--policies", "rkv+prompt", "--budgets", "8x")
    assert refused.returncode == 2 and "add full to --policies" in refused.stderr
    tables = tmp_path / "published.ini"
    name = "natural-asdiv"
    tables.write_text(TABLES.format(other="rkv+prompt").replace("[sums]", f"[{name}]"))
    arguments = command(tmp_path, program, "--policies", "rkv+prompt", "--budgets", "8x")
    arguments[2] = tables
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [line["policy"] for line in answers(tmp_path / "runs" / f"{name}.jsonl")] == ["rkv+prompt"] * 3
    published = gzip.decompress((ROOT / "docs/results" / f"{name}.jsonl.gz").read_bytes())
    assert (tmp_path / "runs" / name / "lengths.jsonl").read_bytes() == published


def test_a_cell_that_fails_is_named_and_the_others_go_on(tmp_path, program):
    done = run(tmp_path, program, other="bad")
    assert done.returncode == 1
    assert "sums bad 4x failed: no such budget" in done.stderr and "bad-4x.log" in done.stderr
    assert (tmp_path / "runs" / "sums" / "vase-plus-8x.done").exists()
    assert not (tmp_path / "runs" / "sums.jsonl").exists()
    done = run(tmp_path, program, other="vase")  # the file is right now
    assert done.returncode == 0 and len(answers(tmp_path / "runs" / "sums.jsonl")) == 15


def test_stopped_it_stops_its_cells_and_keeps_what_they_have(tmp_path, program):
    running = subprocess.Popen(command(tmp_path, program, other="slow"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    slow = tmp_path / "runs" / "sums" / "slow-4x.jsonl"
    end = time.monotonic() + 30
    while not (slow.exists() and len(slow.read_text().splitlines()) == 4) and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    _, error = running.communicate(timeout=30)
    assert running.returncode == 130 and "the same command goes on" in error
    assert len(answers(slow)) == 3 and not slow.with_suffix(".done").exists()
    assert slow.with_suffix(".log").exists()


@pytest.mark.parametrize("change,reason", [(("budgets", "budget"), "lacks budgets"), (("model = ", "speed = 3\nmodel = "), "has speed, which nobody reads"),
                                           (("[sums]", "sums"), "File contains no section headers")])
def test_bad_tables_are_refused(tmp_path, program, change, reason):
    arguments = command(tmp_path, program)
    arguments[2].write_text(arguments[2].read_text().replace(*change).replace("[DEFAULT]\noften = --temp 0.6\n", "" if "sums]" in change[0] else "[DEFAULT]\noften = --temp 0.6\n"))
    refused = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and reason in refused.stderr, refused.stderr
    assert refused.stderr.startswith("cells.py: ") and refused.stderr.count("\n") <= 3


def test_a_program_that_is_not_there(tmp_path, program):
    refused = run(tmp_path, tmp_path / "none")
    assert refused.returncode == 2 and "there is no program" in refused.stderr and "Traceback" not in refused.stderr


def test_cells_of_other_settings_are_not_joined(tmp_path, program):
    assert run(tmp_path, program).returncode == 0
    other = tmp_path / "runs" / "sums" / "vase-plus-8x.jsonl"
    other.write_text(other.read_text().replace("models/m.gguf", "models/n.gguf", 1))
    refused = run(tmp_path, program)
    assert refused.returncode == 1 and refused.stderr.startswith("cells.py: ") and "vase-plus-8x.jsonl has other settings" in refused.stderr


def test_a_table_that_is_not_there(tmp_path, program):
    refused = run(tmp_path, program, "--tables", "products")
    assert refused.returncode == 2 and "has no table products; it has: sums" in refused.stderr


@pytest.mark.parametrize("option,asked", [("--policies", "vase,rkv+prompt"), ("--budgets", "4x,16x")])
def test_a_policy_or_budget_that_no_table_has(tmp_path, program, option, asked):
    refused = run(tmp_path, program, option, asked)
    wrong = "vase among its policies" if option == "--policies" else "16x among its budgets"
    assert refused.returncode == 2 and f"no table here has {wrong}" in refused.stderr, refused.stderr


def test_the_tables_of_the_results_can_be_read():
    listed = subprocess.run([sys.executable, SCRIPT, ROOT / "bench" / "tables.ini", "--list"], capture_output=True, text=True, timeout=60)
    assert listed.returncode == 0, listed.stderr
    assert "natural-asdiv rkv+prompt 8x" in listed.stdout and "gsm8k-pack16 full" in listed.stdout
