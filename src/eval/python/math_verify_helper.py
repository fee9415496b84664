"""Grades answers in LaTeX for `vase eval`: is the reply's expression equal to the expected one?

Reads one JSON object a line, {"expected": ..., "reply": ...}, and writes one a line,
{"correct": true or false, "answer": what was taken for the answer or null}. Says "ready" first.
"""

import json
import sys

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

# An expression without dollars, as answer files have them, is read as LaTeX in a box.
CONFIG = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]


def grade(expected, reply):
    gold = parse("\\boxed{" + expected + "}", CONFIG) or parse(expected, CONFIG)
    said = parse(reply, CONFIG)
    return {"correct": bool(verify(gold, said)), "answer": str(said[-1]) if said else None}


def main():
    # What the libraries print must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            result = grade(question["expected"], question["reply"])
        except Exception as error:  # a malformed expression is a wrong answer, not the end
            print(f"math-verify: {error}", file=sys.stderr)
            result = {"correct": False, "answer": None}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
