"""Tries out eviction policies that do not exist yet on a real model, by what it foresees of given texts.

    python explore_texts.py --model FOLDER --questions QUESTIONS --texts TEXTS --traces traces.jsonl [--run RUN] \\
        --variants "full plus plus,recency=128 rkv,prompt=0.5" --out explore.jsonl

Five kinds of tuning texts (build() says from what), none of which a published table uses. A variant is written as for
explore_policies.py. For each the loss of the asked tokens, less the full cache's, and how many answers the model would
give right; what wins here is then written in C++ and measured by `vase eval`. Goes on where it stopped.
"""

import argparse
import json
import random
import re
import time
from collections import defaultdict
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evicting_reader import EvictingReader, Text
from policy_variants import parse_variant

SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
KINDS = ("turns", "facts", "chains", "prose", "natural")
NAMES = "Bruno Carla Dario Elena Fabio Gina Hugo Irma Jacopo Lena Marco Nora Otto Paola Remo Silvia".split()


class Writer:
    """A chat in chatml, token by token, with what is asked in it."""

    def __init__(self, tokenizer):
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
        self.tokens, self.spans, self.prompts = [], [], []

    def user(self, text, before=""):
        first = len(self.tokens)
        self.tokens += self.encode(f"{before}<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")
        self.prompts.append((first, len(self.tokens)))

    def assistant(self, text, kind, after="<|im_end|>\n"):
        first = len(self.tokens)
        self.tokens += self.encode(text)
        self.spans.append((first, len(self.tokens), kind))
        self.tokens += self.encode(after)

    def text(self):
        return Text(self.tokens, self.spans, self.prompts)


def gap(question):
    """A sentence of a question and a number of two digits or more that the question has once."""
    for sentence in re.split(r"(?<=[.?!])\s+", question):
        for number in re.findall(r"(?<![\w.,/])\d{2,}(?![\w.,/%])", sentence):
            if question.count(number) == 1:
                return sentence.replace(number, "____"), number
    return None


