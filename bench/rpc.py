#!/usr/bin/env python3
"""What llama.cpp's RPC backend costs: a model here, and the same with all layers in a ggml-rpc-server on 127.0.0.1.

    VASE_BACKENDS=rpc make build && export PATH="$(VASE_BACKENDS=rpc scripts/build-llama-programs.sh ggml-rpc-server):$PATH"
    python3 bench/rpc.py --program build/release/bin/vase --model MODEL

First the same answer is asked for both ways, greedily and with evictions: exits with 1 if the texts differ. Then `vase bench` runs both
ways by turns. --check does the first alone; exits with 77 if the server's program or the backend is not there.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/exec"))
from llama_programs import free_port  # noqa: E402


def wait_until_it_listens(process, port, log):
    """Ends this program if it does not."""
    for _ in range(100):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()  # it serves one client at a time
            return
        time.sleep(0.1)
    log.seek(0)
    sys.exit(f"the server did not start: {log.read().decode()}")


@contextlib.contextmanager
def rpc_server(threads):
    """Its address."""
    program = shutil.which("ggml-rpc-server")
    if program is None:
        print("no ggml-rpc-server on the PATH: VASE_BACKENDS=rpc scripts/build-llama-programs.sh ggml-rpc-server", file=sys.stderr)
        sys.exit(77)
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port), "-t", str(threads)], stdout=log, stderr=log)
        try:
            wait_until_it_listens(process, port, log)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def vase(arguments, *words):
    command = [arguments.program, words[0], "-m", arguments.model, "--budget", arguments.budget, "-t", arguments.threads, *words[1:]]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=1800)
    if "has no RPC backend" in done.stderr:
        print(done.stderr, file=sys.stderr)
        sys.exit(77)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    return done.stdout


def bench(arguments, *more):
    """The line of each number of sequences."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        vase(arguments, "bench", "--parallel", arguments.parallel, "--depths", arguments.depth, "-n", arguments.tokens, "--json", file.name, *more)
        return [json.loads(line) for line in file]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.environ.get("VASE_PROGRAM", "build/release/bin/vase"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--answer", type=int, default=0, help="tokens of the answer that is compared (default: the budget and a half)")
    parser.add_argument("--parallel", default="1,4")
    parser.add_argument("--depth", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()

    with rpc_server(arguments.threads) as address:
        rpc = ["--rpc", address]
        asked = ["run", "-p", "Once upon a time", "--temp", 0, "-n", arguments.answer or arguments.budget * 3 // 2, "--ignore-eos"]
        here, there = vase(arguments, *asked), vase(arguments, *asked, *rpc)
        if here != there:
            sys.exit(f"the answers differ:\n{here}\n---\n{there}")
        print(f"the same answer, {len(here)} characters", flush=True)
        if arguments.check:
            return
        runs = [(bench(arguments), bench(arguments, *rpc)) for _ in range(arguments.rounds)]

    print("sequences  cache    here, ms a step  by RPC  eviction here, ms each  by RPC  prompt here, tokens/s  by RPC")
    for index, first in enumerate(runs[0][0]):
        for kind in ("plain", "bounded"):
            row = [first["sequences"], kind]
            windows = [[run[way][index]["depths"][-1][kind] for run in runs] for way in (0, 1)]
            steps = [1000 * statistics.median(window["median_step_seconds"] for window in each) for each in windows]
            evictions = [1000 * statistics.median(window["eviction_seconds"] / max(window["evictions"], 1) for window in each) for each in windows]
            read = [statistics.median(run[way][index]["depths"][-1][kind]["prompt"]["tokens_per_second"] for run in runs)
                    for way in (0, 1)]  # fmt: skip
            print(f"{row[0]:9}  {kind:7}  {steps[0]:15.1f}  {steps[1]:6.1f}  {evictions[0]:22.1f}  {evictions[1]:6.1f}  {read[0]:21.0f}  {read[1]:6.0f}")


if __name__ == "__main__":
    main()
