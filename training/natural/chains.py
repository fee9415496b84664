"""Which sampled texts become chains to train on."""

import random

from .joining import final_answer, join
from .passes import order_for

OPEN, CLOSE = "<think>\n", "\n</think>\n\n"
LEAST_MEAN = 1600  # tokens; the aim is a mean of 1,500


def chosen_ways(question, passes, rng, least=1300, most=2900, fewest=2):
    """The first passes that a thought is made of, most useful first, until they hold as many tokens
    as drawn; [] if fewer than `fewest` ended. `passes`: way -> line of the sampled pass."""
    goal, held, chosen = rng.uniform(least, most), 0, []
    for way in order_for(question):
        line = passes.get(way)
        if line and line["status"] == "ended" and not line["loop"]:
            chosen.append(line)
            held += line["tokens"]
            if held >= goal and len(chosen) >= fewest:
                break
    return chosen if len(chosen) >= fewest else []


def second_pass(chosen, votes):
    """Which second pass these want: ("check" or "review", the line of the pass that is looked at,
    another answer), or None if nothing was answered."""
    answered = [line for line in chosen if line["answer"] is not None]
    if not answered or votes is None:
        return None
    other = next((line for line in answered if line["answer"] != votes), None)
    if other:
        return "review", other, votes
    return "check", answered[0], None


def joined_chain(question, chosen, second, rng):
    """The training row of a question's passes, or None if the answer that they lead to is wrong.
    `second`: (kind, line, about, other) or None."""
    lines = chosen + ([second[1]] if second else [])
    shown = {line["answer"]: line["boxed"] for line in lines if line["answer"] is not None}
    right = {line["answer"]: line["right"] for line in lines}
    ways = [(line["way"], line["text"], line["answer"]) for line in chosen]
    extra = second and (second[0], second[1]["text"], second[1]["answer"], second[2], second[3])
    thought = join(ways, extra, rng, shown)
    if thought is None or not right[thought[1]]:
        return None
    text = OPEN + thought[0] + CLOSE + final_answer(shown[thought[1]])
    return {"id": question["id"], "set": question["set"], "question": question["text"], "text": text}


def keeps(line, least=300):
    """Whether a sampled chain is one to learn from: right, ended by itself, one thought that is
    closed, long enough to be one, in no loop."""
    text = line["text"]
    return (
        line["right"]
        and line["status"] == "ended"
        and not line["loop"]
        and line["tokens"] >= least
        and text.startswith("<think>")
        and text.count("</think>") == 1
        and text.count("<think>") == 1
    )


def balanced(rows, rng, mean=LEAST_MEAN, fewest=0.4):
    """Rows (with "tokens") without the shortest of all, so many that the rest has the mean wanted;
    a share of `fewest` stays in any case."""
    rows = sorted(rows, key=lambda row: row["tokens"], reverse=True)
    least = int(len(rows) * fewest)
    while len(rows) > max(1, least) and sum(r["tokens"] for r in rows) < mean * len(rows):
        rows.pop()
    rng.shuffle(rows)
    return rows


def question_rng(seed, question, stage):
    """Chance that depends on the seed and the question alone, so that a restart draws the same."""
    return random.Random(f"{seed} {stage} {question['id']}")
