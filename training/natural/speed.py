"""Tokens a second of sampling and of training on this device, in a minute.

    python -m natural.speed --model FOLDER --questions FOLDER
"""

import argparse
import gc
import time
from pathlib import Path

import torch

from . import model as models
from .chat import prompt_ids, stop_ids
from .questions import mixed, training_questions
from .sampling import Request, Sampler, Settings
from .training import Row, train


def sampling_speed(base, tokenizer, prompts, rows, graphs, seconds):
    """Prints one line: tokens a second with so many rows."""
    settings = Settings(rows=rows, graphs=graphs)
    requests = [Request(i, prompt, 1000) for i, prompt in enumerate(prompts)]
    longest = max(map(len, prompts)) + 1000
    sampler = Sampler(models.merged(base, None), stop_ids(tokenizer), settings, longest)
    kernel = sampler.cache.attend.__name__
    start = time.time()
    counts = {}
    count = lambda _, status: counts.update({status: counts.get(status, 0) + 1})  # noqa: E731
    tokens, took = sampler.run(requests, count, start + seconds, start + seconds)
    used = "a graph" if settings.graphs else "no graph"
    print(f"sampling, {rows} rows, {used}, {kernel}: {tokens / took:.0f} tokens/s {counts}", flush=True)
    del sampler
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def training_speed(base, rank, batch, length, seconds):
    """Prints one line: tokens a second with so many cells in a batch."""
    lora = models.with_lora(base, rank).train()
    answer = torch.randint(base.config.vocab_size, (length - 100,)).tolist()
    rows = [Row(answer[:100], answer)] * (20 * 32768 // length)
    numbers = train(lora, rows, deadline=time.time() + seconds, batch_tokens=batch)
    models.plain(lora)
    most = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0
    print(f"training, batches of {batch}: {numbers['tokens_per_second']} tokens/s, {most:.0f} GB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[256, 512, 768])
    parser.add_argument("--batches", type=int, nargs="+", default=[8192, 16384])
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    base = models.load_base(args.model, device, torch.bfloat16 if device == "cuda" else torch.float32)
    tokenizer = models.load_tokenizer(args.model)
    questions = mixed(training_questions(args.questions, 1), 4000)
    prompts = [prompt_ids(tokenizer, [question["text"]]) for question in questions]
    sampling_speed(base, tokenizer, prompts, max(args.rows), False, args.seconds)
    for rows in args.rows:
        sampling_speed(base, tokenizer, prompts, rows, True, args.seconds)
    for batch in args.batches:
        training_speed(base, 16, batch, min(2048, batch), args.seconds)


if __name__ == "__main__":
    main()
