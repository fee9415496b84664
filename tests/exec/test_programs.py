"""Other programs of llama.cpp, refusals, and that the rows are those of our own front."""

import json
import math
import os
import re
import subprocess

import pytest

from llama_programs import BUDGET, ENVIRONMENT, SANITIZED, Server, counts, program, run, vase


def lines_of(result):
    return [line for line in result.stderr.splitlines() if line.startswith("vase exec: ")]


def text_of(n):
    return "".join(chr(33 + (i * i * 7 + i // 5) % 90) for i in range(n))


def test_completion(model):
    result = run("llama-completion", "-m", model, "-p", "abc", "-n", 600, "--temp", 0, "--ignore-eos", "-no-cnv",
                 "-c", 2048, "-t", 1)
    assert result.returncode == 0, result.stderr[-2000:]
    done = counts(lines_of(result))
    assert done["evictions"] > 5 and done["tokens"] >= 600


def test_completion_keeps_a_session(model, tmp_path):
    session = tmp_path / "session.bin"
    arguments = ("-m", model, "-n", 4, "--temp", 0, "--ignore-eos", "-no-cnv", "-c", 2048, "-t", 1,
                 "--prompt-cache", session)
    prompt = text_of(700)
    first = run("llama-completion", *arguments, "-p", prompt)
    assert first.returncode == 0 and session.stat().st_size > 1000, first.stderr[-2000:]
    second = run("llama-completion", *arguments, "-p", prompt + "and more")
    assert second.returncode == 0, second.stderr[-2000:]
    assert counts(lines_of(second))["taken_back"] >= 1
    assert counts(lines_of(second))["tokens"] < 300, second.stderr[-3000:]


def test_bench(model):
    result = run("llama-bench", "-m", model, "-p", 512, "-n", 64, "-d", 1024, "-r", 1, "-t", 1, "-b", 128, "-ub", 128,
                 "-o", "json")
    assert result.returncode == 0, result.stderr[-2000:]
    tests = json.loads(result.stdout)
    assert {(test["n_prompt"], test["n_gen"]) for test in tests} == {(512, 0), (0, 64)}
    assert counts(lines_of(result))["evictions"] > 10


def test_cli_answers(default_model):
    result = run("llama-cli", "-m", default_model, "-p", "Say hello.", "-n", 24, "--temp", 0, "-st", "-t", 2)
    assert result.returncode == 0, result.stderr[-2000:]
    assert any("rows each" in line for line in lines_of(result))


def test_perplexity_is_that_of_fidelity(default_model, tmp_path):
    """Of the second half of the first chunk, read in pieces as long as the interval."""
    text = tmp_path / "text.txt"
    words = "the sea and the ship went over a long quiet night while seven men sang about old bread".split()
    text.write_text(" ".join(words[(i * i + i // 3) % len(words)] for i in range(2300)))
    policy = (*BUDGET, "--pin-prompt", 0)
    bounded = run("llama-perplexity", "-m", default_model, "-f", text, "-c", 1024, "-b", 32, "-ub", 32, "-t", 2,
                  vase=policy)
    theirs = float(re.search(r"\[1\]([\d.]+),", bounded.stdout + bounded.stderr)[1])
    assert counts(lines_of(bounded))["evictions"] > 20
    buckets = tmp_path / "buckets.jsonl"
    own = vase("fidelity", "--no-reasoner", "-m", default_model, "-f", text, "-n", 1024, "--policies", "vase-plus",
               "--budgets", *policy[1:], "-o", buckets)
    assert own.returncode == 0, own.stderr
    ours = [json.loads(line) for line in buckets.read_text().splitlines()][-1]
    assert ours["from"] == 512
    assert theirs == pytest.approx(math.exp(ours["nll"]), abs=2e-4)
    assert abs(ours["nll"] - ours["nll_full"]) > 0.005  # evictions are seen in it


def test_the_rows_are_those_of_vase_run(default_model):
    """The same prompt, policy and seed of the draws: the same tokens as by vase run."""
    prompt = "Count from one to one hundred, a number a line."
    policy = ("--budget", 128, "--recency", 32, "--interval", 32, "--policy", "vase-plus")
    own = vase("run", "-m", default_model, "--no-reasoner", "-p", prompt, "-n", 300, "--temp", 0, "--ignore-eos",
               *policy, "-t", 1)
    assert own.returncode == 0, own.stderr
    with Server(default_model, "-c", 4096, "-np", 1, "-b", 64, "-ub", 64, vase=policy) as server:
        theirs = server.complete(prompt, 300)["content"]
        assert counts(server.stop())["evictions"] > 3
    mine = own.stdout.strip()
    theirs = theirs.strip()
    same = len(os.path.commonprefix([mine, theirs]))
    assert same >= min(len(mine), len(theirs)) - 8, (mine, theirs)


def refusal(*arguments):
    result = vase("exec", *arguments)
    assert result.returncode != 0 and result.stdout == ""
    line = result.stderr.strip()
    assert "\n" not in line and line.startswith("vase: "), line
    return line


def test_what_cannot_be_bounded_is_not_started(tmp_path, model):
    script = tmp_path / "start.sh"
    script.write_text(f"#!/bin/sh\nexec {program('llama-server')} \"$@\"\n")
    script.chmod(0o755)
    assert "script" in refusal(*BUDGET, "--", script)
    assert "does not load a shared libllama" in refusal(*BUDGET, "--", "/bin/true")
    static = next((p for p in ("/sbin/ldconfig", "/bin/busybox") if os.path.exists(p)), None)
    if static:
        assert "static build" in refusal(*BUDGET, "--", static, "--version")
    assert "python3 -m vase.llama_cpp" in refusal(*BUDGET, "--", "python3", "-c", "pass")
    assert "no program nothing-of-this-name" in refusal(*BUDGET, "--", "nothing-of-this-name")
    assert "no program given" in refusal(*BUDGET)
    assert "does not evict" in refusal("--policy", "full", "--", program("llama-server"))
    assert "vase serve --loop-guard" in refusal("--loop-guard", "--", program("llama-server"))
    assert "budget" in refusal("--budget", 8, "--", program("llama-server"))
    assert "lambda" in refusal("--policy", "snapkv", "--lambda", 0.1, "--", program("llama-server"))


def test_the_variables_do_the_same(model):
    printed = vase("exec", "--print-env", *BUDGET).stdout
    variables = dict(line.split("=", 1) for line in printed.splitlines())
    assert set(variables) == {"LD_PRELOAD", "VASE_EXEC"}
    assert not set(" \"'") & set(variables["VASE_EXEC"])
    command = [str(program("llama-completion")), "-m", str(model), "-p", "abc", "-n", "400", "--ignore-eos", "-no-cnv",
               "-c", "2048", "-t", "1"]
    result = subprocess.run(command, capture_output=True, text=True, env={**ENVIRONMENT, **variables}, timeout=120,
                            stdin=subprocess.DEVNULL, errors="replace")
    assert result.returncode == 0 and counts(lines_of(result))["evictions"] > 3
    for text, why in ((variables["VASE_EXEC"].replace("libllama=", "libllama=9."), "is for 9."),
                      (variables["VASE_EXEC"].replace("budget=256", "budget=many"), 'budget is "many"'),
                      ("", "has no policy")):
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, errors="replace",
                                env={**ENVIRONMENT, **variables, "VASE_EXEC": text}, stdin=subprocess.DEVNULL)
        assert result.returncode == 2 and why in result.stderr, result.stderr[-500:]


@pytest.mark.skipif(SANITIZED, reason="the sanitizer says that it is loaded")
def test_it_does_nothing_where_there_is_no_llama():
    """What the program starts in turn loads the library as well."""
    printed = vase("exec", "--print-env", *BUDGET).stdout
    variables = dict(line.split("=", 1) for line in printed.splitlines())
    result = subprocess.run(["sh", "-c", "ls / && true"], capture_output=True, text=True,
                            env={**ENVIRONMENT, **variables})
    assert result.returncode == 0 and "usr" in result.stdout and result.stderr == ""


def test_the_programs_own_status_is_handed_on(model):
    assert run("llama-server", "--no-such-option").returncode == 1
    assert run("llama-completion", "-m", "/nowhere.gguf", "-no-cnv").returncode == 1
