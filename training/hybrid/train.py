"""Trains the hybrid from nothing to find facts in a text.

    python train.py --text novel.txt --tokenizer tokenizer.json --out run --minutes 8

Writes model.safetensors (f16) and report.json. Rows grow from 256 to 2,048 tokens over the time given.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from model import make_model
from texts import ANSWER_WEIGHT, Rows

# Rows of how many tokens, until which part of the time at the latest: the next ones come once answers are nearly all right.
LENGTHS = [(256, 0.5), (1024, 0.7), (2048, 1.0)]
ENOUGH = 0.97  # of the answers' tokens, on average over about AVERAGED steps
AVERAGED = 50
WARM_UP, DECAY = 200, 0.05
TEST_SEED = 10**6
TEST_SHARE = 0.2  # of the novel: its end, which is not trained on


class Batches(IterableDataset):
    """Endless batches of rows of one length."""

    def __init__(self, novel: str, tokenizer: str, length: int, tokens: int, seed: int):
        self.arguments = novel, tokenizer, length, max(1, tokens // length), seed

    def __iter__(self):
        novel, tokenizer, length, count, seed = self.arguments
        worker = get_worker_info()
        rows = Rows(novel, Tokenizer.from_file(tokenizer), seed * 1000 + (worker.id if worker else 0))
        while True:
            tokens, weights = zip(*(rows.row(length) for _ in range(count)), strict=True)
            yield torch.stack([*map(torch.from_numpy, tokens)]), torch.stack([*map(torch.from_numpy, weights)])


def losses(model, tokens, weights):
    """Cross entropy of the answers' tokens and of all others that count, and the logits' likeliest tokens."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1].float()
    wanted, weights = tokens[:, 1:], weights[:, 1:]
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view(wanted.shape)
    answer = weights == ANSWER_WEIGHT
    text = (weights > 0) & ~answer
    right = logits.argmax(-1) == wanted
    return each[answer].mean(), (each * weights)[text].sum() / text.sum().clamp(min=1), right[answer].float().mean()


@torch.no_grad()
def score(model, batches, device, count: int):
    """Share of right tokens in answers of texts that were not trained on."""
    shares = []
    for _, (tokens, weights) in zip(range(count), batches, strict=False):
        shares.append(losses(model, tokens.to(device), weights.to(device))[2].item())
    return sum(shares) / len(shares)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--tokens", type=int, default=65536, help="of a step")
    parser.add_argument("--longest", type=int, default=2048, help="tokens of a row, at most")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--report", type=int, default=100, help="steps between two lines")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    novel = args.text.read_text()
    cut = int(len(novel) * (1 - TEST_SHARE))
    model = make_model().to(device)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters on {device}", flush=True)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}], args.rate, betas=(0.9, 0.95)
    )

    def loader(part: str, length: int, seed: int):
        data = Batches(part, args.tokenizer, min(length, args.longest), args.tokens, seed)
        workers = args.workers if args.workers > 0 else 0
        return iter(DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=2 if workers else None))

    start, step, seen, report = time.monotonic(), 0, 0, []

    def elapsed():
        return (time.monotonic() - start) / (60 * args.minutes)

    for stage, (length, until) in enumerate(LENGTHS):
        batches = loader(novel[:cut], length, args.seed * len(LENGTHS) + stage)
        average = torch.zeros((), device=device)
        while elapsed() < until:
            tokens, weights = (tensor.to(device, non_blocking=True) for tensor in next(batches))
            rate = args.rate * min(1, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, elapsed()))))
            for group in optimizer.param_groups:
                group["lr"] = rate
            answers, text, right = losses(model, tokens, weights)
            (answers + text).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            seen += tokens.numel()
            average += (right.detach() - average) / AVERAGED
            if step % args.report == 0:
                line = {"step": step, "tokens": seen, "seconds": round(time.monotonic() - start), "length": tokens.shape[1]}
                line |= {"answers": round(answers.item(), 4), "text": round(text.item(), 4), "right": round(right.item(), 4)}
                report.append(line)
                print(json.dumps(line), flush=True)
                if until < 1 and average > ENOUGH:
                    break
        del batches
    model.eval()
    final = {"step": step, "tokens": seen}
    for length, _ in LENGTHS:
        final[f"right_{length}"] = round(score(model, loader(novel[cut:], length, TEST_SEED), device, 4), 4)
    print(json.dumps(final), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in model.named_parameters()}
    save_file(weights, args.out / "model.safetensors")
    (args.out / "report.json").write_text(json.dumps({"lines": report, "final": final}) + "\n")


if __name__ == "__main__":
    main()
