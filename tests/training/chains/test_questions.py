"""The generated questions have the answers that they say, and sets are mixed by their shares."""

import itertools
import re

import pytest
from natural import generators, questions


def relations(links, first, second):
    """How two people are related, from (ancestor, descendant) links, as numbers of the four kinds."""
    people = set(itertools.chain(*links))
    above = {person: set() for person in people}
    for _ in people:
        for old, young in links:
            above[young] |= above[old] | {old}
    below = {person: {other for other in people if person in above[other]} for person in people}
    return {
        f"{first} is {second}'s ancestor.": first in above[second],
        f"{first} is {second}'s descendant.": second in above[first],
        f"{first} and {second} share a common ancestor.": bool(above[first] & above[second])
        and first not in above[second] and second not in above[first],
        f"{first} and {second} share a common descendant.": bool(below[first] & below[second])
        and first not in above[second] and second not in above[first],
    }  # fmt: skip


def test_lineage_answers_follow_from_the_links():
    for question in generators.lineage_questions(100, seed=3):
        text = question["text"]
        links = [(a, b) for a, b in re.findall(r"\* (\w+) is (\w+)'s ancestor", text)]
        links += [(b, a) for a, b in re.findall(r"\* (\w+) is (\w+)'s descendant", text)]
        asked = re.search(r"between (\w+) and (\w+)\.", text).groups()
        true = [choice for choice, holds in relations(links, *asked).items() if holds]
        choices = dict(re.findall(r"^(\d)\. (.*)$", text, re.M))
        assert [choices[question["expected"]]] == true, text


def reachable(numbers):
    """All values that come from all of the numbers."""
    if len(numbers) == 1:
        return set(numbers)
    found = set()
    for i, j in itertools.permutations(range(len(numbers)), 2):
        rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
        a, b = numbers[i], numbers[j]
        for value in [a + b, a * b, a - b] + ([a // b] if b and a % b == 0 else []):
            found |= reachable([value, *rest])
    return found


def test_countdown_has_a_solution():
    for question in generators.countdown_questions(40, seed=3):
        target, numbers = question["expected"].split(" from all of ")
        assert int(target) in reachable(list(map(int, numbers.split(", ")))), question["text"]


def test_the_seed_alone_decides():
    assert generators.lineage_questions(5, 1) == generators.lineage_questions(5, 1)
    assert generators.lineage_questions(5, 1) != generators.lineage_questions(5, 2)


def test_every_beginning_has_the_shares():
    sets = {name: [{"id": f"{name}-{i}", "set": name} for i in range(200)] for name in questions.SHARES}
    sets["knights"] = sets["knights"][:3]
    chosen = questions.mixed(sets, 100, skip={"math-0"})
    names = [question["set"] for question in chosen]
    assert len({question["id"] for question in chosen}) == 100
    assert "math-0" not in {question["id"] for question in chosen}
    assert names.count("knights") == 3  # all there are; the others fill up
    assert names[:50].count("gsm8k") == pytest.approx(20, abs=1)
    assert len(questions.mixed(sets, 10_000)) == 803
