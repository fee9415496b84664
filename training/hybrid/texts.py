"""Rows to train on: a piece of a novel with facts between its sentences, and questions behind it.

The wordings are those of `vase recall` (src/recall/prompt.cpp, categories/needle.cpp and decoys.cpp), which asks the
model afterwards; its names are not: here they are any two or three pieces of the vocabulary.
"""

import re

import numpy as np
from tokenizers import Tokenizer

TASK = (
    "Some facts stand in the following text, between sentences that have nothing to do with them. "
    "Read the text and remember the facts. Then answer the question behind the text, briefly.\n\n"
)
ASK = "\n\nQuestion: {} Answer with the number only.\nAnswer:"
# Kinds of facts: sentence and question, of a name and a number.
KINDS = [
    ("The secret code of {} is {}.", "What is the secret code of {}?"),
    ("The locker of {} has the number {}.", "Which number has the locker of {}?"),
    ("The bicycle of {} has the number {}.", "Which number has the bicycle of {}?"),
]
DIGITS = 5
SENTENCE = re.compile(r"\s*\S.*?(?:[.!?][\"')\]_\u201d\u2019]*(?=\s)|\n(?=\n)|$)", re.DOTALL)
ANSWER_WEIGHT = 1.0
TEXT_WEIGHT = 0.1  # of the novel's tokens and the facts', in the loss
NAMES = 20_000
# Of a row's tokens: facts, drawn between these, and questions. The rest is the novel's.
FACTS = 0.08, 0.45
QUESTIONS = 0.25


def wordings() -> list[str]:
    """What every row says, without names and numbers."""
    return [TASK, *(ASK.format(question) for _, question in KINDS), *(" " + fact for fact, _ in KINDS)]


class Rows:
    """Draws rows of tokens with a weight for each in the loss, int64 and float32 [length]."""

    def __init__(self, novel: str, tokenizer: Tokenizer, seed: int):
        self.random = np.random.default_rng(seed)
        self.tokenizer = tokenizer
        self.sentences = [self.tokens(s) for s in SENTENCE.findall(novel) if len(s) < 400]
        self.names = self.make_names()
        self.opening = self.tokens(TASK)
        self.digits = [tokenizer.token_to_id(str(digit)) for digit in range(10)]
        # Each is cut where the name and the number stand: a word is never merged with the next one.
        self.kinds = [(self.cut(" " + fact), self.cut(ASK.format(question))) for fact, question in KINDS]
        self.space = self.tokens(" ")
        self.line = self.tokens("\n")

    def tokens(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def cut(self, wording: str) -> list[list[int]]:
        """Tokens before, between and behind the {}, whose space belongs to what fills them."""
        return [self.tokens(part.removesuffix(" ")) for part in wording.split("{}")]

    def make_names(self) -> list[list[int]]:
        pieces = [t for t in self.tokenizer.get_vocab() if t.isascii() and t.isalpha() and t.islower() and len(t) < 6]
        names = []
        for _ in range(NAMES):
            words = [
                "".join(self.random.choice(pieces, self.random.integers(2, 4))).capitalize()
                for _ in range(self.random.integers(1, 3))
            ]
            names.append(self.tokens(" " + " ".join(words)))
        return names

    def name(self) -> list[int]:
        return self.names[self.random.integers(NAMES)]

    def number(self) -> list[int]:
        first = self.random.integers(1, 10)
        return self.space + [self.digits[d] for d in (first, *self.random.integers(0, 10, DIGITS - 1))]

    def facts(self, tokens: float) -> list[tuple[int, list[int], list[int]]]:
        """Kind, name and number each, as many as take so many tokens; two at least. Some names have facts of two kinds."""
        facts, taken = [], 0
        while len(facts) < 2 or taken < tokens:
            kinds = self.random.permutation(len(KINDS))
            name = self.name()
            for kind in kinds[: 2 if self.random.random() < 0.3 else 1]:
                facts.append((int(kind), name, self.number()))
                taken += len(self.fact(*facts[-1]))
        return facts

    def fact(self, kind: int, name: list[int], number: list[int]) -> list[int]:
        before, between, behind = self.kinds[kind][0]
        return before + name + between + number + behind

    def question(self, kind: int, name: list[int]) -> list[int]:
        before, behind = self.kinds[kind][1]
        return before + name + behind

    def row(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        facts = self.facts(self.random.uniform(*FACTS) * length)
        asked, room = [], QUESTIONS * length
        for i in self.random.permutation(len(facts)):
            kind, name, number = facts[i]
            asked.append((self.question(kind, name), number + self.line))
            room -= sum(map(len, asked[-1]))
            if room < 0:
                break
        planted = [self.fact(*fact) for fact in facts]
        room = length - len(self.opening) - sum(map(len, planted)) - sum(len(q) + len(a) for q, a in asked)
        text = self.opening + self.filled(planted, room)
        row, weights = [text], [[TEXT_WEIGHT] * len(text)]
        for question, answer in asked:
            row += [question, answer]
            weights += [[0.0] * len(question), [ANSWER_WEIGHT] * len(answer)]
        # A short row may be too full: its beginning goes then.
        tokens = np.fromiter((t for part in row for t in part), np.int64)
        return tokens[-length:], np.fromiter((w for part in weights for w in part), np.float32)[-length:]

    def filled(self, planted: list[list[int]], room: int) -> list[int]:
        """So many tokens of the novel, the facts at random places between its sentences."""
        at = int(self.random.integers(len(self.sentences)))
        chosen = []
        while room > 0:
            sentence = self.sentences[at % len(self.sentences)]
            chosen.append(sentence[:room])
            room -= len(sentence)
            at += 1
        places = np.sort(self.random.integers(0, len(chosen) + 1, len(planted)))
        for place, fact in reversed(list(zip(places, planted, strict=True))):
            chosen.insert(place, fact)
        return [token for part in chosen for token in part]
