"""Is a test question among the training questions? Prints what was compared and what was found.

    python -m natural.contamination --questions FOLDER --tests FOLDER [FOLDER ...]

Every string in a test file counts as test text. Two tests: the whole text, without case, punctuation
and spaces; and runs of 13 words (numbers are words), shared with any test text. Left out of the second
is what the questions of a generator have in common (rules of a puzzle): runs that stand in more than
one in fifty of a file's texts that have any. A question found is left out of training (`run.py` does
so too).
"""

import argparse
import csv
import json
import re
from collections import Counter
from pathlib import Path

from .questions import read_lines, training_questions

RUN = 13


def words(text):
    """Lower-case words and numbers."""
    return re.findall(r"[a-z]+|\d+", text.lower())


def runs(text):
    """All runs of RUN words; of knights and knaves behind the rules, which all have in common."""
    all_words = words(text.rsplit("inhabitants: ", 1)[-1])
    return {" ".join(all_words[i : i + RUN]) for i in range(len(all_words) - RUN + 1)}


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key not in ("solution", "solution_text_format", "rationale", "canary"):
                yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def texts_of(path):
    """The question texts of a file: JSON Lines, JSON or CSV."""
    path = Path(path)
    if path.suffix == ".csv":
        with open(path, encoding="utf-8", newline="") as file:
            return [row["question"] for row in csv.DictReader(file)]
    if path.suffix == ".jsonl":
        return list(_strings(read_lines(path)))
    return list(_strings(json.loads(path.read_text(encoding="utf-8"))))


class TestTexts:
    """What must not be trained on."""

    def __init__(self, paths):
        self.whole, self.runs, self.counts = set(), set(), {}
        for path in paths:
            texts = texts_of(path)
            self.counts[path.name] = len(texts)
            self.whole |= {"".join(words(text)) for text in texts}
            long = [found for found in map(runs, texts) if found]
            counts = Counter(run for found in long for run in found)
            self.runs |= {run for run, count in counts.items() if count <= max(1, len(long) // 50)}

    def found_in(self, text):
        """"whole", "run" or None."""
        if "".join(words(text)) in self.whole:
            return "whole"
        return "run" if not self.runs.isdisjoint(runs(text)) else None


def test_files(folders):
    """All files of the folders but those that are for training."""
    paths = [path for folder in folders for path in sorted(Path(folder).iterdir())]
    return [path for path in paths if "train" not in path.name and path.suffix in (".jsonl", ".json", ".csv")]


def clean(sets, tests):
    """(sets without the questions that were found, {set: {whole: n, run: n}})."""
    kept, found = {}, {}
    for name, questions in sets.items():
        asked = [question["text"].split("\n\nThink step by step")[0] for question in questions]
        kinds = [tests.found_in(text) for text in asked]
        kept[name] = [question for question, kind in zip(questions, kinds) if kind is None]
        found[name] = Counter(kind for kind in kinds if kind)
    return kept, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=Path, required=True, help="folder with the training files")
    parser.add_argument("--tests", type=Path, nargs="+", required=True, help="folders with the test files")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tests = TestTexts(test_files(args.tests))
    sets = training_questions(args.questions, args.seed)
    kept, found = clean(sets, tests)
    for name, count in tests.counts.items():
        print(f"test file {name}: {count} texts")
    for name, questions in sets.items():
        print(
            f"training set {name}: {len(questions)} questions, the same text as a test question "
            f"{found[name]['whole']}, {RUN} words in a row {found[name]['run']}; "
            f"{len(kept[name])} are used"
        )


if __name__ == "__main__":
    main()
