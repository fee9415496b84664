"""Chains whose thought a budget has ended, as training rows: what is learned is to answer from there.

A model that has seen only thoughts that ended by themselves goes on with its thought behind a mark
that `vase --reasoning-budget` put there. So of some chains the beginning of the thought and that mark
are read, and the chain's answer is learned. The mark is not: thoughts would become short by it.
"""

import math
from itertools import pairwise

from .boxes import last_boxed
from .chat import answer_ids
from .joining import final_answer

OPEN, CLOSE = "<think>", "</think>"
MESSAGES = ("", "\n")  # of --reasoning-budget-message: its default, and the one that looks natural
# Of a token that is learned here, where a token of a whole chain has 1: an answer has ten tokens, a
# chain two thousand.
WEIGHT = 20.0


def conclusion(text):
    """What a chain says behind its thought, or None if that is more than the answer."""
    said = text.rsplit(CLOSE, 1)[-1].strip()
    boxed = last_boxed(said)
    return said if boxed is not None and said == final_answer(boxed) else None


def chosen(rows, rng, share=1 / 3, at_once=1 / 8):
    """Which of `rows` ({text, ...}) are cut, and how: a list of (row, share of its thought that stays
    in [0, 1), message), as many as `share` of the rows. A share `at_once` of them keeps nothing, for
    that is what a budget of 0 does, and chance alone would hardly ever."""
    usable = [row for row in rows if conclusion(row["text"]) is not None]
    taken = rng.sample(usable, min(len(usable), math.ceil(share * len(rows))))
    kept = lambda: 0.0 if rng.random() < at_once else rng.random()  # noqa: E731
    return [(row, kept(), rng.choice(MESSAGES)) for row in taken]


def end_of_thought(tokenizer, message):
    """(ids that vase writes to end a thought, the text that is missing between these and an answer):
    end_of_thought in src/engine/thinking_budget.cpp. Where a tokenizer joins the mark's last character
    with the empty line behind it, as Qwen2.5's does, the program writes that line, too."""
    line = "\n\n"
    alone = tokenizer.encode(message + CLOSE, add_special_tokens=False)
    with_line = tokenizer.encode(message + CLOSE + line, add_special_tokens=False)
    joined = with_line[: len(alone)] != alone
    return (with_line, "") if joined else (alone, line)


def cut_ids(tokenizer, text, kept, message):
    """(ids that are there when the thought of the chain `text` has been ended, ids to learn behind
    them). `kept` in [0, 1): how much of the thought stays; 0 is none. As ThinkingBudget has it, the
    opening mark's tokens do not count, and no thought ends inside a character or inside what may
    become a closing mark."""
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    end = text.index(CLOSE)
    places = [
        at
        for at, ((_, before), (start, _)) in enumerate(pairwise(read["offset_mapping"]), 1)
        if before <= start and len(OPEN) <= start < end and not _begins_a_mark(text[:start])
    ]
    ending, missing = end_of_thought(tokenizer, message)
    there = read["input_ids"][: places[int(kept * len(places))]] + ending
    return there, answer_ids(tokenizer, missing + conclusion(text))


def _begins_a_mark(text):
    return any(text.endswith(CLOSE[:n]) for n in range(1, len(CLOSE)))
