#!/usr/bin/env python3
"""What `vase plan --fleet` foretells, and what servers under that load do.

    python3 bench/fleet_points.py --program build/release/bin/vase --model model.gguf

Measures a replica with `vase bench`, asks `vase plan --fleet` for the load of one and of two replicas at several rates, and sends as
many requests a second, at random (Poisson) and to a random replica, with prompts and answers of random length. All replicas share this
machine's processors, so that each has its part of the threads. All traffic is on 127.0.0.1.
"""

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import tempfile
import threading
import time

from server_load import JSON
from server_process import start_server


class Request(threading.Thread):
    """One request; notes how long it waited for a slot, by the server's account, and took in all."""

    def __init__(self, port, prompt, tokens):
        super().__init__(daemon=True)
        self.port, self.body = port, {"prompt": prompt, "max_tokens": tokens, "ignore_eos": True}
        self.wait = self.seconds = None

    def run(self):
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=900)
        connection.request("POST", "/v1/completions", json.dumps(self.body), JSON)
        answer = json.loads(connection.getresponse().read())
        self.seconds = time.monotonic() - began
        self.wait = answer["vase"]["choices"][0]["queue_seconds"]


def measure(ports, rate, arguments, chance):
    """Mean wait and mean time of an answer."""
    requests = []
    for _ in range(arguments.requests):
        prompt = [chance.randrange(100, 1000) for _ in range(1 + int(chance.expovariate(1 / (arguments.prompt - 0.5))))]
        requests.append(Request(chance.choice(ports), prompt[:2000], 1 + int(chance.expovariate(1 / (arguments.answer - 0.5)))))
        requests[-1].start()
        time.sleep(chance.expovariate(rate))
    for request in requests:
        request.join(900)
    return statistics.mean(request.wait for request in requests), statistics.mean(request.seconds for request in requests)


def run(program, *words):
    return subprocess.run([program, *map(str, words)], check=True, capture_output=True, text=True, timeout=900).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/vase")
    parser.add_argument("--model", required=True)
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=40, help="tokens, mean")
    parser.add_argument("--answer", type=int, default=24, help="tokens, mean")
    parser.add_argument("--requests", type=int, default=200, help="at each point")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.4, 0.6, 0.8], help="of what the replicas can do")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()

    chance = random.Random(1)
    print("replicas  load  requests/s  wait foretold, s  measured  answer foretold, s  measured", flush=True)
    for replicas in arguments.replicas:
        threads = max(arguments.threads // replicas, 1)
        common = ["-m", arguments.model, "--budget", arguments.budget, "--parallel", arguments.slots]
        with tempfile.NamedTemporaryFile("r", suffix=".json") as bench:
            run(arguments.program, "bench", *common, "-t", threads, "--depths", arguments.prompt + arguments.answer // 2, "-n", 64,
                "--json", bench.name)
            asked = ["--prompt-tokens", arguments.prompt, "--answer-tokens", arguments.answer, "--bench", bench.name, "--json"]
            servers = [start_server(arguments.program, arguments.model, [*common[2:], "-t", threads, "--cache-ram", 0, "--queue", 4096])
                       for _ in range(replicas)]

            def foretold(rate):
                return json.loads(run(arguments.program, "plan", *common, "--fleet", rate, "--gpus", replicas, *asked))["fleet"]

            most = foretold(1e-3)["requests_per_second_of_a_replica"]
            for load in arguments.loads:
                rate = load * replicas * most
                fleet = foretold(rate)["gpus"]
                wait, seconds = measure([port for _, port in servers], rate, arguments, chance)
                print(f"{replicas:8}  {load:4.2f}  {rate:10.2f}  {fleet['wait_seconds']:16.2f}  {wait:8.2f}  "
                      f"{fleet['answer_seconds']:18.2f}  {seconds:8.2f}", flush=True)
            for process, _ in servers:
                process.send_signal(signal.SIGTERM)
            for process, _ in servers:
                process.wait(60)


if __name__ == "__main__":
    main()
