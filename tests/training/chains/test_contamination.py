"""A test question among the training questions is found: as it is, in other dress, in part."""

import json

import pytest
from natural import contamination

TEST = (
    "Maria buys 12 pencils for $3 each and sells half of them for $5 each; how much money does she "
    "have left over when all of the other pencils are given away?"
)
OTHER = (
    "A train with 14 cars leaves at noon, and at every one of its 9 stops two cars are taken off "
    "and one is put on; how many cars does it have when it arrives?"
)
SHORT = "Compute 17 + 4."
INSTRUCTION = "\n\nThink step by step, and put your final answer within \\boxed{}."


@pytest.fixture
def tests(tmp_path):
    rows = [{"question": TEST, "answer": "#### 21"}, {"problem": SHORT, "level": 1}]
    (tmp_path / "one_test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "two.json").write_text(json.dumps({"examples": [{"input": "Is ice cold?", "target": "Yes"}]}))
    (tmp_path / "three.csv").write_text('question,answer\n"How many legs have 3 cats?",12\n')
    (tmp_path / "one_train.jsonl").write_text(json.dumps({"question": OTHER}))
    return contamination.TestTexts(contamination.test_files([tmp_path]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TEST, "whole"),
        (TEST.upper().replace(",", "").replace(" ", "  "), "whole"),
        (SHORT, "whole"),
        ("is ice COLD", "whole"),
        ("How many legs have 3 cats?", "whole"),
        ("Well. " + " ".join(TEST.split()[:14]) + " and how many are left?", "run"),
        (" ".join(TEST.split()[:12]) + " and how many are left?", None),
        (TEST.replace("12", "13").replace("half", "most").replace("left", "over"), None),
        (OTHER, None),
    ],
)
def test_found(tests, text, found):
    assert tests.found_in(text) == found


def test_planted_questions_are_left_out(tests):
    sets = {"a": [{"text": text + INSTRUCTION} for text in (TEST, OTHER, "Also: " + TEST)], "b": []}
    kept, found = contamination.clean(sets, tests)
    assert kept == {"a": [{"text": OTHER + INSTRUCTION}], "b": []}
    assert found == {"a": {"whole": 1, "run": 1}, "b": {}}


def test_rules_that_all_questions_share_do_not_count(tmp_path):
    rules = "On this island everybody is a knight or a knave and knaves always lie to all who ask them. "
    rows = [{"quiz": f"{rules} Who of {number} people is a knave?"} for number in range(200)]
    (tmp_path / "island.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tests = contamination.TestTexts([tmp_path / "island.jsonl"])
    assert tests.found_in(rules + "Who of 999 people tells the truth?") is None
    assert tests.found_in(rows[7]["quiz"]) == "whole"
