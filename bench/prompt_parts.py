#!/usr/bin/env python3
"""What the length of a prompt's parts does to a VaseCache's answers: a real model reads a text in parts of several lengths, goes on
token by token along it, and its predictions are held against those of the full cache.

    PYTHONPATH=build/release/python python3 bench/prompt_parts.py                # SmolLM2-135M on the CPU, minutes

Needs torch, transformers, gguf and the package vase. Texts are stretches of the project's documents, as many as --texts. Table: the
mean Kullback-Leibler divergence of the next token's distribution from the full cache's (nats), how often the likeliest token is the
same, and seconds to read the prompt.
"""

import argparse
import inspect
import statistics
import time
from pathlib import Path

import torch
import transformers
from recording import markdown
from transformers import DynamicCache

from vase.hf import VaseCache

ROOT = Path(__file__).parent.parent
MODEL = Path.home() / ".cache/vase/models/SmolLM2-135M-Instruct.Q4_1.gguf"
DOCUMENTS = ("docs/algorithm.md", "docs/performance.md", "docs/server.md", "docs/evaluation.md", "docs/reasoner.md", "README.md")


def read_along(model, cache, ids: torch.Tensor, prompt: int) -> tuple[torch.Tensor, float]:
    """Log-probabilities [tokens behind the prompt, vocabulary], and the seconds that the prompt took."""
    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    start = time.perf_counter()
    logits = [model(ids[:, :prompt], **{name: cache}, logits_to_keep=1).logits[0, -1]]
    seconds = time.perf_counter() - start
    for token in ids[:, prompt:-1].split(1, dim=1):
        logits.append(model(token, **{name: cache}).logits[0, -1])
    return torch.stack(logits).float().log_softmax(-1), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL, help="a GGUF file")
    parser.add_argument("--prompt", type=int, default=3072, help="tokens")
    parser.add_argument("--tokens", type=int, default=128, help="tokens read along behind it")
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--parts", type=int, nargs="+", default=[64, 128, 256, 512], help="tokens of a prompt between two evictions")
    parser.add_argument("--policies", nargs="+", default=["vase-plus", "vase"])
    parser.add_argument("--texts", type=int, default=3)
    arguments = parser.parse_args()

    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model.parent, gguf_file=arguments.model.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.model.parent, gguf_file=arguments.model.name, dtype=torch.float32
    ).eval()
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for document in DOCUMENTS[: arguments.texts]:
        ids = tokenizer((ROOT / document).read_text(), return_tensors="pt")["input_ids"][:, : arguments.prompt + arguments.tokens]
        with torch.inference_mode():
            model.set_attn_implementation("sdpa")
            full, _ = read_along(model, DynamicCache(config=model.config), ids, arguments.prompt)
            model.set_attn_implementation("vase_sdpa")
            for policy in arguments.policies:
                for part in arguments.parts:
                    cache = VaseCache(model.config, budget=arguments.budget, policy=policy, prompt_part=part)
                    bounded, seconds = read_along(model, cache, ids, arguments.prompt)
                    divergence = (full.exp() * (full - bounded)).sum(-1).mean().item()
                    same = (full.argmax(-1) == bounded.argmax(-1)).float().mean().item()
                    found.setdefault((policy, part), []).append((divergence, same, seconds))
    rows = []
    for (policy, part), measured in found.items():
        divergence, same, seconds = (statistics.fmean(column) for column in zip(*measured))
        rows.append([f"`{policy}`", str(part), f"{divergence:.3f}", f"{same:.1%}", f"{seconds:.1f}"])
    print(f"{arguments.model.name}, {arguments.texts} texts of {arguments.prompt} + {arguments.tokens} tokens, budget {arguments.budget}\n")
    print(markdown(["policy", "part", "divergence, nats", "same likeliest token", "seconds for the prompt"], rows))


if __name__ == "__main__":
    main()
