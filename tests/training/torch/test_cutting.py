"""Rows to learn an answer from where a budget has ended the thought: which, and of which tokens."""

import os
import random

import pytest
from natural import cutting
from natural.export import NAMES
from tiny_qwen2 import END, tiny_model, tiny_tokenizer, write_gguf
from vase_server import Server

ANSWER = "The answer is \\boxed{\\frac{1}{2}}."
THOUGHT = "<think>\nHalf of 1 < 2: ½ 😀.\n\nSo."
CHAIN = THOUGHT + "\n</think>\n\n" + ANSWER
SHARES = [i / 200 for i in range(200)]  # finer than the chain's tokens


@pytest.fixture(params=[False, True], ids=["alone", "joined"])
def tokenizer(request):
    """Of bytes; "joined" has ">\\n" and ">\\n\\n" as tokens."""
    return tiny_tokenizer(request.param)


def test_a_third_is_cut_anywhere_and_closed_both_ways():
    rows = [{"text": CHAIN.replace("Half", f"{i}")} for i in range(900)]
    cuts = cutting.chosen(rows, random.Random(1))
    assert len({row["text"] for row, _, _ in cuts}) == len(cuts) == 300
    shares = [kept for _, kept, _ in cuts]
    assert 20 < shares.count(0.0) < 60
    assert all(0 <= kept < 1 for kept in shares)
    for tenth in range(10):
        assert 10 < sum(tenth <= 10 * kept < tenth + 1 for kept in shares if kept) < 50
    assert 100 < sum(message == "\n" for _, _, message in cuts) < 200
    assert {message for _, _, message in cuts} == {"", "\n"}
    assert cutting.chosen(rows, random.Random(1)) == cuts
    assert len(cutting.chosen(rows[:1], random.Random(1))) == 1
    assert cutting.chosen([], random.Random(1)) == []


@pytest.mark.parametrize("said", ["So it is \\boxed{8}.", ANSWER + " Because.", "The answer is 8.", ""])
def test_a_chain_that_says_more_or_less_than_the_answer_is_not_cut(said):
    rows = [{"text": CHAIN}, {"text": CHAIN.replace(ANSWER, said)}]
    assert cutting.conclusion(rows[0]["text"]) == ANSWER
    assert [row for row, _, _ in cutting.chosen(rows, random.Random(1), share=1)] == rows[:1]


@pytest.mark.parametrize("message", cutting.MESSAGES)
def test_the_beginning_of_a_thought_its_end_and_the_answer(tokenizer, message):
    whole = tokenizer.encode(CHAIN, add_special_tokens=False)
    ending, missing = cutting.end_of_thought(tokenizer, message)
    places = []
    for kept in SHARES:
        there, learned = cutting.cut_ids(tokenizer, CHAIN, kept, message)
        place = len(there) - len(ending)
        assert there == whole[:place] + ending
        assert tokenizer.decode(there + learned[:-1]).endswith(message + "</think>\n\n" + ANSWER)
        assert tokenizer.decode(learned[:-1]) == missing + ANSWER
        assert learned[-1] == END
        places.append(place)
    beginnings = [tokenizer.decode(whole[:place]) for place in sorted(set(places))]
    assert places == sorted(places)
    opened = len("<think>") if missing else len("<think>\n")  # one token with the mark's end
    lengths = range(opened, len(THOUGHT) + 1)  # so in no character of several bytes
    assert beginnings == [THOUGHT[:n] for n in lengths if THOUGHT[n - 1] != "<"]  # a mark may begin there


def test_the_line_behind_the_mark_is_read_where_it_is_one_token_with_it():
    alone, joined = tiny_tokenizer(), tiny_tokenizer(joined=True)
    assert cutting.end_of_thought(alone, "\n") == (alone.encode("\n</think>"), "\n\n")
    assert cutting.end_of_thought(joined, "\n") == (joined.encode("\n</think>\n\n"), "")
    assert len(joined.encode("\n</think>\n\n")) == len("\n</think>\n\n") - 2


@pytest.mark.skipif("VASE_PROGRAM" not in os.environ, reason="built without the program")
@pytest.mark.parametrize("joined", [False, True])
def test_the_program_ends_thoughts_with_these_tokens(tmp_path, joined):
    write_gguf(tmp_path / "model.gguf", tiny_model(joined), NAMES)
    tokenizer = tiny_tokenizer(joined)
    with Server(tmp_path / "model.gguf", "--budget", 256) as server:
        for message in cutting.MESSAGES:
            ending, _ = cutting.end_of_thought(tokenizer, message)
            choice = server.complete(
                "Why? <think>\n", max_tokens=20, logprobs=0, reasoning_budget_tokens=0, reasoning_budget_message=message
            )["choices"][0]
            written = choice["logprobs"]["tokens"][: len(ending)]
            assert written == [tokenizer.decode([token]) for token in ending]
