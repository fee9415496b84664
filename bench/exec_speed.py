#!/usr/bin/env python3
"""exec_speed.py: tokens a second of llama-server, alone and under `vase exec`, beside `vase bench` at the same depth.

All slots answer at once, greedily, each after a text of its own of DEPTH tokens (read before, not timed): tokens of all slots over the
time from when the last one began to when the first one ended. `vase bench` decodes as many sequences at the same depth, without
sampling, HTTP and text. Ratios hold within one run.

    bench/exec_speed.py -m model.gguf --depths 4096 16384 32768 --vase build/cuda/bin/vase --server llama-server
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/exec"))
import llama_programs  # noqa: E402


def text_of(depth, slot, vocabulary):
    return [(slot * 7919 + i * i % 9973) % (vocabulary - 20) + 10 for i in range(depth)]


def answer(server, text, tokens, slot):
    """When each token of an answer came."""
    body = {"prompt": text, "n_predict": tokens, "temperature": 0, "ignore_eos": True, "id_slot": slot,
            "cache_prompt": True}
    return [time.monotonic() for _ in server.stream("/completion", body)]


def rate(server, texts, tokens):
    """Tokens a second of all slots together, their texts having been read."""
    for slot, text in enumerate(texts):
        server.complete(text, 0, id_slot=slot, cache_prompt=True)
    with concurrent.futures.ThreadPoolExecutor(len(texts)) as pool:
        all_times = list(pool.map(lambda slot: answer(server, texts[slot], tokens, slot), range(len(texts))))
    begin, end = max(times[0] for times in all_times), min(times[-1] for times in all_times)
    count = sum(sum(begin < moment <= end for moment in times) for times in all_times)
    return count / (end - begin)


def of_server(arguments, depth, vase):
    length = arguments.slots * (depth + arguments.tokens + 1024)
    texts = [text_of(depth, slot, arguments.vocabulary) for slot in range(arguments.slots)]
    options = ["-c", length, "-np", arguments.slots, "-b", 2048, "-ub", 512, "-fa", "on", "--cache-ram", 0,
               "--ctx-checkpoints", 0, "--no-kv-unified", *arguments.options]
    with llama_programs.Server(arguments.model, *options, vase=vase, threads=arguments.threads) as server:
        speed = rate(server, texts, arguments.tokens)
        lines = server.stop()
    return speed, lines


def of_bench(arguments, depth):
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as file:
        subprocess.run([arguments.vase, "bench", "-m", arguments.model, "--budget", str(arguments.budget), "--policy",
                        arguments.policy, "--depths", str(depth), "-n", str(arguments.tokens), "--parallel",
                        str(arguments.slots), "--no-plain", "-t", str(arguments.threads), "--json", file.name],
                       check=True, stdout=subprocess.DEVNULL, env=llama_programs.ENVIRONMENT)
        return [json.loads(line) for line in file]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--vase", default="build/release/bin/vase")
    parser.add_argument("--server", required=True, help="llama-server")
    parser.add_argument("--depths", type=int, nargs="+", default=[4096, 16384, 32768])
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--budget", type=int, default=4096)
    parser.add_argument("--policy", default="vase-plus")
    parser.add_argument("-n", "--tokens", type=int, default=256)
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count())
    parser.add_argument("--vocabulary", type=int, default=20000, help="texts are of tokens below this")
    parser.add_argument("options", nargs="*", help="of llama-server, behind --")
    arguments = parser.parse_args()
    llama_programs.VASE = arguments.vase
    llama_programs.FOLDER = pathlib.Path(arguments.server).resolve().parent
    budget = ("--budget", arguments.budget, "--policy", arguments.policy)
    print(f"{arguments.slots} slots, budget {arguments.budget}, {arguments.policy}, tokens a second", flush=True)
    print("depth    plain   under vase exec   ratio   vase bench   ratio", flush=True)
    for depth in arguments.depths:
        plain, _ = of_server(arguments, depth, None)
        bounded, lines = of_server(arguments, depth, budget)
        benched = of_bench(arguments, depth)
        own = benched[0]["depths"][0]["bounded"]["tokens_per_second"]
        print(f"{depth:6} {plain:8.1f} {bounded:12.1f} {bounded / plain:12.2f} {own:12.1f} "
              f"{bounded / own:9.2f}", flush=True)
        print("      ", lines[-1], json.dumps(benched), flush=True)


if __name__ == "__main__":
    main()
