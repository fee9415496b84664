#!/usr/bin/env python3
"""What a second replica brings: tokens a second of one replica and of several under the same load, by turns.

    VASE_PROGRAM=build/cuda/bin/vase PYTHONPATH=build/release/python ~/.cache/vase/ray-venv/bin/python bench/ray_replicas.py --model MODEL --gpus 2

Each replica has a GPU of its own, or without --gpus cores of its own. Clients ask one request after the other through the cluster, each
with a prompt of its own; there are more of them than slots, so that none is idle. Tokens are those that the servers count while all
clients ask. RAY_SERVE_ENABLE_HA_PROXY=1 has HAProxy take requests. All traffic is on 127.0.0.1.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import re
import statistics
import sys
import threading
import time

from paired import ratio
from server_load import JSON

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/ray"))
from ray_cluster import RayCluster  # noqa: E402


class Client(threading.Thread):
    """Asks until `done` is set. The text is read and not looked at: what counts tokens is the servers."""

    def __init__(self, port, arguments, number, done):
        super().__init__(daemon=True)
        self.port, self.arguments, self.chance, self.done, self.failed = port, arguments, random.Random(number), done, ""

    def run(self):
        while not self.done.is_set():
            prompt = [self.chance.randrange(100, 1000) for _ in range(self.arguments.prompt)]
            body = {"prompt": prompt, "max_tokens": self.arguments.answer, "ignore_eos": True, "stream": True}
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            connection.request("POST", "/v1/completions", json.dumps(body), JSON)
            response = connection.getresponse()
            if response.status != 200:
                self.failed = f"{response.status} {response.read().decode()}"
                return
            while response.read1(1 << 16) and not self.done.is_set():
                pass
            connection.close()


def tokens_so_far(port):
    """By replica, and when that was."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    found = re.findall(r'^vase_generated_tokens_total{replica="(\d+)"} (\d+)', page, re.M)
    return {rank: int(count) for rank, count in found}, time.monotonic()


def rate(port, arguments):
    """Tokens a second of each replica."""
    done = threading.Event()
    clients = [Client(port, arguments, number, done) for number in range(arguments.clients)]
    for client in clients:
        client.start()
    time.sleep(arguments.warm_up)
    before, began = tokens_so_far(port)
    time.sleep(arguments.seconds)
    after, ended = tokens_so_far(port)
    done.set()
    for client in clients:
        client.join(300)
        if client.failed:
            sys.exit(f"a request failed: {client.failed}")
    return {rank: (after[rank] - before[rank]) / (ended - began) for rank in after}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--replicas", type=int, default=2, help="held against one")
    parser.add_argument("--gpus", type=int, default=0, help="as many as replicas; 0: on the CPU")
    parser.add_argument("--threads", type=int, default=1, help="of each replica")
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--slots", type=int, default=32, help="of each replica")
    parser.add_argument("--clients", type=int, default=96)
    parser.add_argument("--fronts", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=64, help="tokens")
    parser.add_argument("--answer", type=int, default=256, help="tokens")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds")
    parser.add_argument("--seconds", type=float, default=12, help="that are counted, each time")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()

    rates = {1: [], arguments.replicas: []}
    with RayCluster(1, arguments.threads * arguments.replicas, arguments.gpus) as ray:
        for number in range(arguments.rounds):
            for replicas in sorted(rates, reverse=number % 2):
                ray.start(model=os.path.abspath(arguments.model), parallel=arguments.slots, cpus=arguments.threads,
                          gpus=1 if arguments.gpus else 0, replicas=replicas, fronts=arguments.fronts, queue=2 * arguments.clients,
                          options=f"--budget {arguments.budget} --cache-ram 0")
                each = rate(ray.port, arguments)
                rates[replicas].append(sum(each.values()))
                print(f"{replicas} {'replica' if replicas == 1 else 'replicas'}: {rates[replicas][-1]:.0f} tokens/s "
                      f"({', '.join(f'{one:.0f}' for one in each.values())})", flush=True)
                ray.remove()
    times, low, high = ratio(rates[arguments.replicas], rates[1])
    print(f"{pathlib.Path(arguments.model).name}, {arguments.slots} slots each, {arguments.clients} clients, prompts of {arguments.prompt} and "
          f"answers of {arguments.answer} tokens, {arguments.rounds} rounds: {statistics.median(rates[1]):.0f} tokens/s with one replica, "
          f"{statistics.median(rates[arguments.replicas]):.0f} with {arguments.replicas}, {times:.2f} times (95%: {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
