"""bench/chain_fidelity.py on a tiny model, and the table that it prints."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))
import chain_fidelity  # noqa: E402

PROGRAM, WRITE_MODEL = os.environ.get("VASE_PROGRAM"), os.environ.get("VASE_WRITE_MODEL")
needs_program = pytest.mark.skipif(not (PROGRAM and WRITE_MODEL), reason="VASE_PROGRAM and VASE_WRITE_MODEL name no programs")


def rows_of(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def line(policy, task, id, kl, same_top):
    return {"policy": policy, "task": task, "id": id, "kl": kl, "same_top": same_top, "from": 100, "to": 600}


def test_the_table_counts_chains_that_all_policies_have_read():
    lines = [
        line("vase", "graph", "a", 0.1, 0.98), line("random", "graph", "a", 0.3, 0.99),
        line("vase", "subset", "b", 0.2, 1.0), line("random", "subset", "b", 0.1, 1.0),
        line("vase", "subset", "c", 9.0, 0.0),  # the other policy was interrupted
    ]  # fmt: skip
    header, _, vase, random = rows_of(chain_fidelity.table_of(lines))
    assert header == ["policy", "graph", "subset", "all", "differ, of 1,000", "chains unchanged", "nearer than `vase`"]
    assert vase == ["`vase`", "0.10000", "0.20000", "0.15000", "10.00", "1 of 2", ""]
    assert random == ["`random`", "0.30000", "0.10000", "0.20000", "5.00", "1 of 2", "1 of 2"]


def test_a_table_of_what_is_there(tmp_path):
    def run(*arguments):
        return subprocess.run([sys.executable, BENCH / "chain_fidelity.py", *arguments], capture_output=True, text=True)

    path = tmp_path / "chains.jsonl"
    path.write_text(json.dumps(line("vase", "graph", "a", 0.1, 0.98)) + "\n")
    done = run("--table", path)
    assert done.returncode == 0 and rows_of(done.stdout)[2] == ["`vase`", "0.10000", "0.10000", "20.00", "0 of 1", ""]
    path.write_text("")
    for wrong in (path, tmp_path / "none.jsonl"):
        done = run("--table", wrong)
        assert done.returncode == 1 and done.stderr.startswith(f"{wrong} cannot be read") and len(done.stderr.splitlines()) == 1
    assert run().returncode == 2 and run("--table", path, "--out", path).returncode == 2


def test_a_program_that_is_not_there_is_named(tmp_path):
    command = [sys.executable, BENCH / "chain_fidelity.py", "--vase", "/no/vase", "--out", tmp_path / "chains.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and done.stderr == "cannot run /no/vase: No such file or directory (--vase names the program)\n"


def test_answers_of_a_run_are_those_that_the_full_cache_ended(tmp_path):
    def answer(id, task="sums", policy="full", finish="end", tokens=1200):
        return {"id": id, "task": task, "policy": policy, "finish": finish, "tokens": tokens, "question": f"{id}?", "text": f"{id}!"}

    answers = [answer("a"), answer("cut", finish="length"), answer("short", tokens=30), answer("other", policy="vase"), answer("b"),
               answer("c", task="words"), answer("third")]  # fmt: skip
    run = tmp_path / "run.jsonl"
    answers[0]["text"] = "one\u2028two"  # as vase writes it, and no end of a line of JSON
    run.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [{"vase_eval": 1, "settings": {}}, *answers]))
    chains = chain_fidelity.answers_of(run, per_task=2, least=1000)
    assert [(chain["id"], chain["question"], chain["text"]) for chain in chains] == [("a", "a?", "one\u2028two"), ("c", "c?", "c!"), ("b", "b?", "b!")]

    for lines, said in (([answer("a") | {"finish": "length"}], "try a smaller --least"), ([{"policy": "full", "text": "x"}], "--keep-text")):
        run.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(SystemExit, match=said):
            chain_fidelity.answers_of(run, per_task=2, least=1000)


@needs_program
def test_a_tier_that_there_is_not_is_said_in_a_line(tmp_path):
    command = [sys.executable, BENCH / "chain_fidelity.py", "--vase", PROGRAM, "--out", tmp_path / "chains.jsonl", "--tier", "9k"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1 and "9k" in done.stderr


@needs_program
def test_it_measures_each_chain_once(tmp_path):
    subprocess.run([WRITE_MODEL, tmp_path / "tiny.gguf"], check=True)
    out = tmp_path / "chains.jsonl"
    command = [sys.executable, BENCH / "chain_fidelity.py", "--vase", PROGRAM, "--tier", "1k", "--per-task", "1", "--out", out,
               "--budget", "256"]  # fmt: skip
    more = ["--", "-m", tmp_path / "tiny.gguf", "-t", "1", "--chat-template", "chatml", "-n", "700"]

    def run(policies):
        return subprocess.run([*command, "--policies", policies, *more], capture_output=True, text=True)

    first = run("streaming,full")
    assert first.returncode == 0, first.stderr
    header, _, streaming, full = rows_of(first.stdout)
    assert header[1:7] == chain_fidelity.TASKS
    assert float(streaming[7]) > 0 and full[1:8] == ["0.00000"] * 7
    assert full[9:] == ["6 of 6", "6 of 6"]
    before = out.read_text()
    assert rows_of(run("streaming,full").stdout)[2:] == [streaming, full] and out.read_text() == before
    other = run("random")
    assert other.returncode != 0 and "give another --out" in other.stderr
