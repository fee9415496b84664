#!/usr/bin/env python3
"""model.generate with VaseCache against DynamicCache, on a random model of the shape of Qwen3-4B.

    PYTHONPATH=build/release/python python3 bench/generate_vs_dynamic.py --json FILE        # one GPU, 16k and 32k tokens deep
    ... --batches 1 8 --prompts 32768                                                       # also time the reading of prompts
    ... --shape qwen2.5-1.5b --batches --prompts 16384 --parts 128 1024 4096 --policies vase-plus   # that alone, by length of part
    ... --shape tiny --device cpu --depths 300 --budget 128 --tokens 80                     # to try it out
    python3 bench/generate_vs_dynamic.py --tables FILE                                      # prints the tables again

Needs torch, transformers and the package vase, built with VASE_CUDA=ON for a GPU. Throughput does not depend on the weights, so
they are random; nor does it depend on what the cache holds, so the DynamicCache is filled with random rows to the depth, and the
VaseCache reads a prompt of its budget, after which it is as full as it ever gets. Tables: milliseconds a generated token (median, and
mean, in which evictions show), tokens a second of all sequences, bytes of the cache and, at most, of the device; then the seconds
that a prompt takes.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
import transformers
from recording import Measurement, Recording, markdown
from transformers import DynamicCache, StoppingCriteria, StoppingCriteriaList

from vase.hf import VaseCache

SHAPES = {
    "qwen3-4b": {
        "vocab_size": 151936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 65536,
        "tie_word_embeddings": True,
    },
    "qwen2.5-1.5b": {
        "vocab_size": 151936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 65536,
        "tie_word_embeddings": True,
    },
    "smollm2-135m": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "max_position_embeddings": 65536,
        "tie_word_embeddings": True,
    },
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 65536,
    },
}


def random_model(shape: str, device: str, dtype: torch.dtype):
    config = transformers.Qwen3Config(**SHAPES[shape], pad_token_id=0, bos_token_id=1, eos_token_id=None)
    with torch.device(device):
        model = transformers.Qwen3ForCausalLM._from_config(config, dtype=dtype)
    return model.eval()


def fill(model, cache, tokens: int, batch: int):
    """Makes a DynamicCache as it is after ``tokens`` tokens."""
    config = model.config
    shape = batch, config.num_key_value_heads, tokens, config.head_dim
    for layer in range(config.num_hidden_layers):
        rows = torch.randn(shape, dtype=model.dtype, device=model.device)
        cache.update(rows, rows.clone(), layer)


def random_ids(model, batch: int, tokens: int):
    return torch.randint(3, model.config.vocab_size, (batch, tokens), device=model.device)


class Clock(StoppingCriteria):
    """Never stops a generation; notes when each token is known."""

    def __init__(self):
        self.times: list[float] = []

    def __call__(self, input_ids, scores, **kwargs):
        input_ids[:, -1].cpu()  # waits for it
        self.times.append(time.perf_counter())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def step_seconds(model, cache, ids, tokens: int) -> list[float]:
    """Seconds of each generated token but the first, which includes what of the prompt the cache has not seen."""
    clock = Clock()
    criteria = StoppingCriteriaList([clock])
    model.generate(ids, past_key_values=cache, max_new_tokens=tokens, do_sample=False, stopping_criteria=criteria)
    return [b - a for a, b in zip(clock.times, clock.times[1:])]


def empty_cache(model, kind: str, arguments, part: int | None = None):
    """kind: "dynamic", or a policy, which reads prompts in parts of ``part`` tokens. Also sets the attention that goes with it, and the device's memory counter back."""
    if arguments.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model.set_attn_implementation("sdpa" if kind == "dynamic" else arguments.attention)
    if kind == "dynamic":
        return DynamicCache(config=model.config)
    return VaseCache(model.config, budget=arguments.budget, policy=kind, prompt_part=part)


def peak_bytes(arguments) -> int | None:
    return torch.cuda.max_memory_allocated() if arguments.device == "cuda" else None


def measure_decoding(model, kind: str, depth: int | None, batch: int, arguments) -> Measurement:
    """depth: of the DynamicCache; None for a policy, whose cache is full after a prompt of the budget."""
    cache = empty_cache(model, kind, arguments)
    ids = random_ids(model, batch, depth or arguments.budget)
    if depth:
        fill(model, cache, depth - 1, batch)
    else:
        model(ids[:, :-1], past_key_values=cache, logits_to_keep=1)
    seconds = step_seconds(model, cache, ids, arguments.tokens)
    tensors = [t for layer in cache.layers for t in (layer.keys, layer.values)]
    return {
        "cache": kind,
        "depth": depth,
        "batch": batch,
        "median_ms": statistics.median(seconds) * 1e3,
        "mean_ms": statistics.fmean(seconds) * 1e3,
        "tokens_per_second": batch / statistics.fmean(seconds),
        "evictions": 0 if depth else cache.statistics().evictions,
        "cache_bytes": sum(t.numel() * t.element_size() for t in tensors),
        "peak_bytes": peak_bytes(arguments),
    }


