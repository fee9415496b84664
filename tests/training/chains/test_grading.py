"""Replies are graded as `vase eval` grades them."""

import pytest
from natural import grading


def question(grader, expected):
    return {"grader": grader, "expected": expected}


RIGHT = [
    ("number", "1,024", "So it is \\boxed{1024}."),
    ("number", "18", "\\boxed{\\$18.00}"),
    ("number", "-3.5", "<think>\nlong\n</think>\n\n\\boxed{-3.5 \\text{ dollars}}"),
    ("number", "7", "First \\boxed{6}, no, \\boxed{7}."),
    ("choice", "4", "\\boxed{4}"),
    ("choice", "B", "\\boxed{\\text{B}}"),
    ("assignment", "Ann=knight; Bob=knave", "\\boxed{\\text{Ann is a knight, Bob is a knave}}"),
    ("equation", "24 from all of 2, 4, 3", "\\boxed{2 \\times 4 \\times 3 = 24}"),
    ("equation", "6 from all of 2, 3, 4", "\\boxed{\\frac{4}{2} \\times 3}"),
]
WRONG = [
    ("number", "7", "<think>\nIt is \\boxed{7}."),
    ("number", "7", "<think>\nIt is \\boxed{7}.\n</think>\n\nI do not know."),
    ("number", "7", "\\boxed{7 or 8}"),
    ("number", "7", "\\boxed{7"),
    ("choice", "4", "\\boxed{3}"),
    ("assignment", "Ann=knight; Bob=knave", "\\boxed{Ann is a knight}"),
    ("equation", "24 from all of 2, 4, 3", "\\boxed{4 \\times 6}"),
    ("equation", "24 from all of 2, 4, 3", "\\boxed{2 \\times 4 \\times 2}"),
    ("equation", "24 from all of 2, 4, 3", "\\boxed{__import__('os')}"),
]
LATEX = [
    ("\\frac{1}{2}", "\\boxed{0.5}", True),
    ("\\frac{\\sqrt{3}}{3}", "\\boxed{\\dfrac{1}{\\sqrt{3}}}", True),
    ("(3, 4)", "\\boxed{(3,4)}", True),
    ("\\frac{1}{2}", "\\boxed{\\frac{1}{3}}", False),
    ("\\frac{1}{2}", "\\boxed{\\frac{1}{}", False),
]


@pytest.mark.parametrize(("grader", "expected", "reply"), RIGHT)
def test_right(grader, expected, reply):
    assert grading.is_right(question(grader, expected), reply)


@pytest.mark.parametrize(("grader", "expected", "reply"), WRONG)
def test_wrong(grader, expected, reply):
    pytest.importorskip("math_verify", reason="scripts/make-test-venv.sh installs it")
    assert not grading.is_right(question(grader, expected), reply)


@pytest.mark.parametrize(("expected", "reply", "right"), LATEX)
def test_latex(expected, reply, right):
    pytest.importorskip("math_verify", reason="scripts/make-test-venv.sh installs it")
    assert grading.is_right(question("latex", expected), reply) == right


def test_equal_answers_are_equal_texts():
    ask = question("number", "1024")
    said = {grading.answer_in(ask, f"\\boxed{{{text}}}") for text in ("1024", "1,024", "\\$1024.00")}
    assert said == {"1024"}
