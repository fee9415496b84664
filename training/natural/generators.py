"""Fresh questions of two kinds: lineage (who is whose ancestor) and countdown (an equation that gives
a number). Made here, so none of a published set can be among them but by chance, and that is checked.
"""

import random
from fractions import Fraction

from .instructions import ANY, CHOICE

NAMES = (
    "Aaron Agnes Albert Alma Amos Anita Basil Beryl Bruno Cecil Cora Cyril Daisy Della Edgar Edith "
    "Elmer Elsa Ethel Felix Fiona Floyd Greta Harold Hazel Hector Hilda Homer Ida Inez Irma Ivan "
    "Jasper Juno Karl Leona Lloyd Lois Lyle Mabel Marvin Maud Milo Myra Ned Nora Olaf Olive Oscar "
    "Otis Pearl Percy Petra Quinn Ralph Rhoda Rufus Ruth Selma Silas Stella Sybil Thea Ursula "
    "Vera Vince Wanda Wilma Xavier Yvonne Zelda"
).split()


def _lineage(rng, size):
    """(first, second, links, right choice's relation) of a chain of `size` people."""
    people = rng.sample(NAMES, size)
    relation = rng.choice(["ancestor", "descendant", "common ancestor", "common descendant"])
    turn = rng.randrange(1, size - 1)  # where the arrows turn round, if they do
    links = []
    for index, (one, other) in enumerate(zip(people, people[1:])):
        down = {
            "ancestor": True,
            "descendant": False,
            "common ancestor": index >= turn,  # up to the one at `turn`, then down from there
            "common descendant": index < turn,
        }[relation]
        links.append((one, other) if down else (other, one))
    rng.shuffle(links)
    return people[0], people[-1], links, relation


def lineage_questions(count, seed):
    """Questions of lineage-bench's kind: links of parents and children in any order, five choices."""
    rng = random.Random(f"lineage {seed}")
    questions = []
    for index in range(count):
        first, second, links, relation = _lineage(rng, rng.randint(4, 8))
        lines = [
            f"* {old} is {young}'s ancestor."
            if rng.random() < 0.5
            else f"* {young} is {old}'s descendant."
            for old, young in links
        ]
        texts = {
            "ancestor": f"{first} is {second}'s ancestor.",
            "descendant": f"{first} is {second}'s descendant.",
            "common ancestor": f"{first} and {second} share a common ancestor.",
            "common descendant": f"{first} and {second} share a common descendant.",
        }
        order = list(texts)
        rng.shuffle(order)
        choices = [f"{i}. {texts[name]}" for i, name in enumerate(order, 1)]
        choices.append("5. None of the above is correct.")
        questions.append(
            {
                "id": f"lineage-{seed}-{index}",
                "set": "lineage",
                "text": "Given the following lineage relationships:\n"
                + "\n".join(lines)
                + f"\nDetermine the lineage relationship between {first} and {second}.\n"
                + "Select the correct answer:\n"
                + "\n".join(choices)
                + CHOICE,
                "grader": "choice",
                "expected": str(order.index(relation) + 1),
            }
        )
    return questions


def _expression(rng, numbers):
    """A value and how it comes from all of `numbers`, whole and positive at every step."""
    parts = [(Fraction(n), str(n)) for n in numbers]
    while len(parts) > 1:
        rng.shuffle(parts)
        (a, left), (b, right) = parts.pop(), parts.pop()
        sign = rng.choice("++--**/")
        if sign == "-" and a < b or sign == "/" and a < b:
            (a, left), (b, right) = (b, right), (a, left)
        if sign == "/" and (b == 0 or a % b):
            sign = "+"
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else a}[sign]
        parts.append((value, f"({left} {sign} {right})"))
    return parts[0]


def countdown_questions(count, seed):
    """Use each of three or four numbers once to make a target between 10 and 200."""
    rng = random.Random(f"countdown {seed}")
    questions = []
    while len(questions) < count:
        numbers = [rng.randint(1, 60) for _ in range(rng.choice((3, 3, 4)))]
        value, _ = _expression(rng, numbers)
        if not 10 <= value <= 200:
            continue
        questions.append(
            {
                "id": f"countdown-{seed}-{len(questions)}",
                "set": "countdown",
                "text": f"Make an equation that equals {value} from the numbers "
                + f"{', '.join(map(str, numbers))}. Each of them must be used exactly once; "
                + "+, -, *, / and parentheses are allowed."
                + ANY,
                "grader": "equation",
                "expected": f"{value} from all of {', '.join(map(str, numbers))}",
            }
        )
    return questions
