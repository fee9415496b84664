#!/usr/bin/env python3
"""exec_beside_serve.py MODEL [ROUNDS]: llama-server under `vase exec` beside `vase serve`: tokens/s and memory.

Four slots of 512 rows, eight completions of 500 tokens each, greedy, batches of 512; the two take turns. Prints the medians and ratios.

    VASE_PROGRAM=build/release/bin/vase VASE_LLAMA_PROGRAMS=~/.cache/vase/llama-0.3.36-cpu/build/bin bench/exec_beside_serve.py model.gguf
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/exec"))
from llama_programs import ENVIRONMENT, VASE, Server, free_port  # noqa: E402

SLOTS, ROWS, ANSWERS, TOKENS, THREADS = 4, 512, 8, 500, 2


class VaseServe(Server):
    """`vase serve`, asked as llama-server is."""

    def __init__(self, model):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        command = [VASE, "serve", "-m", model, "--port", self.port, "--parallel", SLOTS, "--budget", ROWS, "-t", THREADS, "-b", 512]
        self.process = subprocess.Popen([str(word) for word in command], stdout=self.log, stderr=self.log, env=ENVIRONMENT)
        while self.process.poll() is None:
            try:
                if self.request("GET", "/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"vase serve did not start: {self.said()[-2000:]}")


def measure(server):
    """Tokens/s of all answers, and the resident MiB when they are done."""
    with server:
        def ask(number):
            body = {"prompt": f"{number}. Once upon a time", "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
            answer = server.post("/v1/completions", body)
            return answer["usage"]["completion_tokens"]

        ask(99)
        begun = time.monotonic()
        tokens = sum(server.together(*[lambda n=n: ask(n) for n in range(ANSWERS)]))
        return tokens / (time.monotonic() - begun), server.resident() / 2**20


def main():
    model, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    results = {"llama-server under vase exec": [], "vase serve": []}
    for _ in range(rounds):
        results["llama-server under vase exec"].append(measure(Server(
            model, "-c", 4096 * SLOTS, "-np", SLOTS, "-b", 512, vase=("--budget", ROWS), threads=THREADS)))
        results["vase serve"].append(measure(VaseServe(model)))
    medians = {name: [statistics.median(values) for values in zip(*runs)] for name, runs in results.items()}
    for name, (speed, memory) in medians.items():
        print(f"{name:30} {speed:7.1f} tokens/s {memory:8.1f} MiB")
    (speed, memory), (own_speed, own_memory) = medians.values()
    print(f"{'ratio':30} {speed / own_speed:7.2f}          {memory / own_memory:8.2f}")


if __name__ == "__main__":
    main()
