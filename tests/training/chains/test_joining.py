"""Passes become one thought that announces its ways, compares them and ends with what most of them say."""

import random

import pytest
from natural import chains, joining

QUESTION = {"id": "q", "set": "gsm8k", "text": "How many?", "grader": "number", "expected": "8"}


def line(way, answer, **changes):
    """A sampled pass that ended with this answer (None: without one)."""
    box = "" if answer is None else f" \\boxed{{{answer}}}"
    base = {
        "way": way, "answer": answer, "boxed": answer, "right": answer == "8", "status": "ended",
        "loop": False, "tokens": 700, "text": f"By {way}: it is{box}.",
    }  # fmt: skip
    return base | changes


def test_a_thought_holds_all_ways_in_order_and_no_box():
    ways = [line("direct", "8"), line("facts", "8"), line("cases", "9")]
    row = chains.joined_chain(QUESTION, ways, None, random.Random(1))
    thought, answer = row["text"].split("\n</think>\n\n")
    assert thought.startswith("<think>\n")
    assert answer == "The answer is \\boxed{8}."
    assert "\\boxed" not in thought
    places = [thought.index(f"By {way}: it is") for way in ("direct", "facts", "cases")]
    assert places == sorted(places)
    assert "three" in thought.split("\n\n")[0]  # the plan
    assert "Way 1: 8; way 2: 8; way 3: 9. They do not all agree; 8 came out 2 of 3 times." in thought
    assert thought.endswith("So the answer is 8.")


def test_a_chain_to_a_wrong_answer_is_none():
    ways = [line("direct", "9"), line("facts", "9"), line("cases", "8")]
    assert chains.joined_chain(QUESTION, ways, None, random.Random(1)) is None
    assert chains.joined_chain(QUESTION, [line("direct", None)] * 2, None, random.Random(1)) is None


def test_a_review_may_turn_the_vote():
    ways = [line("direct", "9"), line("facts", "8")]
    assert joining.vote(["9", "8"]) == "9"  # the earliest of those that tie
    assert chains.joined_chain(QUESTION, ways, None, random.Random(1)) is None
    review = ("review", line("review", "8"), "8", "9")
    row = chains.joined_chain(QUESTION, ways, review, random.Random(1))
    assert "By review: it is 8." in row["text"]
    assert "8 has 2 of 3 results for it" in row["text"]


def test_what_a_second_pass_looks_at():
    agree = [line("direct", "8"), line("facts", "8")]
    assert chains.second_pass(agree, "8") == ("check", agree[0], None)
    differ = [line("direct", "8"), line("facts", "9"), line("cases", "8")]
    assert chains.second_pass(differ, "8") == ("review", differ[1], "8")
    assert chains.second_pass([line("direct", None)], None) is None


@pytest.mark.parametrize("spoilt", [{"status": "limit"}, {"status": "cut"}, {"loop": True}])
def test_only_passes_that_ended_are_joined(spoilt):
    passes = {way: line(way, "8") for way in ("direct", "unknowns", "facts")}
    passes["direct"] |= spoilt
    chosen = chains.chosen_ways(QUESTION, passes, random.Random(1))
    assert [one["way"] for one in chosen] == ["unknowns", "facts"]
    del passes["facts"]
    assert chains.chosen_ways(QUESTION, passes, random.Random(1)) == []  # one way is no comparison


def test_as_many_ways_as_the_length_asks_for():
    passes = {way: line(way, "8", tokens=500) for way in chains.order_for(QUESTION)}
    for least, count in ((900, 2), (1400, 3), (2400, 5)):
        chosen = chains.chosen_ways(QUESTION, passes, random.Random(1), least=least, most=least)
        assert len(chosen) == count
