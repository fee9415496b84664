"""The helper that grades answers in LaTeX, spoken to as the program does."""

import json
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("math_verify", reason="scripts/make-test-venv.sh installs it")

HELPER = pathlib.Path(__file__).parents[2] / "src" / "eval" / "python" / "math_verify_helper.py"

EQUAL = [
    (r"\frac{1}{2}", r"so \boxed{0.5}"),
    (r"\frac{\sqrt{3}}{3}", r"we get \boxed{\frac{1}{\sqrt{3}}}."),
    (r"x^2+2x+1", r"\boxed{(x+1)^2}"),
    (r"(3, \frac{\pi}{2})", r"The answer is \boxed{\left( 3, \frac{\pi}{2} \right)}."),
    ("42", "6 times 7 is $42$."),
]
DIFFERENT = [
    (r"\frac{1}{2}", r"so \boxed{0.6}"),
    (r"x+1", r"\boxed{x-1}"),
    ("42", "I do not know."),
    (r"\frac{1}{2}", r"\boxed{\frac{1}{"),
]


@pytest.fixture(scope="module")
def grades():
    lines = [json.dumps({"expected": e, "reply": r}) for e, r in EQUAL + DIFFERENT]
    out = subprocess.run(
        [sys.executable, str(HELPER)],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert out[0] == "ready"
    return [json.loads(line) for line in out[1:]]


def test_one_grade_for_each_question(grades):
    assert len(grades) == len(EQUAL) + len(DIFFERENT)


@pytest.mark.parametrize("index", range(len(EQUAL)))
def test_equal_expressions(grades, index):
    assert grades[index]["correct"], EQUAL[index]
    assert grades[index]["answer"]


@pytest.mark.parametrize("index", range(len(DIFFERENT)))
def test_different_expressions(grades, index):
    assert not grades[len(EQUAL) + index]["correct"], DIFFERENT[index]


def test_no_answer_is_none(grades):
    assert grades[len(EQUAL) + 2]["answer"] is None
