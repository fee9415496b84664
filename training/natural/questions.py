"""Questions with their right answers: those to train on, and those that must not be trained on.

A question is a dict: id, set, text (as put to the model, with the instruction), grader (number,
latex, choice, assignment, equation) and expected. The files are those of docs/question-sets.md.
"""

import json
import random
import re
from pathlib import Path

from .generators import countdown_questions, lineage_questions
from .instructions import ANY, ASSIGNMENT, CHOICE

# Shares of the questions of each set in training: mathematics first, because there the model's own
# answers are often right; the rest so that it ends on them too.
SHARES = {"gsm8k": 0.4, "math": 0.38, "knights": 0.08, "lineage": 0.08, "countdown": 0.06}


def read_lines(path):
    """The objects of a JSON Lines file."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def is_number(text):
    """Whether all of `text` is one number: "1,024", "-3.50", "$18"."""
    return re.fullmatch(r"-?\$?-?\d[\d,]*(\.\d+)?", text.strip()) is not None


def _mathematics(name, rows):
    for index, row in enumerate(rows):
        answer = str(row["answer"])
        answer = answer.rsplit("####", 1)[1].strip() if "####" in answer else answer.strip()
        yield {
            "id": f"{name}-{index}",
            "set": name,
            "text": (row.get("question") or row["problem"]).strip() + ANY,
            "grader": "number" if is_number(answer) else "latex",
            "expected": answer,
        }


def _knights(rows):
    for index, row in enumerate(rows):
        said = ["knight" if knight else "knave" for knight in row["solution"]]
        yield {
            "id": f"knights-{len(row['names'])}-{index}",
            "set": "knights",
            "text": row["quiz"].strip() + ASSIGNMENT,
            "grader": "assignment",
            "expected": "; ".join(f"{n}={role}" for n, role in zip(row["names"], said)),
        }


def training_questions(folder, seed, made=1500):
    """All that may be trained on, by set, each in an order that depends on the seed alone.

    `folder` holds the files of questions.tar.xz; of lineage and countdown `made` fresh ones each
    come from generators.
    """
    folder = Path(folder)
    knights = []
    for people in (3, 4):
        knights += read_lines(folder / f"knights_knaves_{people}_train.jsonl")
    math = [row for row in read_lines(folder / "math_train.jsonl") if not row.get("in_math500")]
    sets = {
        "gsm8k": list(_mathematics("gsm8k", read_lines(folder / "gsm8k_train.jsonl"))),
        "math": list(_mathematics("math", math)),
        "knights": list(_knights(knights)),
        "lineage": lineage_questions(made, seed),
        "countdown": countdown_questions(made, seed),
    }
    for name, questions in sets.items():
        random.Random(f"{seed} {name}").shuffle(questions)
    return sets


def mixed(sets, count, skip=()):
    """`count` questions by SHARES that are not in `skip` (ids), so interleaved that every beginning
    of the list has about these shares."""
    queues = {name: [q for q in sets[name] if q["id"] not in skip] for name in SHARES}
    taken = dict.fromkeys(SHARES, 0)
    chosen = []
    while len(chosen) < count:
        open_sets = [name for name in SHARES if taken[name] < len(queues[name])]
        if not open_sets:
            break
        name = min(open_sets, key=lambda n: (taken[n] + 1) / SHARES[n])
        chosen.append(queues[name][taken[name]])
        taken[name] += 1
    return chosen


def _asdiv(rows):
    for row in rows:
        answer = re.sub(r"\s*\(.*\)$", "", row["answer"])
        if is_number(answer):
            yield {"question": row["body"].strip() + " " + row["question"], "answer": answer}


def _mawps(rows):
    for row in rows:
        yield {"question": row["input"], "answer": f"{row['target']:g}"}


def test_questions(folder, count, seed):
    """What the adapter is measured on at the end: `count` questions of each of five public sets."""
    folder = Path(folder)
    easy = [r for r in read_lines(folder / "math500.jsonl") if "5" not in str(r["level"])]
    lineage = read_lines(folder / "lineage_test.jsonl")
    sets = {
        "gsm8k_test": list(_mathematics("gsm8k_test", read_lines(folder / "gsm8k_test.jsonl"))),
        "math500_1to4": list(_mathematics("math500_1to4", easy)),
        "asdiv": list(_mathematics("asdiv", _asdiv(read_lines(folder / "asdiv.jsonl")))),
        "mawps": list(_mathematics("mawps", _mawps(read_lines(folder / "mawps.jsonl")))),
        "lineage_test": [
            {
                "id": f"lineage_test-{index}",
                "set": "lineage_test",
                "text": row["question"].strip() + CHOICE,
                "grader": "choice",
                "expected": str(row["answer"]),
            }
            for index, row in enumerate(lineage)
        ],
    }
    chosen = []
    for name, questions in sets.items():
        random.Random(f"{seed} {name}").shuffle(questions)
        sets[name] = questions[:count]
    for index in range(count):
        chosen += [questions[index] for questions in sets.values() if index < len(questions)]
    return chosen
