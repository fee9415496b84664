"""Joins a question's passes into one thought and an answer.

A thought says at its start how many ways it will go, counts them, and ends with a comparison: a chain
whose end is announced is one that a small model can end. The answer is the one that most ways gave;
whether it is right decides only about keeping the chain, never about what is in it.
"""

import re
from collections import Counter

from .boxes import unboxed
from .passes import WAY_NAMES

PLANS = (
    "I will work this out in {n} ways and compare the results.",
    "Let me solve this in {n} ways, and then see whether they agree.",
    "Plan: {n} ways to the answer, then a comparison.",
    "To be sure, I go {n} ways and compare at the end.",
)
HEADS = ("Way {i} of {n}: {how}.", "Way {i} of {n}, {how}.")
CHECKS = ("Check of {answer}.", "Now I check {answer} by putting it back.", "Check: does {answer} fit?")
REVIEWS = ("{answer} and {other} differ, so I look for the mistake.", "Why {answer} here and {other} there?")
WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven"}


def in_a_thought(text):
    """A pass as part of a thought, in which nothing is final: without boxes."""
    return re.sub(r"\n{3,}", "\n\n", unboxed(text)).strip()


def vote(answers):
    """The most frequent of `answers`, the earliest of those that tie; None if there is none."""
    counts = Counter(answer for answer in answers if answer is not None)
    return max(counts, key=counts.get) if counts else None


def final_answer(boxed):
    """What is said after the thought."""
    return f"The answer is \\boxed{{{boxed}}}."


def join(ways, second, rng, shown):
    """(thought, voted answer), or None if nothing was voted.

    `ways`: (name, text, answer) of first passes in their order; `second`: (kind, text, answer, about,
    other) of a check or review, or None; `shown`: answer -> how it is written.
    """
    first = vote([answer for _, _, answer in ways])
    if first is None:
        return None
    n = len(ways)
    parts = [rng.choice(PLANS).format(n=WORDS.get(n, n))]
    head = rng.choice(HEADS)
    for index, (name, text, answer) in enumerate(ways, 1):
        how = rng.choice(WAY_NAMES[name])
        parts.append("**" + head.format(i=index, n=n, how=how) + "**\n\n" + in_a_thought(text))
    write = lambda answer: "no result" if answer is None else shown[answer]  # noqa: E731
    results = [answer for _, _, answer in ways]
    listed = "; ".join(f"way {i}: {write(answer)}" for i, answer in enumerate(results, 1))
    parts.append(f"**Comparison.** {listed[0].upper()}{listed[1:]}.")
    if len(set(results)) == 1:
        parts[-1] += f" All agree on {write(first)}."
    else:
        count = results.count(first)
        parts[-1] += f" They do not all agree; {write(first)} came out {count} of {n} times."
    if second is not None:
        kind, text, answer, about, other = second
        lines = CHECKS if kind == "check" else REVIEWS
        title = rng.choice(lines).format(answer=write(about), other=write(other))
        parts.append(f"**{title}**\n\n{in_a_thought(text)}")
        results.append(answer)
        first = vote(results)
        parts.append(
            f"With this, {write(first)} has {results.count(first)} of {len(results)} results for it."
        )
    parts.append(f"So the answer is {write(first)}.")
    return "\n\n".join(parts), first
