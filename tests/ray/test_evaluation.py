"""An evaluation over three nodes says what one machine says, goes on where it stopped, and outlives a node."""

import json
import os
import subprocess
import sys

import pytest

from vase.ray.evaluate import evaluate
from vase.ray.failure import Failure
from vase.ray.run_file import RunFile

QUESTIONS = 12


@pytest.fixture(scope="module")
def options(model, tmp_path_factory):
    file = tmp_path_factory.mktemp("questions") / "sums.jsonl"
    file.write_text("".join(json.dumps({"question": f"What is {number} + {number * 7}?", "answer": str(8 * number)}) + "\n"
                            for number in range(QUESTIONS)))
    # --parallel 1: then not even rounding differs.
    return ["-m", str(model), "--problems", str(file), "--policies", "full,vase-plus,random", "--budgets", "1.25x", "-n", "300",
            "--parallel", "1", "-t", "1"]


@pytest.fixture(scope="module")
def alone(options, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run.jsonl"
    subprocess.run([os.environ["VASE_PROGRAM"], "eval", *options, "-o", out], check=True, capture_output=True, timeout=300)
    return answers(out)


def answers(path):
    """What each answer is, without the times it took."""
    first, *lines = path.read_text().splitlines()
    records = [json.loads(line) for line in lines]
    kept = {(record["id"], record["policy"], record["budget"], record["sample"]):
            {name: value for name, value in record.items() if not name.endswith("seconds")} for record in records}
    assert len(kept) == len(records)
    return json.loads(first), kept


def test_the_same_answers_as_one_machine(cluster, options, alone, tmp_path):
    evaluate(tmp_path / "run.jsonl", options, parts=5)
    assert answers(tmp_path / "run.jsonl") == alone
    assert len(alone[1]) == 3 * QUESTIONS


def test_it_goes_on_where_it_stopped(cluster, options, alone, tmp_path):
    out = tmp_path / "run.jsonl"
    evaluate(out, options, parts=5)
    lines = out.read_text().splitlines()
    out.write_text("\n".join(lines[:20]) + '\n{"task":"torn')
    evaluate(out, options, parts=3)
    assert out.read_text().splitlines()[:20] == lines[:20]
    assert answers(out) == alone


def test_a_node_dies(cluster, options, alone, tmp_path, monkeypatch):
    append, killed = RunFile.append, []

    def append_and_kill(self, lines):
        append(self, lines)
        if self.answers >= 8 and not killed:
            killed.append(cluster.nodes.pop())
            cluster.kill_node(killed[0])

    monkeypatch.setattr(RunFile, "append", append_and_kill)
    evaluate(tmp_path / "run.jsonl", options, parts=6)
    cluster.nodes.append(cluster.add_node())
    assert killed and answers(tmp_path / "run.jsonl") == alone


def without(options, name):
    at = options.index(name) if name in options else len(options)
    return options[:at] + options[at + 2:]


def test_as_it_is_typed(cluster, options, alone, tmp_path):
    out = tmp_path / "run.jsonl"
    typed = [sys.executable, "-m", "vase.ray.evaluate", "--address", cluster.cluster.address, "-o", out, "--parts", "3", "--", *options]
    done = subprocess.run(typed, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert answers(out) == alone
    assert f"{3 * QUESTIONS} answers, 3 of 3 parts done" in done.stderr
    table = subprocess.run([os.environ["VASE_PROGRAM"], "eval", "--summary", out], capture_output=True, text=True).stdout
    assert done.stdout == table
    # Ray tells of its nodes on stdout, when it likes.
    speaks = "import vase.ray.evaluate as it; it.evaluate = lambda *_, **__: print('(raylet) a node died'); it.main()"
    done = subprocess.run([sys.executable, "-c", speaks, *typed[3:]], capture_output=True, text=True, timeout=120)
    assert done.stdout == table and "(raylet) a node died" in done.stderr


@pytest.mark.parametrize(("more", "words"), [
    (["--grader", "taste"], "taste"),
    (["--policies", "random"], "with --lengths FILE"),
    (["--summary", "run.jsonl"], "--summary is not for an evaluation over several machines"),
])
def test_what_is_wrong_is_said_in_a_line(cluster, options, more, words, tmp_path):
    with pytest.raises(Failure, match=words) as failure:
        evaluate(tmp_path / "run.jsonl", [*without(options, more[0]), *more])
    assert "\n" not in failure.value.message


def test_two_evaluations_do_not_share_a_file(tmp_path):
    first = RunFile(tmp_path / "run.jsonl")
    with pytest.raises(Failure, match="another evaluation is writing"):
        RunFile(tmp_path / "run.jsonl")
    first.append(['{"vase_eval":1,"settings":{"seed":1}}'])
    with pytest.raises(Failure, match="different"):
        first.append(['{"vase_eval":1,"settings":{"seed":2}}'])
