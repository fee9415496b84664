"""Looks at the value ranges of the trained model, and at what happens without the widest rows.

    python value_ranges.py --replies replies.jsonl --tier 2k --out models/value-ranges

A row's range is max - min over the value vector's elements, in one layer and KV head. The chains
are the model's own right replies. Rows older than the last 64 tokens are taken away for good,
separately in every layer and head: those of the widest ranges, of the narrowest, or random ones,
each time without the sinks (the first four tokens); or the sinks alone. Writes OUT.png, OUT.json.
"""

import argparse
import json
import math
import os
import time
from collections import defaultdict
from pathlib import Path

import gguf
import numpy as np
import torch
import torch.nn.functional as F

from adapter_file import read_adapter
from evaluate import read_problems
from make_data import END, TASKS, prompt_text
from smollm import SmolLM, rms_norm, rope_table
from smollm_tokenizer import load_tokenizer

SINKS = 4
WINDOW = 64


def choose_evicted(ranges, way: str, share: float, random: torch.Generator):
    """Rows to take away, [heads, tokens] of bool, from ranges [heads, tokens]."""
    heads, length = ranges.shape
    evicted = torch.zeros(heads, length, dtype=torch.bool, device=ranges.device)
    if way == "sinks":
        evicted[:, :SINKS] = True
        return evicted
    scores = {
        "widest": ranges,
        "narrowest": -ranges,
        "random": torch.rand(heads, length, generator=random, device=ranges.device),
    }[way].clone()
    scores[:, :SINKS] = -math.inf
    count = round(share * (length - SINKS))
    return evicted.scatter(1, scores.topk(count, dim=1).indices, True)


@torch.no_grad()
def run(model: SmolLM, tokens, way: str = "full", share: float = 0.0):
    """Logits [tokens, vocabulary] and ranges [layers, heads, tokens] of one sequence."""
    length, device = tokens.shape[0], tokens.device
    positions = torch.arange(length, device=device)
    causal = positions[:, None] >= positions[None, :]
    recent = positions[:, None] - positions[None, :] < WINDOW
    cos, sin = rope_table(positions, model.shape)
    random = torch.Generator(device).manual_seed(length)
    group = model.shape.heads // model.shape.kv_heads
    x = F.embedding(tokens[None], model.embedding).float()
    all_ranges = []
    for layer in model.layers:
        q, k, v = layer.attention_inputs(x, cos, sin, model.dtype)
        ranges = (v.amax(-1) - v.amin(-1))[0]
        all_ranges.append(ranges)
        mask = causal
        if way != "full":
            evicted = choose_evicted(ranges, way, share, random)
            mask = causal & (recent | ~evicted[:, None, :])
            mask = mask.repeat_interleave(group, dim=0)[None]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        x = layer.after_attention(x, mixed)
    hidden = rms_norm(x, model.output_norm, model.shape.norm_epsilon)
    return model.logits(hidden[0].to(model.dtype)), torch.stack(all_ranges)


def measure(logits, tokens, prompt_length: int) -> tuple[float, float]:
    """Loss and share of wrong tokens over what the model wrote."""
    logits, targets = logits[prompt_length - 1 : -1], tokens[prompt_length:]
    wrong = (logits.argmax(-1) != targets).float().mean().item()
    return F.cross_entropy(logits, targets).item(), wrong


