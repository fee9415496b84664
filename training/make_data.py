"""Training data: problems from `vase tasks make`, tokenised and packed into rows.

The data is an endless list of shards. Shard i depends on the seed and i alone, so a run that stops
can go on where it was. A row holds whole documents; attention never crosses from one to another.

    python make_data.py --vase build/vase --base SmolLM2.gguf      # prints what a shard holds
"""

import argparse
import json
import os
import subprocess
from dataclasses import dataclass

import gguf
import numpy as np

from smollm_tokenizer import load_tokenizer

CONTEXT = 8192
TASKS = ["arithmetic", "tracking", "graph", "deduction", "program", "subset"]
# Documents of each task in a shard, by tier: most tokens go to the long ones.
TIERS = {"1k": 4, "2k": 4, "4k": 4, "8k": 3}
END = "<|im_end|>"
SYSTEM = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n"
)
IGNORE = -100  # target of a token that carries no loss


def prompt_text(question: str) -> str:
    """The user's message in ChatML, up to where the assistant begins to write."""
    return f"<|im_start|>user\n{question}{END}\n<|im_start|>assistant\n"


def reply_text(problem: dict) -> str:
    """What the assistant writes: the chain, then the answer."""
    return f"<think>\n{problem['chain']}</think>\n\nThe answer is \\boxed{{{problem['answer']}}}."


@dataclass
class Document:
    tokens: list[int]
    prompt_length: int
    kind: int  # task number * number of tiers + tier number


@dataclass
class Rows:
    """Packed rows, all [rows, CONTEXT]. Document 0 of a row is padding."""

    tokens: np.ndarray
    targets: np.ndarray
    positions: np.ndarray
    documents: np.ndarray
    kinds: np.ndarray

    def take(self, rows) -> "Rows":
        return Rows(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def make_problems(vase: str, task: str, tier: str, count: int, seed: int) -> list[dict]:
    command = [vase, "tasks", "make", "--task", task, "--tier", tier, "--count", str(count)]
    command += ["--seed", str(seed), "--split", "train", "--with-chain"]
    # A generator that hangs must not hang the training.
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return [json.loads(line) for line in out.splitlines()]


def pack(documents: list[Document], random: np.random.Generator) -> Rows:
    """First fit, longest first; then the rows are shuffled."""
    bins: list[list[Document]] = []
    free: list[int] = []
    for document in sorted(documents, key=lambda d: -len(d.tokens)):
        length = len(document.tokens)
        fitting = [i for i, room in enumerate(free) if room >= length]
        if fitting:
            bins[fitting[0]].append(document)
            free[fitting[0]] -= length
        else:
            bins.append([document])
            free.append(CONTEXT - length)
    random.shuffle(bins)
    rows = Rows(*(np.zeros((len(bins), CONTEXT), np.int32) for _ in range(5)))
    rows.targets[:] = IGNORE
    for row, content in enumerate(bins):
        start = 0
        for number, document in enumerate(content, 1):
            end = start + len(document.tokens)
            rows.tokens[row, start:end] = document.tokens
            rows.positions[row, start:end] = np.arange(end - start)
            rows.documents[row, start:end] = number
            rows.kinds[row, start:end] = document.kind
            first = document.prompt_length
            rows.targets[row, start + first - 1 : end - 1] = document.tokens[first:]
            start = end
    return rows


class ShardMaker:
    """Makes shards; picklable, so that several processes can."""

    def __init__(self, vase: str, base: str, seed: int, weights: dict[str, int]):
        self.vase, self.base, self.seed, self.weights = vase, base, seed, weights
        self.tokenizer = None

    def document(self, problem: dict, kind: int, with_system: bool) -> Document:
        prompt = (SYSTEM if with_system else "") + prompt_text(problem["question"])
        encode = self.tokenizer.encode
        prompt_tokens = encode(prompt).ids
        tokens = prompt_tokens + encode(reply_text(problem) + END).ids
        return Document(tokens, len(prompt_tokens), kind)

    def __call__(self, index: int) -> Rows:
        if self.tokenizer is None:
            self.tokenizer = load_tokenizer(gguf.GGUFReader(self.base))
        random = np.random.default_rng([self.seed, index])
        documents = []
        for t, task in enumerate(TASKS):
            for k, (tier, count) in enumerate(TIERS.items()):
                count *= self.weights.get(task, 1)
                seed = int(random.integers(2**62))
                for problem in make_problems(self.vase, task, tier, count, seed):
                    # Some chat programs add SmolLM2's own system message, others none.
                    kind = t * len(TIERS) + k
                    document = self.document(problem, kind, random.random() < 0.15)
                    if len(document.tokens) <= CONTEXT:
                        documents.append(document)
        return pack(documents, random)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vase", default="build/release/vase")
    parser.add_argument("--base", default=os.path.expanduser(
        "~/.cache/vase/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rows = ShardMaker(args.vase, args.base, args.seed, {})(0)
    used = (rows.documents > 0).mean()
    print(f"{len(rows.tokens)} rows of {CONTEXT} tokens, {used:.1%} filled,",
          f"{(rows.targets != IGNORE).sum()} tokens with loss")
    for t, task in enumerate(TASKS):
        for k, tier in enumerate(TIERS):
            tokens = ((rows.kinds == t * len(TIERS) + k) & (rows.documents > 0)).sum()
            print(f"{task:12} {tier} {tokens:8} tokens")


if __name__ == "__main__":
    main()
