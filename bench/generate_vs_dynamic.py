#!/usr/bin/env python3
"""model.generate with VaseCache against DynamicCache, on a random model of the shape of Qwen3-4B.

    PYTHONPATH=build/release/python python3 bench/generate_vs_dynamic.py                    # one GPU, 16k and 32k tokens deep
    ... --depths 16384 --batch 8
    ... --shape tiny --device cpu --depths 300 --budget 128 --tokens 80 --read-prompt        # to try it out

Needs torch, transformers and the package vase, built with VASE_CUDA=ON for a GPU. Throughput does not depend on the weights, so
they are random; nor does it depend on what the cache holds, so unless --read-prompt is given the DynamicCache is filled with
random rows to the depth, and the VaseCache reads a prompt of its budget, after which it is as full as it ever gets. Prints a
table: milliseconds a token as the median over the generated ones, evictions included in the mean beside it, tokens a second, and
the bytes of the cache and of the device at most.
"""

import argparse
import statistics
import time

import torch
import transformers
from transformers import DynamicCache
from transformers.generation.streamers import BaseStreamer

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


class Clock(BaseStreamer):
    """Notes when each token of a generation is known. put() brings the prompt first."""

    def __init__(self):
        self.times: list[float] = []

    def put(self, value):
        self.times.append(time.perf_counter())

    def end(self):
        pass


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


def generate(model, cache, ids, tokens: int) -> list[float]:
    """Seconds of each generated token but the first, which includes what of the prompt the cache has not seen."""
    clock = Clock()
    # One sequence's streamer would do, but transformers streams batches of one alone: time the others with their own loop.
    if ids.shape[0] == 1:
        model.generate(ids, past_key_values=cache, max_new_tokens=tokens, do_sample=False, streamer=clock)
        return [b - a for a, b in zip(clock.times[1:], clock.times[2:])]
    token = ids[:, cache.get_seq_length() :]
    for _ in range(tokens):
        token = model(token, past_key_values=cache, logits_to_keep=1).logits[:, -1:].argmax(-1)
        token.cpu()
        clock.put(None)
    return [b - a for a, b in zip(clock.times, clock.times[1:])]


def measure(model, kind: str, depth: int, arguments) -> dict[str, float]:
    on_gpu = arguments.device == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    batch = arguments.batch
    model.set_attn_implementation("sdpa" if kind == "dynamic" else arguments.attention)
    start = time.perf_counter()
    if kind == "dynamic":
        cache = DynamicCache(config=model.config)
        ids = random_ids(model, batch, depth)
        if not arguments.read_prompt:
            fill(model, cache, depth - 1, batch)
    else:
        cache = VaseCache(model.config, budget=arguments.budget, policy=kind)
        ids = random_ids(model, batch, depth if arguments.read_prompt else arguments.budget)
    if cache.get_seq_length() == 0:
        model(ids[:, :-1], past_key_values=cache, logits_to_keep=1).logits.cpu()
    reading = time.perf_counter() - start
    seconds = generate(model, cache, ids, arguments.tokens)
    tensors = [t for layer in cache.layers for t in (layer.keys, layer.values)]
    return {
        "reading": reading,
        "median": statistics.median(seconds) * 1e3,
        "mean": statistics.fmean(seconds) * 1e3,
        "rate": batch / statistics.fmean(seconds),
        "cache": sum(t.numel() * t.element_size() for t in tensors) / 2**20,
        "peak": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else float("nan"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="qwen3-4b")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--depths", type=int, nargs="+", default=[16384, 32768])
    parser.add_argument("--budget", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=1, help="sequences")
    parser.add_argument("--tokens", type=int, default=320, help="generated per measurement; several evictions")
    parser.add_argument("--policies", nargs="+", default=["vase", "vase-cur"])
    parser.add_argument("--attention", default="vase_sdpa", choices=["vase_sdpa", "vase_fa2"])
    parser.add_argument("--read-prompt", action="store_true", help="read prompts of the whole depth and show how long it takes")
    arguments = parser.parse_args()

    torch.manual_seed(1)
    dtype = torch.bfloat16 if arguments.device == "cuda" else torch.float32
    model = random_model(arguments.shape, arguments.device, dtype)
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    print(f"{where}, {arguments.shape}, {dtype}, {arguments.batch} sequence(s), budget {arguments.budget}\n")
    print("| depth | cache | ms a token, median | mean | tokens/s | cache, MiB | device at most, MiB | prompt, s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with torch.inference_mode():
        measure(model, "dynamic", 256, arguments)  # warms up
        for depth in arguments.depths:
            for kind in ["dynamic", *arguments.policies]:
                m = measure(model, kind, depth, arguments)
                read = f"{m['reading']:.1f}" if arguments.read_prompt else "-"
                print(
                    f"| {depth} | {kind} | {m['median']:.2f} | {m['mean']:.2f} | {m['rate']:.1f} | {m['cache']:.0f} "
                    f"| {m['peak']:.0f} | {read} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
