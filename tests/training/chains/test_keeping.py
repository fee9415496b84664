"""Which sampled chains are learned from, and how their lengths are balanced."""

import random

import pytest
from natural import chains, judge, loops

TEXT = "<think>\nSome thought.\n</think>\n\nThe answer is \\boxed{8}."
GOOD = {"text": TEXT, "right": True, "status": "ended", "loop": False, "tokens": 2000}


def test_a_right_chain_that_ended_is_kept():
    assert chains.keeps(GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"right": False},
        {"status": "limit"},
        {"status": "cut"},
        {"loop": True},
        {"tokens": 299},
        {"text": "The answer is \\boxed{8}."},
        {"text": TEXT.replace("</think>", "")},
        {"text": TEXT + TEXT},
    ],
)
def test_any_other_is_not(change):
    assert not chains.keeps(GOOD | change)


def test_short_chains_are_dropped_until_the_mean_is_reached():
    rows = [{"tokens": tokens} for tokens in (400, 500, 1200, 1500, 1800, 2600, 3000)]
    left = chains.balanced(rows, random.Random(1), mean=1600)
    assert sorted(row["tokens"] for row in left) == [500, 1200, 1500, 1800, 2600, 3000]


def test_a_share_stays_where_all_are_short():
    left = chains.balanced([{"tokens": 100 + i} for i in range(10)], random.Random(1), mean=1600)
    assert sorted(row["tokens"] for row in left) == [106, 107, 108, 109]
    assert chains.balanced([], random.Random(1)) == []


def test_a_loop_is_seen_and_a_list_is_not():
    rng = random.Random(1)
    text = [rng.randrange(1000) for _ in range(400)]
    assert not loops.ends_in_loop(text)
    assert loops.ends_in_loop(text + [5, 6, 7, 8, 9, 10, 11] * 30)
    assert loops.ends_in_loop(text + text[:100] * 5)
    assert not loops.ends_in_loop(text + text[:100] * 3)
    assert not loops.ends_in_loop(text + [number for i in range(60) for number in (5, 6, 7, i)])
    assert not loops.ends_in_loop([])


def test_summary_leaves_out_what_the_clock_cut():
    lines = [
        {"set": "a", "status": "ended", "right": True, "loop": False, "tokens": 100},
        {"set": "a", "status": "ended", "right": False, "loop": False, "tokens": 300},
        {"set": "b", "status": "loop", "right": False, "loop": True, "tokens": 900},
        {"set": "b", "status": "limit", "right": False, "loop": False, "tokens": 900},
        {"set": "b", "status": "cut", "right": False, "loop": False, "tokens": 5},
    ]
    found = judge.summary(lines)
    assert found["all"] == {
        "begun": 5, "cut": 1, "ended": 50.0, "right": 25.0, "loops": 25.0, "limit": 25.0, "tokens": 200,
    }  # fmt: skip
    assert found["a"]["right"] == 50.0
    assert found["b"]["ended"] == 0.0


@pytest.mark.parametrize("right, cut, lost", [(0, 0, {"a"}), (4, 0, {"a"}), (5, 0, set()), (0, 81, set())])
def test_a_set_is_hopeless_where_enough_was_asked_and_next_to_nothing_right(right, cut, lost):
    line = {"set": "a", "status": "ended", "right": False, "loop": False, "tokens": 100}
    lines = [line | {"right": True}] * right + [line | {"status": "cut"}] * cut
    lines += [line] * (100 - len(lines))
    assert judge.hopeless(judge.summary(lines)) == lost
