"""Trains the adapter.

    python train.py --vase build/release/vase --out run --steps 2400

Run the same command again to go on after a stop: weights, optimiser and the position in the data
are in the output folder. --minutes stops a run early, at a point from which it goes on. --init
starts from an adapter that exists: a second, shorter training after the tasks were changed.
"""

import argparse
import json
import math
import multiprocessing
import os
import time
from pathlib import Path

import gguf
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from adapter_file import read_adapter
from attention import document_mask
from make_data import IGNORE, TASKS, TIERS, ShardMaker
from smollm import SmolLM

LOSS_CHUNK = 16384  # tokens whose logits are in memory at once
SAVE_EVERY = 200  # steps between two checkpoints


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vase", default="build/release/vase", help="program that makes problems")
    parser.add_argument("--base", default=os.path.expanduser(
        "~/.cache/vase/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--out", type=Path, default=Path("run"), help="folder of the checkpoint")
    parser.add_argument("--init", type=Path, help="GGUF adapter to start from")
    parser.add_argument("--steps", type=int, default=2400, help="length of the whole training")
    parser.add_argument("--minutes", type=float, help="stop after this time, to go on later")
    parser.add_argument("--rows", type=int, default=8, help="rows of 8,192 tokens a step")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=6, help="processes that make data")
    parser.add_argument("--report", type=int, default=25, help="steps between two reports")
    parser.add_argument("--weights", default="", help="more documents of a task: graph=2,subset=3")
    parser.add_argument("--layers", type=int, help="use the first layers only (to try things out)")
    parser.add_argument("--tokens", type=int, help="cut rows to this length (to try things out)")
    return parser.parse_args()


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Warms up over 50 steps, then follows a cosine down to 2%."""
    warm = min(1.0, (step + 1) / 50)
    return highest * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


def batches(pool, maker: ShardMaker, shard: int, batch: int, rows: int):
    """Yields (rows, shard, next batch in the shard), on and on from the given position."""

    def indices():
        index = shard
        while True:
            yield index
            index += 1

    # imap reads its input without limit, so shards are asked for one by one.
    waiting = []
    source = indices()
    while True:
        while len(waiting) < 2 * pool._processes:
            index = next(source)
            waiting.append((index, pool.apply_async(maker, (index,))))
        index, result = waiting.pop(0)
        data = result.get()
        for b in range(batch, len(data.tokens) // rows):
            yield data.take(slice(b * rows, (b + 1) * rows)), index, b + 1
        batch = 0


def chunk_loss(hidden, targets, embedding):
    logits = F.linear(hidden, embedding).float()
    return F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum")


def mean_loss(hidden, targets, embedding, chunk_function):
    """Cross entropy of the tokens with loss, its logits never in memory all at once."""
    hidden, targets = hidden.flatten(0, 1), targets.flatten()
    total = sum(
        checkpoint(chunk_function, h, t, embedding, use_reentrant=False)
        for h, t in zip(hidden.split(LOSS_CHUNK), targets.split(LOSS_CHUNK))
    )
    return total / (targets != IGNORE).sum()


@torch.no_grad()
def wrong_tokens(model, hidden, targets, kinds) -> dict[str, str]:
    """For each task: how many of a hundred thousand tokens the model would not write itself."""
    hidden, targets = hidden.flatten(0, 1), targets.flatten()
    best = torch.cat([model.logits(h).argmax(-1) for h in hidden.split(LOSS_CHUNK)])
    used = targets != IGNORE
    wrong = used & (best != targets)
    tasks = kinds.flatten() // len(TIERS)
    report = {}
    for t, task in enumerate(TASKS):
        count = (used & (tasks == t)).sum().item()
        if count:
            report[task] = f"{1e5 * (wrong & (tasks == t)).sum().item() / count:.0f}"
    return report


def main():
    args = parse_arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint_file = args.out / "checkpoint.pt"

    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = SmolLM(gguf.GGUFReader(args.base), dtype, args.layers).to(device)
    adapter = model.adapter()
    optimizer = torch.optim.AdamW(
        adapter.values(), betas=(0.9, 0.95), weight_decay=0.0, fused=device == "cuda"
    )
    step, shard, batch = 0, 0, 0
    if args.init:
        model.load_adapter(read_adapter(args.init))
    if checkpoint_file.exists():
        state = torch.load(checkpoint_file, map_location=device)
        model.load_adapter(state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        step, shard, batch = state["step"], state["shard"], state["batch"]
        print(f"going on after step {step}")
    parameters = sum(p.numel() for p in adapter.values())
    print(f"{parameters:,} trained parameters on {device}, {args.steps} steps", flush=True)

    chunk_function = chunk_loss
    if device == "cuda":
        chunk_function = torch.compile(chunk_loss)
        for layer in model.layers:
            layer.compile()

    def save():
        state = {"adapter": {n: p.detach().cpu() for n, p in adapter.items()}}
        torch.save(state, args.out / "adapter.pt")
        state |= {"optimizer": optimizer.state_dict(), "step": step, "shard": shard, "batch": batch}
        temporary = checkpoint_file.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(checkpoint_file)  # a stop while saving leaves the old one whole

    weights = {name: int(n) for name, n in (w.split("=") for w in args.weights.split(",") if w)}
    maker = ShardMaker(args.vase, args.base, args.seed, weights)
    begin = time.time()
    tokens_seen, steps_seen, timed_from = 0, 0, begin
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        for rows, *position in batches(pool, maker, shard, batch, args.rows):
            if step >= args.steps or (args.minutes and time.time() - begin > 60 * args.minutes):
                break
            tokens, targets, positions, documents, kinds = (
                torch.from_numpy(getattr(rows, name)[:, : args.tokens]).long().to(device)
                for name in rows.__dataclass_fields__
            )
            hidden = model(tokens, positions, document_mask(documents))
            loss = mean_loss(hidden, targets, model.embedding, chunk_function)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(adapter.values(), 1.0)
            rate = learning_rate(step, args.steps, args.rate)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            shard, batch = position
            step += 1
            steps_seen += 1
            tokens_seen += tokens.numel()
            if steps_seen == 5:  # compiled by now: what follows is timed
                loss.item()
                tokens_seen, timed_from = 0, time.time()
            if step % SAVE_EVERY == 0:
                save()
            if step % args.report == 0:
                speed = tokens_seen / max(1e-9, time.time() - timed_from)
                left = (args.steps - step) * tokens.numel() / max(1.0, speed)
                wrong = json.dumps(wrong_tokens(model, hidden, targets, kinds)).replace('"', "")
                print(f"step {step}/{args.steps} loss {loss.item():.4f} rate {rate:.2e}",
                      f"{speed:,.0f} tok/s, {left / 60:.1f} min left;",
                      f"wrong of 100,000 tokens: {wrong}", flush=True)
        save()
        pool.terminate()
    print(f"stopped after step {step} of {args.steps}, {(time.time() - begin) / 60:.1f} min,",
          f"{'done' if step >= args.steps else 'not done'}")
    if device == "cuda":
        print(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of GPU memory at most")


if __name__ == "__main__":
    main()