def measure_prompt(model, kind: str, tokens: int, arguments, part: int | None = None) -> Measurement:
    """Seconds to read a prompt of one sequence; a bounded cache reads it in parts (None: as long as the budget)."""
    cache = empty_cache(model, kind, arguments, part)
    ids = random_ids(model, 1, tokens)
    start = time.perf_counter()
    model(ids, past_key_values=cache, logits_to_keep=1).logits.cpu()
    seconds = time.perf_counter() - start
    evictions = 0 if kind == "dynamic" else cache.statistics().evictions
    return {
        "cache": kind,
        "prompt": tokens,
        "part": part,
        "seconds": seconds,
        "evictions": evictions,
        "peak_bytes": peak_bytes(arguments),
    }


def run(model, arguments, recording: Recording):
    for kind in ["dynamic", *arguments.policies]:  # warms up, evictions included
        measure_prompt(model, kind, arguments.budget + 256, arguments)
    for batch in arguments.batches:
        for depth in arguments.depths:
            recording.add(measure_decoding(model, "dynamic", depth, batch, arguments))
        for policy in arguments.policies:
            recording.add(measure_decoding(model, policy, None, batch, arguments))
    for tokens in arguments.prompts:
        recording.add(measure_prompt(model, "dynamic", tokens, arguments))
        for policy in arguments.policies:
            for part in arguments.parts:
                recording.add(measure_prompt(model, policy, tokens, arguments, part))


def mebibytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:,.0f}"


def tables(content: dict) -> str:
    s = content["settings"]
    decoding = [m for m in content["measurements"] if "median_ms" in m]
    prompts = [m for m in content["measurements"] if "prompt" in m]
    columns = ["sequences", "cache", "depth", "ms a token, median", "mean", "tokens/s", "cache, MiB", "device at most, MiB"]
    rows = [
        [str(m["batch"]), f"`{m['cache']}`", f"{m['depth']:,}" if m["depth"] else "any"]
        + [f"{m['median_ms']:.1f}", f"{m['mean_ms']:.1f}", f"{m['tokens_per_second']:.1f}"]
        + [mebibytes(m["cache_bytes"]), mebibytes(m["peak_bytes"])]
        for m in decoding
    ]
    texts = [f"{s['machine']}, {s['shape']}, {s['dtype']}, budget {s['budget']}"]
    if decoding:
        texts.append(markdown(columns, rows))
    if prompts:
        rows = [
            [f"{m['prompt']:,}", f"`{m['cache']}`", "-" if m["cache"] == "dynamic" else f"{m['part'] or s['budget']:,}"]
            + [str(m["evictions"]), f"{m['seconds']:.2f}", mebibytes(m["peak_bytes"])]
            for m in prompts
        ]
        texts.append(markdown(["prompt, tokens", "cache", "part", "evictions", "seconds", "device at most, MiB"], rows))
    return "\n\n".join(texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="qwen3-4b")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--depths", type=int, nargs="+", default=[16384, 32768])
    parser.add_argument("--budget", type=int, default=4096)
    parser.add_argument("--batches", type=int, nargs="*", default=[1], help="sequences")
    parser.add_argument("--tokens", type=int, default=192, help="generated per measurement; several evictions")
    parser.add_argument("--prompts", type=int, nargs="*", default=[], help="also time the reading of prompts of these lengths")
    parser.add_argument("--parts", type=int, nargs="+", default=[None], help="tokens of a prompt between two evictions (the budget)")
    parser.add_argument("--policies", nargs="+", default=["vase", "vase-cur"])
    parser.add_argument("--attention", default="vase_sdpa", choices=["vase_sdpa", "vase_fa2"])
    parser.add_argument("--json", type=Path, help="file for all measurements")
    parser.add_argument("--tables", type=Path, help="a file that --json wrote: print its tables, measure nothing")
    arguments = parser.parse_args()
    if arguments.tables:
        print(tables(json.loads(arguments.tables.read_text())))
        return

    torch.manual_seed(1)
    dtype = torch.bfloat16 if arguments.device == "cuda" else torch.float32
    settings = {name: getattr(arguments, name) for name in ("shape", "device", "budget", "tokens", "attention")}
    settings["machine"] = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    settings |= {"dtype": str(dtype).removeprefix("torch."), "torch": torch.__version__, "transformers": transformers.__version__}
    recording = Recording(arguments.json, settings)
    with torch.inference_mode():
        run(random_model(arguments.shape, arguments.device, dtype), arguments, recording)
    print(tables(recording.content))


if __name__ == "__main__":
    main()
