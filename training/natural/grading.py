"""Is a reply right? Small graders for the questions of questions.py, in the words of `vase eval`'s:
an open thought holds no answer, and the last box of what was said after it is the answer.

LaTeX is compared by the helper that `vase eval` itself uses (src/eval/python/math_verify_helper.py).
"""

import importlib.util
import re
from fractions import Fraction
from functools import cache
from pathlib import Path

from .boxes import last_boxed

THOUGHT_END = "</think>"


@cache
def _math_verify():
    here = Path(__file__).resolve()
    beside = here.with_name("math_verify_helper.py")  # where a kit was packed
    path = beside if beside.exists() else here.parents[2] / "src/eval/python" / beside.name
    spec = importlib.util.spec_from_file_location("math_verify_helper", path)
    helper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(helper)
    return helper


def after_thought(reply):
    """What was said after the thought; nothing if a thought is still open."""
    if "<think>" in reply and THOUGHT_END not in reply:
        return ""
    return reply.rsplit(THOUGHT_END, 1)[-1]


def _number(text):
    """The one number of a short text such as "$1,024", "18 dollars" or "50\\%", else None."""
    text = re.sub(r"\\text\s*\{[^}]*\}|\\[,!;%$ ]|[$%]|\\mathrm\{[^}]*\}", " ", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    found = re.findall(r"-?\d+(?:\.\d+)?", text)
    return Fraction(found[0]) if len(found) == 1 and "\\frac" not in text else None


def _choice(text):
    found = re.fullmatch(r"\W*(?:\\text\w*\{)?\W*([A-Z1-9])\b.*", text, re.S)
    return found and found[1]


def _roles(text, names):
    text = re.sub(r"\\text\w*|[{}*$\\]", " ", text)
    said = []
    for name in names:
        found = re.findall(rf"\b{re.escape(name)}\b\s*(?:is|are|:|=|-|→)?\s*(?:an?\s+)?(knight|knave)", text, re.I)
        said.append(f"{name}={found[-1].lower()}" if found else f"{name}=?")
    return "; ".join(said)


def _value(expression):
    """(value, numbers used) of an expression of whole numbers, or None."""
    text = expression.replace("\\times", "*").replace("\\cdot", "*").replace("\\div", "/")
    text = re.sub(r"\\left|\\right|\\,|\s|\$", "", text).replace("×", "*").replace("÷", "/")
    text = re.sub(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}", r"((\1)/(\2))", text)
    text = text.split("=")[0]
    if not re.fullmatch(r"[\d+\-*/()]{3,200}", text) or "**" in text or "//" in text:
        return None
    try:
        value = eval(re.sub(r"\d+", lambda m: f"Fraction({int(m[0])})", text), {"Fraction": Fraction})
    except (SyntaxError, ZeroDivisionError, TypeError):
        return None
    return value, sorted(map(int, re.findall(r"\d+", text)))


def answer_in(question, reply):
    """The answer of a reply as a short text: equal answers are mostly equal texts. None: no answer."""
    said = after_thought(reply)
    boxed = last_boxed(said)
    if question["grader"] == "assignment":
        names = [part.split("=")[0] for part in question["expected"].split("; ")]
        roles = _roles(boxed if boxed is not None else said, names)
        if "?" in roles:
            roles = _roles(said, names)
        return None if "?" in roles else roles
    if boxed is None:
        tag = re.findall(r"<answer>(.*?)</answer>", said, re.I | re.S)
        boxed = tag[-1].strip() if tag else None
    if not boxed:
        return None
    if question["grader"] == "choice":
        return _choice(boxed)
    if question["grader"] == "number":
        number = _number(boxed)
        if number is not None:
            return str(number.numerator) if number.denominator == 1 else str(float(number))
    if question["grader"] == "equation":
        return boxed
    text = re.sub(r"\\left|\\right|\\[,!; ]|\s+", "", boxed).rstrip(".")
    return text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


def is_right(question, reply):
    """Whether the reply ends with the right answer."""
    answer = answer_in(question, reply)
    if answer is None:
        return False
    expected = question["expected"]
    if question["grader"] in ("choice", "assignment"):
        return answer == expected
    if question["grader"] == "equation":
        target, numbers = expected.split(" from all of ")
        found = _value(answer)
        return found is not None and found == (int(target), sorted(map(int, numbers.split(", "))))
    if question["grader"] == "number" and _number(answer) is not None:
        return _number(answer) == _number(expected)
    if answer.replace("\\$", "") == re.sub(r"\s+", "", expected):
        return True
    try:
        return _math_verify().grade(expected, "\\boxed{" + answer + "}")["correct"]
    except Exception:  # noqa: BLE001: as there, a malformed expression is a wrong answer
        return False
