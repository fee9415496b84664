"""Tries out eviction policies that do not exist yet, many at once, on the reasoner.

    vase tasks make --split tune --tier 4k --count 32 --output tune.jsonl
    python explore_policies.py --problems tune.jsonl --variants "rkv vase,prompt=1 att,draw=1,red=2" \\
        --out explore.json

A variant is a word list: a starting point and settings that change it (see `Variant` in
policy_variants.py). Formulas are written in plain PyTorch, so that one is tried in a line; what
wins here is then written in C++ and measured by `vase eval`. Only problems of the split "tune"
should be given to it.
"""

import argparse
import json
import math
import os
import time
from collections import defaultdict
from pathlib import Path

import gguf
import torch

from adapter_file import read_adapter
from evaluate import final_answer
from evicting_decoder import EvictingDecoder
from make_data import END, prompt_text
from policy_variants import INTERVAL, parse_variant
from smollm import SmolLM
from smollm_tokenizer import load_tokenizer


def budgets_for(problems, divisor: float, lengths: dict) -> list[int]:
    """As `vase eval`: the mean length of the full cache over the divisor, in whole blocks."""
    groups = [lengths[f"{p['task']}/{p['tier']}"] for p in problems]
    return [max(128, round(g / divisor / INTERVAL) * INTERVAL) for g in groups]


def in_loop(tokens: list[int]) -> bool:
    """The last 3 repetitions of a period of at most 400 tokens are the end of the text."""
    for period in range(1, min(400, len(tokens) // 4)):
        tail = tokens[-3 * period :]
        if tail[:period] == tail[period : 2 * period] == tail[2 * period :]:
            return True
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=os.path.expanduser(
        "~/.cache/vase/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--adapter", type=Path, default=Path("models/vase-reasoner-lora.gguf"))
    parser.add_argument("--problems", type=Path, required=True)
    parser.add_argument("--variants", required=True, help="separated by blanks")
    parser.add_argument("--lengths", type=Path, default=Path(__file__).with_name("full_lengths.json"),
                        help="mean lengths of the full cache's texts, by task and tier")
    parser.add_argument("--divisor", type=float, default=4, help="budget: length over this")
    parser.add_argument("--tier", default="4k")
    parser.add_argument("--per-task", type=int)
    parser.add_argument("--batch", type=int, default=768)
    parser.add_argument("--limit", type=int, help="longest sequence (to try things out)")
    parser.add_argument("--layers", type=int, help="only the first layers (to try things out)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start nothing after them")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = True

    reader = gguf.GGUFReader(args.base)
    tokenizer = load_tokenizer(reader)
    end = tokenizer.token_to_id(END)
    model = SmolLM(reader, torch.bfloat16 if device.type == "cuda" else torch.float32, args.layers)
    model.load_adapter(read_adapter(args.adapter))
    model = model.to(device).requires_grad_(False)
    problems, taken = [], defaultdict(int)
    for line in args.problems.read_text().splitlines():
        problem = json.loads(line)
        taken[problem["task"]] += problem["tier"] == args.tier
        if problem["tier"] == args.tier and taken[problem["task"]] <= (args.per_task or math.inf):
            problems.append(problem)
    prompts = [tokenizer.encode(prompt_text(p["question"])).ids for p in problems]
    budgets = budgets_for(problems, args.divisor, json.loads(args.lengths.read_text()))
    limit = args.limit or int(args.tier[:-1]) * 1024 + 640
    names = args.variants.split()
    per_batch = max(1, args.batch // len(problems))
    results, begin = {}, time.time()
    if args.out.exists():
        results = json.loads(args.out.read_text())
        names = [n for n in names if n not in results]
    for first in range(0, len(names), per_batch):
        if time.time() - begin > args.seconds:
            print(f"stopped after {time.time() - begin:.0f} s; not tried: {names[first:]}")
            break
        part = names[first : first + per_batch]
        many = len(part)
        each = [parse_variant(name) for name in part for _ in problems]
        decoder = EvictingDecoder(
            model, each, budgets * many, [len(p) for p in prompts] * many, device
        )
        torch.manual_seed(1)
        replies = decoder.run(prompts * many, end, limit, " ".join(part))
        for i, name in enumerate(part):
            mine = replies[i * len(problems) : (i + 1) * len(problems)]
            results[name] = summarise(problems, prompts, mine, tokenizer, limit)
            print(row(name, results[name]), flush=True)
        args.out.write_text(json.dumps(results))
        del decoder
    print(f"{time.time() - begin:.0f} s in all")


def summarise(problems, prompts, replies, tokenizer, limit: int) -> dict:
    right, loops, examples = defaultdict(dict), 0, {}
    for problem, prompt, tokens in zip(problems, prompts, replies):
        reply = tokenizer.decode(tokens, skip_special_tokens=False)
        right[problem["task"]][problem["id"]] = final_answer(reply) == problem["answer"]
        if len(right[problem["task"]]) <= 2:
            examples[problem["id"]] = reply
        loops += len(prompt) + len(tokens) >= limit and in_loop(tokens)
    tokens = sum(map(len, replies)) / len(replies)
    return {"right": right, "loops": loops, "tokens": tokens, "examples": examples}


def row(name: str, result: dict) -> str:
    tasks = {t: sum(r.values()) / len(r) for t, r in sorted(result["right"].items())}
    mean = sum(tasks.values()) / len(tasks)
    cells = " ".join(f"{t[:5]} {v:4.0%}" for t, v in tasks.items())
    return f"{mean:6.1%}  {cells}  loops {result['loops']}  {result['tokens']:.0f} tokens  {name}"


if __name__ == "__main__":
    main()
