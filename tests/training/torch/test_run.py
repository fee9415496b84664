"""The whole run on a tiny model: killed while it samples, started again as two ranks, to the adapter. From nothing and from an adapter.

A random model answers nothing rightly, so the first stage and the round are given right answers of a
few questions, as another rank would have written them; it answers the rest of their passes itself.
Those of the other questions are there too, without an end. So each stage ends because its work is
done, however slow the machine is. The round's other questions are lineage and countdown: none is
answered rightly, so both sets are dropped, and nothing is left for a second round.
A run from an adapter has such a round, without the stages before it.
"""

import json
import math
import os
import subprocess
import sys
import time

import pytest
from natural import contamination, passes, questions
from tiny_qwen2 import write_adapter, write_folder

pytest.importorskip("peft", reason="no peft: see training/natural/README.md, Tests")
pytest.importorskip("math_verify", reason="no math-verify: see training/natural/README.md, Tests")

ANSWERED = 6
MADE = 40  # questions of each generator
STAGE = 50  # questions that a stage may draw on, of so few
DEADLINE = 600  # seconds; a tenth of it by right


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def ask(name, count):
    return [{"question": f"What are {i} {name} and {i} more?", "answer": str(2 * i)} for i in range(count)]


@pytest.fixture
def material(tmp_path):
    """Model, training and test questions, and a run with right chains in its round: the folder, and the questions by set."""
    write_folder(tmp_path / "base")
    files = tmp_path / "questions"
    files.mkdir()
    write_lines(files / "gsm8k_train.jsonl", ask("apples", 40))
    write_lines(files / "math_train.jsonl", [{"problem": "What is $1+1$ here?", "answer": "2"}])
    for people in (3, 4):
        names = ["Ann", "Bob", "Cleo", "Dan"][:people]
        rows = [{"quiz": f"{people} islanders. Who lies?", "names": names, "solution": [True] * people}]
        write_lines(files / f"knights_knaves_{people}_train.jsonl", rows)
    write_lines(files / "gsm8k_test.jsonl", ask("pears", 3) + ask("apples", 2))  # two are trained on
    write_lines(files / "math500.jsonl", [{"problem": "Compute $7$.", "answer": "7", "level": 1}])
    write_lines(files / "asdiv.jsonl", [{"body": "A cat.", "question": "Legs?", "answer": "4 (legs)"}])
    write_lines(files / "mawps.jsonl", [{"input": "Two and two?", "target": 4}])
    write_lines(files / "lineage_test.jsonl", [{"question": "Who?", "answer": 1}])
    run = tmp_path / "run"
    run.mkdir()
    tests = contamination.TestTexts(contamination.test_files([files]))
    sets, _ = contamination.clean(questions.training_questions(files, 1, MADE), tests)
    chains = []
    for question in sets["gsm8k"][:ANSWERED]:
        right = question["expected"]
        text = f"<think>\nWe add them. So it is {right}.\n</think>\n\nThe answer is \\boxed{{{right}}}."
        row = {"id": question["id"], "set": "gsm8k", "way": "", "status": "ended", "loop": False}
        chains.append(row | {"tokens": 400, "text": text, "answer": right, "boxed": right, "right": True})
    write_lines(run / "round-1.7.jsonl", chains)
    return tmp_path, sets


@pytest.fixture
def folder(material):
    """The same, and a part of the first stage is done."""
    path, sets = material
    rows = []
    answered = sets["gsm8k"][:ANSWERED]
    for question in answered:
        for way in passes.order_for(question)[:3]:
            right = question["expected"]
            text = f"We add them, {way}. " * 12 + f"That is \\boxed{{{right}}}."
            row = {"id": question["id"], "set": "gsm8k", "way": way, "status": "ended", "loop": False}
            rows.append(row | {"tokens": 500, "text": text, "answer": right, "boxed": right, "right": True})
    for question in questions.mixed(sets, sum(map(len, sets.values())))[:STAGE]:
        if question in answered:
            continue
        for way in passes.order_for(question):
            row = {"id": question["id"], "set": question["set"], "way": way, "status": "limit", "loop": False}
            rows.append(row | {"tokens": 900, "text": "We", "answer": None, "boxed": None, "right": False})
    write_lines(path / "run" / "first.7.jsonl", rows)
    return path


def start(folder, rows, gpus, *more):
    options = f"--gpus {gpus} --minutes 60 --made {MADE} --rounds 2 --rank 4 --rows {rows} --limit 120 --test-limit 40 --test-count 2 --judges 1 --batch-tokens 4096"
    command = [sys.executable, "-m", "natural.run", "--model", "base", "--questions", "questions", "--tests", "questions"]
    return subprocess.Popen(
        [*command, *options.split(), *more], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip


def sampled(path):
    """Lines of a stage's file that are whole."""
    return [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith("\n")] if path.exists() else []


def killed_in(stage, folder, *more):
    """Starts a run, kills it while it samples a stage; returns the lines that it has then."""
    path = folder / "run" / f"{stage}.0.jsonl"
    process = start(folder, 8, 1, *more)  # few rows, so that the stage lasts
    until = time.time() + DEADLINE
    while len(sampled(path)) < 5 and process.poll() is None and time.time() < until:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, 9)  # its graders too
    process.communicate()
    before = sampled(path)
    assert before
    assert not (folder / "run" / f"{stage}.done").exists()
    return before


