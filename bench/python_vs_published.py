#!/usr/bin/env python3
"""The Python package against the published PyTorch code: the same shapes, in turns, in one process.

    git clone https://github.com/terarachang/VaSE /tmp/VaSE
    PYTHONPATH=build/release/python python3 bench/python_vs_published.py --peer /tmp/VaSE
    ... --device cuda --dtype bfloat16 --batches 1 8 --json FILE   # on a GPU, with a package built with VASE_CUDA=ON
    python3 bench/python_vs_published.py --tables FILE             # prints the tables of a measurement again

Needs torch, transformers and the package vase. One eviction at the size of eviction_bench, three ways: the published EvictLayer; ours
on the same tensors, vase.select and vase.compact, a layer and sequence at a time; and VaseCache, which evicts all its layers and
sequences in one go. Milliseconds a layer as medians over the rounds, and the ratios round by round.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from peer_published import BUDGET, DIM, HEADS, MODES, QUERY_HEADS, RECENCY, full_layer, load_published
from recording import Measurement, Recording, markdown

import vase
from vase.hf import VaseCache

ROWS = BUDGET + RECENCY


def milliseconds(device: str, work: Callable[[], None]) -> float:
    """The device's work included."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3


class SameTensors:
    """The same rows in the published layer and in tensors of ours."""

    def __init__(self, published, policy: str, batch: int, arguments):
        self.device, self.policy = arguments.device, policy
        dtype = getattr(torch, arguments.dtype)
        self.layer, self.keys, self.values = full_layer(published, MODES[policy], batch, dtype, arguments.device)
        self.our_keys, self.our_values = torch.empty_like(self.keys), torch.empty_like(self.values)
        self.queries = getattr(self.layer, "queries", [None] * batch)  # CUR has none

    def published_ms(self) -> float:
        self.layer.k_cache[:, :ROWS], self.layer.v_cache[:, :ROWS] = self.keys, self.values
        return milliseconds(self.device, lambda: self.layer._run_eviction(ROWS))

    def functions_ms(self) -> float:
        self.our_keys.copy_(self.keys)
        self.our_values.copy_(self.values)

        def evict():
            for sequence, queries in enumerate(self.queries):
                keys, values = self.our_keys[sequence], self.our_values[sequence]
                mask = vase.select(keys, values, queries, self.policy, budget=BUDGET, sequence=sequence)
                vase.compact(keys, values, mask, vacate=BUDGET)

        return milliseconds(self.device, evict)


class WholeCache:
    """A VaseCache of many layers, driven as the attention function drives it, but without attention."""

    def __init__(self, policy: str, batch: int, arguments):
        config = transformers.Qwen3Config(
            num_hidden_layers=arguments.layers,
            num_attention_heads=QUERY_HEADS,
            num_key_value_heads=HEADS,
            head_dim=DIM,
            hidden_size=QUERY_HEADS * DIM,
            attn_implementation="vase_sdpa",
        )
        self.device, self.batch, self.dtype = arguments.device, batch, getattr(torch, arguments.dtype)
        self.cache = VaseCache(config, budget=BUDGET, policy=policy)
        for layer in self.cache.bounded_layers:
            self._append(layer, *self._tokens(ROWS))

    def _tokens(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values of new tokens."""
        kind = {"dtype": self.dtype, "device": self.device}
        keys, values = (torch.randn(self.batch, HEADS, count, DIM, **kind) for _ in range(2))
        return torch.randn(self.batch, QUERY_HEADS, count, DIM, **kind), keys, values

    @staticmethod
    def _append(layer, queries, keys, values):
        layer.update(keys, values)
        layer.attend(queries, keys, values, None, lambda query, *_: query, None)

    def ms_a_layer(self) -> float:
        """One token for the first layer, where the eviction of all layers happens; then the others follow, and all are filled."""
        first, *others = self.cache.bounded_layers
        token, rest = self._tokens(1), self._tokens(ROWS - BUDGET - 1)
        evictions = self.cache.statistics().evictions
        ms = milliseconds(self.device, lambda: self._append(first, *token))
        assert self.cache.statistics().evictions == evictions + 1
        for layer in others:
            self._append(layer, *token)
        for layer in self.cache.bounded_layers:
            self._append(layer, *rest)
        return ms / len(self.cache.bounded_layers)


def measure(published, policy: str, batch: int, arguments) -> Measurement:
    tensors, cache = SameTensors(published, policy, batch, arguments), WholeCache(policy, batch, arguments)
    ways = {"published": tensors.published_ms, "functions": tensors.functions_ms, "cache": cache.ms_a_layer}
    for way in ways.values():
        way()  # the first ones warm up
    rounds = [{name: way() for name, way in ways.items()} for _ in range(arguments.rounds)]
    return {"policy": policy, "batch": batch} | {name: [r[name] for r in rounds] for name in ways}


def tables(content: dict) -> str:
    def row(m: Measurement) -> list[str]:
        cells = [f"`{m['policy']}`", str(m["batch"]), f"{statistics.median(m['published']):.3g}"]
        for way in ("functions", "cache"):
            ratios = [theirs / ours for theirs, ours in zip(m["published"], m[way])]
            cells.append(f"{statistics.median(m[way]):.3g}")
            cells.append(f"{statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})")
        return cells

    columns = ["policy", "sequences", "published", "`select` + `compact`", "times faster", "`VaseCache`", "times faster"]
    s = content["settings"]
    head = f"{s['machine']}, {s['dtype']}, {s['layers']} layers, {s['rounds']} rounds, milliseconds a layer"
    return f"{head}\n\n{markdown(columns, map(row, content['measurements']))}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", type=Path, help="clone of terarachang/VaSE")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1], help="sequences")
    parser.add_argument("--layers", type=int, default=36, help="of the VaseCache")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="file for all measurements")
    parser.add_argument("--tables", type=Path, help="a file that --json wrote: print its tables, measure nothing")
    arguments = parser.parse_args()
    if arguments.tables:
        print(tables(json.loads(arguments.tables.read_text())))
        return
    if not arguments.peer:
        parser.error("--peer must name a clone of terarachang/VaSE (or --tables a file)")

    torch.set_num_threads(arguments.threads)
    vase.set_threads(arguments.threads)
    torch.manual_seed(1)
    published = load_published(arguments.peer)
    settings = {name: getattr(arguments, name) for name in ("device", "dtype", "layers", "threads", "rounds")}
    settings["machine"] = torch.cuda.get_device_name() if arguments.device == "cuda" else f"CPU, {arguments.threads} threads"
    settings |= {"torch": torch.__version__, "transformers": transformers.__version__}
    recording = Recording(arguments.json, settings)
    with torch.inference_mode():
        for batch in arguments.batches:
            for policy in MODES:
                recording.add(measure(published, policy, batch, arguments))
    print(tables(recording.content))


if __name__ == "__main__":
    main()