def draw(path: Path, ranges, median, results, title: str):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(16, 5))
    heads = median.shape[0] * median.shape[1]
    image = axes[0].imshow(
        (ranges.max(-1) / median).T, aspect="auto", cmap="viridis"
    )
    axes[0].set(title="First chain: widest row without sinks / median row", xlabel="layer", ylabel="KV head")
    axes[0].set_yticks(range(median.shape[1]))
    figure.colorbar(image, ax=axes[0])
    ratio = (ranges / median[..., None]).reshape(heads, -1)
    for row in ratio:
        axes[1].plot(np.linspace(0, 100, len(row)), np.sort(row)[::-1], color="tab:blue", alpha=0.15)
    axes[1].set(
        title="Ranges of the first chain, sorted, one line a head",
        xlabel="percent of rows", ylabel="range / median", yscale="log",
    )  # fmt: skip
    shares = sorted({r["share"] for r in results if r["share"] > 0})
    for way in ("widest", "random", "narrowest"):
        losses = [
            np.mean([r["loss"] for r in results if r["way"] == way and r["share"] == s])
            for s in shares
        ]
        axes[2].plot([100 * s for s in shares], losses, marker="o", label=f"{way} rows")
    for way, style in (("full", "--"), ("sinks", ":")):
        loss = np.mean([r["loss"] for r in results if r["way"] == way])
        name = "full cache" if way == "full" else "sinks alone taken away"
        axes[2].axhline(loss, color="black", linestyle=style, label=name)
    axes[2].set(
        title="Loss on the chains without some rows",
        xlabel="percent of rows taken away", ylabel="nats a token", yscale="log",
    )  # fmt: skip
    axes[2].legend(loc="lower right", bbox_to_anchor=(1, 0.06))
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=os.path.expanduser(
        "~/.cache/vase/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--adapter", type=Path, default=Path("models/vase-reasoner-lora.gguf"))
    parser.add_argument("--problems", type=Path, default=Path("eval/problems"))
    parser.add_argument("--replies", type=Path, required=True, help="what evaluate.py wrote")
    parser.add_argument("--tier", default="2k")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--per-task", type=int, default=1, help="chains of each task")
    parser.add_argument("--shares", default="0.05,0.25,0.5", help="shares of rows taken away")
    parser.add_argument("--out", type=Path, default=Path("models/value-ranges"))
    args = parser.parse_args()

    reader = gguf.GGUFReader(args.base)
    tokenizer = load_tokenizer(reader)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = SmolLM(reader, torch.float32)
    model.load_adapter(read_adapter(args.adapter))
    model = model.to(device).requires_grad_(False)
    replies = {}
    for line in args.replies.read_text().splitlines():
        record = json.loads(line)
        if record["right"]:
            replies[record["id"]] = record["reply"]

    shares = [float(s) for s in args.shares.split(",")]
    ways = [("full", 0.0), ("sinks", 0.0)]
    ways += [(way, s) for s in shares for way in ("widest", "random", "narrowest")]
    taken, results, table = defaultdict(int), [], []
    first_ranges, begin = None, time.time()
    for problem in read_problems(args.problems, None)[args.tier]:
        if problem["id"] not in replies or problem["task"] not in args.tasks.split(","):
            continue
        if taken[problem["task"]] == args.per_task:
            continue
        taken[problem["task"]] += 1
        prompt = tokenizer.encode(prompt_text(problem["question"])).ids
        ids = prompt + tokenizer.encode(replies[problem["id"]] + END).ids
        tokens = torch.tensor(ids, device=device)
        for way, share in ways:
            logits, ranges = run(model, tokens, way, share)
            loss, wrong = measure(logits, tokens, len(prompt))
            results.append(
                {"task": problem["task"], "way": way, "share": share, "loss": loss, "wrong": wrong}
            )
            print(f"{time.time() - begin:5.0f} s {problem['id']} {way} {share:.2f}:"
                  f" loss {loss:.4f}, {wrong:.2%} wrong", flush=True)
            if way == "full":
                median = ranges[..., SINKS:].median(-1).values
                outliers = ranges[..., SINKS:] / median[..., None]
                table.append({
                    "task": problem["task"],
                    "widest_over_median": outliers.amax(-1).flatten().tolist(),
                    "rows_over_3_medians": (outliers > 3).float().mean().item(),
                    "sinks_over_median": (ranges[..., :SINKS] / median[..., None])
                    .mean((0, 1)).tolist(),
                    "widest_tokens": widest_tokens(tokenizer, tokens, outliers),
                })  # fmt: skip
                if first_ranges is None:
                    first_ranges = ranges[..., SINKS:], median
        # Written after every chain: the runs take long on a CPU.
        args.out.with_suffix(".json").write_text(json.dumps({"chains": table, "runs": results}))
        chains = "1 chain" if len(table) == 1 else f"{len(table)} chains"
        draw(
            args.out.with_suffix(".png"), *(t.cpu().numpy() for t in first_ranges), results,
            f"{chains} of the {args.tier} tier",
        )  # fmt: skip


def widest_tokens(tokenizer, tokens, outliers) -> dict[str, int]:
    """Which tokens hold the widest 1% of the rows, counted over all layers and heads."""
    count = max(1, outliers.shape[-1] // 100)
    counts = defaultdict(int)
    for position in outliers.topk(count, dim=-1).indices.flatten().tolist():
        counts[tokenizer.decode([tokens[position + SINKS].item()])] += 1
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:12])


if __name__ == "__main__":
    main()