def conversation(tokenizer, items):
    """Questions of GSM8K's training split in turns with their worked solutions, then look-backs at the first half."""
    chat = Writer(tokenizer)
    results = []
    for i, item in enumerate(items):
        solution, result = re.sub(r"<<.*?>>", "", item["answer"]).split("\n#### ")
        results.append(result)
        chat.user(item["question"] + "\n\nThink step by step, and put your final answer within \\boxed{}.", "" if i else SYSTEM)
        chat.assistant(f"{solution}\n\nThe final answer is \\boxed{{{result}}}.", "turn" if i >= len(items) // 2 else "early")
    for i, item in list(enumerate(items))[: len(items) // 2]:
        chat.user(
            f"Look back at question {i + 1}. What final answer did you give to it? Do not solve it again; repeat that "
            "answer alone, within \\boxed{}."
        )
        chat.assistant(f"\\boxed{{{results[i]}}}", "look result")
        if found := gap(item["question"]):
            chat.user(
                f'Look back at question {i + 1}. It had this sentence, with a number left out: "{found[0]}" Which number '
                "stood at ____? Do not work anything out; give that number alone, within \\boxed{}."
            )
            chat.assistant(f"\\boxed{{{found[1]}}}", "look number")
    return chat.text()


def planted(tokenizer, novel, at, length, seed):
    """A piece of a novel with facts at ten depths, each asked for behind it."""
    draw = random.Random(seed)
    tokens = novel[at : at + length]
    names = draw.sample(NAMES, 10)
    codes = [str(draw.randrange(10000, 100000)) for _ in names]
    parts = []
    for i, (name, code) in enumerate(zip(names, codes)):
        parts += tokens[i * length // 10 : (i + 1) * length // 10 - 20]
        parts += tokenizer.encode(f"\n\nThe access code of {name} is {code}.\n\n", add_special_tokens=False)
    parts += tokenizer.encode("\n\nQuestions about this text.\n", add_special_tokens=False)
    spans = []
    order = draw.sample(range(10), 10)
    for i in order:
        parts += tokenizer.encode(f"\nQuestion: What is the access code of {names[i]}?\nAnswer:", add_special_tokens=False)
        parts += tokenizer.encode(" ", add_special_tokens=False)
        first = len(parts)
        parts += tokenizer.encode(codes[i], add_special_tokens=False)
        spans.append((first, len(parts), "fact"))
    return Text(parts, spans, [])


def natural(tokenizer, args, count):
    from natural.questions import training_questions

    asked = {q["id"]: q["text"] for of in training_questions(args.questions, 1).values() for q in of}
    chains = []
    for path in sorted(args.run.glob("round-*.jsonl")):
        for line in map(json.loads, path.open()):
            ways = [m.start() for m in re.finditer(r"\*\*Way \d", line["text"])]
            comparison = line["text"].find("**Comparison.**")
            if not line["right"] or line["status"] != "ended" or len(ways) < 3 or comparison < 0 or line["tokens"] > args.length:
                continue
            chat = Writer(tokenizer)
            chat.user(asked[line["id"]], SYSTEM)
            chat.assistant(line["text"][: ways[1]], "first", "")
            chat.assistant(line["text"][ways[1] : comparison], "ways", "")
            chat.assistant(line["text"][comparison:], "comparison")
            chains.append(chat.text())
    random.Random(3).shuffle(chains)
    return chains[:count]


def build(kind, tokenizer, args, count):
    """natural: what a run of training/natural wrote in its rounds about training questions: its ways but the first, and the comparison of
    their results. turns: 12 questions of GSM8K's training split, answered as its authors did, and look-backs. facts: needles in I promessi
    sposi (Italian) and a story. chains: R1-like chains of thought, their second half. prose: that novel, its second half."""
    if kind == "turns":
        items = [json.loads(line) for line in (args.questions / "gsm8k_train.jsonl").open()]
        random.Random(1).shuffle(items)
        return [conversation(tokenizer, items[12 * i : 12 * i + 12]) for i in range(count)]
    if kind == "natural":
        return natural(tokenizer, args, count)
    novel = tokenizer.encode((args.texts / "promessi_sposi_it.txt").read_text()[:1_500_000], add_special_tokens=False)
    step = len(novel) // (2 * count)
    if kind == "facts":
        return [planted(tokenizer, novel, i * step, args.length, i) for i in range(count)]
    if kind == "prose":
        pieces = [novel[(count + i) * step :][: args.length] for i in range(count)]
        return [Text(p, [(len(p) // 2, len(p), "prose")], []) for p in pieces]
    chains = []
    for line in args.traces.open():
        trace = json.loads(line)
        chat = Writer(tokenizer)
        chat.user(trace["question"], SYSTEM)
        start = len(chat.tokens)
        chat.assistant("<think>\n" + trace["thinking"], "chain")
        end = min(len(chat.tokens), args.length)
        if end - start < 1500 or len(chat.tokens) > args.length:
            continue
        chains.append(Text(chat.tokens[:end], [((start + end) // 2, end, "chain")], chat.prompts))
    random.Random(2).shuffle(chains)
    return chains[:count]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder as transformers reads it (natural.prepare makes one of a GGUF file)")
    parser.add_argument("--adapter", help="folder of a LoRA that peft wrote, to be merged in")
    parser.add_argument("--questions", type=Path, required=True, help="folder with gsm8k_train.jsonl")
    parser.add_argument("--texts", type=Path, required=True, help="folder with promessi_sposi_it.txt")
    parser.add_argument("--traces", type=Path, required=True, help="JSONL with question and thinking")
    parser.add_argument("--run", type=Path, help="folder of a run of training/natural, for the kind natural")
    parser.add_argument("--variants", required=True, help="separated by blanks")
    parser.add_argument("--cells", default="turns/320 turns/160 facts/512 chains/512 prose/512", help="kind/budget, separated by blanks")
    parser.add_argument("--count", type=int, default=64, help="texts of each kind")
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--part", default="1/1", help="I/N: every N-th variant from the I-th on")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for cell in args.cells.split():
        kind, _, budget = cell.partition("/")
        if kind not in KINDS or not budget.isdigit():
            parser.error(f'"{cell}" is no cell: one of {", ".join(KINDS)}, a slash, and a budget in rows')
        if kind == "natural" and args.run is None:
            parser.error("natural texts are those of a run of training/natural: --run names its folder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype).to(device).eval()
    if args.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, args.adapter).merge_and_unload()
    texts, done = {}, set()
    if args.out.exists():
        done = {(r["variant"], r["cell"]) for r in map(json.loads, args.out.open())}
    part, parts = map(int, args.part.split("/"))
    for name in args.variants.split()[part - 1 :: parts]:
        for cell in args.cells.split():
            kind, budget = cell.split("/")
            if name == "full":
                cell = kind
            if (name, cell) in done:
                continue
            done.add((name, cell))
            if kind not in texts:
                texts[kind] = build(kind, tokenizer, args, args.count)
                if not texts[kind]:
                    raise SystemExit(f"no text of kind {kind} is at most {args.length} tokens long: try a larger --length")
            begin = time.time()
            variant = None if name == "full" else parse_variant(name)
            torch.manual_seed(1)
            answers = EvictingReader(model, texts[kind], variant, int(budget)).read()
            record = {"variant": name, "cell": cell, "seconds": round(time.time() - begin, 1), "answers": [[[a.kind, a.loss, a.right, a.tokens] for a in of] for of in answers]}
            with args.out.open("a") as out:
                out.write(json.dumps(record) + "\n")
            print(summary(record), flush=True)


def summary(record):
    """One line: of each kind of answer its mean loss and the share that the model would give right."""
    groups = defaultdict(list)
    for of in record["answers"]:
        for kind, loss, right, _ in of:
            groups[kind].append((loss, right))
    cells = [f"{k} {sum(a for a, _ in v) / len(v):.4f} {100 * sum(b for _, b in v) / len(v):.1f}%" for k, v in groups.items()]
    return f"{record['cell']:12} {record['variant']}: {', '.join(cells)} ({record['seconds']} s)"


if __name__ == "__main__":
    main()