def log_of_the_end(folder, *more):
    """Runs it to its end on two ranks; returns what log.jsonl has by stage, each stage once."""
    process = start(folder, 32, 2, *more)
    said, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, said
    rows = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    log = {row["stage"]: row for row in rows}
    assert len(log) == len(rows)
    return log


def refused(folder, *more):
    """What a run says that does not begin."""
    process = start(folder, 8, 1, *more)
    said, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1, said
    assert "model loaded" not in said
    return said


def test_killed_and_started_again_it_makes_an_adapter(folder):
    run = folder / "run"
    before = killed_in("first", folder)
    log = log_of_the_end(folder)
    first = sampled(run / "first.0.jsonl")
    assert first[: len(before)] == before  # what was sampled stays
    second = sampled(run / "first.1.jsonl")  # of the other rank
    asked = [(line["id"], line["way"]) for line in first + second + sampled(run / "first.7.jsonl")]
    assert len(set(asked)) == len(asked)  # and is not sampled again
    assert len(before) < len(first)
    assert second

    assert log["questions"]["left_out"]["gsm8k"] == {"whole": 2}
    assert log["adapter-0"]["chains"] >= 1
    assert log["adapter-0"]["steps"] >= 1
    for number in range(2):
        assert log[f"adapter-{number}"]["cut_rows"] == math.ceil(log[f"adapter-{number}"]["chains"] / 3)
    assert log["round-1"]["sets"]["all"]["begun"] > ANSWERED
    assert log["adapter-1"]["chains"] > log["adapter-0"]["chains"] // 4  # of the round too
    assert log["dropped"]["sets"] == ["countdown", "lineage"]
    assert "no question is left" in log["round-2"]["note"]
    assert log["chosen"]["adapter"] == 1
    assert set(log["test"]["sets"]) == {"all", "gsm8k_test", "math500_1to4", "asdiv", "mawps", "lineage_test"}
    assert log["end"]["seconds"] > 0
    assert (run / "adapter.gguf").read_bytes() == (run / "adapter-1.gguf").read_bytes()
    assert (run / "adapter-0.gguf").read_bytes() != (run / "adapter-1.gguf").read_bytes()
    assert not list(run.glob("*.state"))


def test_from_an_adapter_only_rounds_are_made(material):
    folder, sets = material
    run = folder / "run"
    write_adapter(folder / "old.gguf", 2, 8.0)
    options = ("--start", "old.gguf", "--skip", "2")
    before = killed_in("round-1", folder, *options)
    assert "has a run with --start" in refused(folder)
    log = log_of_the_end(folder, *options)

    assert list(log) == ["questions", "adapter-0", "round-1", "adapter-1", "round-2", "choice", "chosen", "test", "end"]
    assert log["adapter-0"]["start"] == "old.gguf"
    assert log["adapter-0"]["lora_rank"] == 2
    assert (run / "adapter-0.gguf").read_bytes() == (folder / "old.gguf").read_bytes()
    assert sampled(run / "round-1.0.jsonl")[: len(before)] == before
    everything = questions.mixed(sets, sum(map(len, sets.values())))
    asked = [line["id"] for rank in range(2) for line in sampled(run / f"round-1.{rank}.jsonl")]
    assert sorted(asked) == sorted(question["id"] for question in everything[2 * STAGE :])
    assert log["adapter-1"]["chains"] == int(0.4 * ANSWERED)  # which stay of short ones; no joined chain
    assert log["adapter-1"]["steps"] >= 1
    assert log["chosen"]["adapter"] == 1
    assert (run / "adapter.gguf").read_bytes() == (run / "adapter-1.gguf").read_bytes()
    assert (run / "adapter-0.gguf").stat().st_size == (run / "adapter-1.gguf").stat().st_size  # the rank is the file's
    assert (run / "adapter-0.gguf").read_bytes() != (run / "adapter-1.gguf").read_bytes()
    assert not [*run.glob("first*"), *run.glob("second*"), *run.glob("*.state")]


def test_an_adapter_that_no_run_can_start_from_is_refused_at_once(folder):
    write_adapter(folder / "old.gguf", 2, 8.0)
    assert "has a run without --start" in refused(folder, "--start", "old.gguf")
    for path in (folder / "run").iterdir():
        path.unlink()
    assert "--start: none.gguf must be a LoRA adapter" in refused(folder, "--start", "none.gguf")
