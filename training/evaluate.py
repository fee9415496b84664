"""Scores the adapter on a problem set with the full cache, greedily.

    python evaluate.py --adapter models/vase-reasoner-lora.gguf --problems eval/problems \\
        --out replies.jsonl

The adapter is read from the GGUF file and merged into the base, so what is scored is what ships.
"""

import argparse
import json
import math
import os
import re
import time
from collections import defaultdict
from pathlib import Path

import gguf
import torch

from adapter_file import read_adapter
from decode import Decoder
from make_data import CONTEXT, END, TIERS, prompt_text
from smollm import SmolLM
from smollm_tokenizer import load_tokenizer


def final_answer(reply: str) -> str | None:
    """As src/tasks/grade.cpp: the last box after the thinking."""
    if "</think>" not in reply:
        return None
    said = reply.rsplit("</think>", 1)[1]
    if "<think>" in said:
        return None
    boxes = re.findall(r"\\boxed\{([^}]*)\}", said)
    return boxes[-1].strip() if boxes else None


def interval(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    z = 1.96
    share = right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def read_problems(path: Path, per_set: int | None) -> dict[str, list[dict]]:
    """Problems by tier, at most `per_set` of each task and tier."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    by_tier, counts = defaultdict(list), defaultdict(int)
    for file in files:
        for line in file.read_text().splitlines():
            problem = json.loads(line)
            key = problem["task"], problem["tier"]
            counts[key] += 1
            if per_set is None or counts[key] <= per_set:
                by_tier[problem["tier"]].append(problem)
    return by_tier


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=os.path.expanduser(
        "~/.cache/vase/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--adapter", type=Path, default=Path("models/vase-reasoner-lora.gguf"))
    parser.add_argument("--problems", type=Path, default=Path("eval/problems"))
    parser.add_argument("--out", type=Path, default=Path("replies.jsonl"))
    parser.add_argument("--batch", type=int, default=192, help="sequences at once in the 8k tier")
    parser.add_argument("--per-set", type=int, help="only so many problems of each task and tier")
    parser.add_argument("--tiers", default=",".join(TIERS))
    parser.add_argument("--limit", type=int, help="longest sequence (to try things out)")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    reader = gguf.GGUFReader(args.base)
    tokenizer = load_tokenizer(reader)
    end = tokenizer.token_to_id(END)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = SmolLM(reader, dtype)
    model.load_adapter(read_adapter(args.adapter))
    model = model.to(device).requires_grad_(False)
    problems = read_problems(args.problems, args.per_set)
    scores, begin = defaultdict(list), time.time()
    with args.out.open("w") as out:
        for tier in args.tiers.split(","):
            # Sequences of a shorter tier need less of the cache, so more fit at once.
            limit = args.limit or min(CONTEXT, int(tier[:-1]) * 1024 + 640)
            batch = args.batch * CONTEXT // limit
            todo = problems[tier]
            batch = math.ceil(len(todo) / math.ceil(len(todo) / batch))
            decoder = Decoder(model, batch, limit, device)
            for first in range(0, len(todo), batch):
                part = todo[first : first + batch]
                prompts = [tokenizer.encode(prompt_text(p["question"])).ids for p in part]
                prompts += [[end]] * (batch - len(part))
                replies = decoder.run(prompts, end, limit, f"{tier} from {first}")
                for problem, tokens in zip(part, replies):
                    reply = tokenizer.decode(tokens, skip_special_tokens=False)
                    right = final_answer(reply) == problem["answer"]
                    scores[problem["task"], tier].append(right)
                    record = {"id": problem["id"], "right": right, "tokens": len(tokens)}
                    out.write(json.dumps(record | {"reply": reply}) + "\n")
            del decoder
            for (task, of_tier), results in sorted(scores.items()):
                if of_tier == tier:
                    low, high = interval(sum(results), len(results))
                    print(f"{task:12} {tier} {sum(results):3}/{len(results)}",
                          f"= {sum(results) / len(results):.1%} ({low:.1%} to {high:.1%})")
    print(f"{time.time() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
