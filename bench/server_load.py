#!/usr/bin/env python3
"""Load test of vase serve: throughput with all slots busy, and time to first token under load.

    python3 bench/server_load.py --program build/release/bin/vase --model model.gguf --slots 4

1. Yardstick: `vase bench --parallel SLOTS` decodes the same batch at the same depth, without sampling.
2. Server: as many streams as slots; each reads a prompt of --depth tokens, and the rate of all
   together is measured while all of them generate. Yardstick and server run by turns.
3. Latency: clients arrive at random (Poisson) with prompts of 20 to 400 tokens; time to first token.

All traffic is on 127.0.0.1, and every loop is bounded.
"""

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from server_process import start_server

JSON = {"Content-Type": "application/json"}


def start(arguments):
    options = ["--policy", arguments.policy, "--budget", arguments.budget, "--parallel", arguments.slots,
               "-t", arguments.threads]
    return start_server(arguments.program, arguments.model, options)


class Stream(threading.Thread):
    """One streamed request to HOST:PORT; notes when each token came."""

    def __init__(self, address, prompt, tokens, headers=JSON):
        super().__init__(daemon=True)
        self.address, self.headers, self.times, self.status = address, headers, [], 0
        self.body = {"prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "stream": True,
                     "logprobs": 0}  # so that every token makes an event, also those without text
        self.began = time.monotonic()

    def run(self):
        self.began = time.monotonic()
        connection = http.client.HTTPConnection(self.address, timeout=900)
        connection.request("POST", "/v1/completions", json.dumps(self.body), self.headers)
        response = connection.getresponse()
        self.status = response.status
        if response.status != 200:
            return
        for line in response:
            if line.startswith(b"data: {"):
                self.times.append(time.monotonic())


def throughput(arguments):
    process, port = start(arguments)
    rate = rate_at(f"127.0.0.1:{port}", arguments)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    return rate


def rate_at(address, arguments, headers=JSON):
    """Tokens a second of as many streams as slots, while all of them generate. Ends this program if that is never so."""
    tokens = random.Random(1)
    streams = [Stream(address, [tokens.randrange(100, 1000) for _ in range(arguments.depth)], arguments.tokens, headers) for _ in range(arguments.slots)]
    for stream in streams:
        stream.start()
    # While all of them generate: none reads its prompt any more, and none is done.
    while not all(stream.times for stream in streams):
        if not all(stream.is_alive() for stream in streams):
            sys.exit("a stream ended before all had begun: give more --tokens")
        time.sleep(0.02)
    begin = time.monotonic()
    while all(stream.is_alive() for stream in streams):
        time.sleep(0.02)
    end = time.monotonic()
    for stream in streams:
        stream.join(600)
    count = sum(begin < t <= end for stream in streams for t in stream.times)
    return count / (end - begin)


def yardstick(arguments):
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        options = ["--policy", arguments.policy, "--parallel", arguments.slots, "--budget", arguments.budget,
                   "--depths", arguments.depth, "-n", arguments.tokens, "-t", arguments.threads, "--stagger",
                   "--json", file.name]
        command = [arguments.program, "bench", "-m", arguments.model, *map(str, options)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1800)
        return json.load(file)["depths"][0]["bounded"]["tokens_per_second"]


def latency(arguments):
    process, port = start(arguments)
    chance = random.Random(2)
    streams = []
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        prompt = [chance.randrange(100, 1000) for _ in range(chance.randint(20, 400))]
        streams.append(Stream(f"127.0.0.1:{port}", prompt, arguments.answer))
        streams[-1].start()
        time.sleep(chance.expovariate(arguments.rate))
    for stream in streams:
        stream.join(900)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    answered = [stream for stream in streams if stream.times]
    first = sorted(stream.times[0] - stream.began for stream in answered)
    gaps = sorted(b - a for stream in answered for a, b in zip(stream.times, stream.times[1:]))
    return len(streams), first, gaps


def percentile(values, share):
    return values[min(int(share * len(values)), len(values) - 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/vase")
    parser.add_argument("--model", required=True)
    parser.add_argument("--policy", default="vase", help="(default: vase, which also captures queries)")
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--depth", type=int, default=4096)
    parser.add_argument("--tokens", type=int, default=256, help="generated by each stream")
    parser.add_argument("--rounds", type=int, default=2, help="of server and yardstick, by turns; 0: none")
    parser.add_argument("--seconds", type=float, default=60, help="of arrivals; 0: no latency test")
    parser.add_argument("--rate", type=float, default=0.5, help="arrivals a second")
    parser.add_argument("--answer", type=int, default=32, help="tokens of an answer in the latency test")
    arguments = parser.parse_args()

    shares = []
    for _ in range(arguments.rounds):
        rate = throughput(arguments)
        print(f"server       {rate:.1f} tokens/s; {arguments.slots} slots at depth {arguments.depth}, "
              f"budget {arguments.budget}, {arguments.threads} threads", flush=True)
        bare = yardstick(arguments)
        shares.append(rate / bare)
        print(f"vase bench   {bare:.1f} tokens/s", flush=True)
    if shares:
        print(f"share        {100 * statistics.median(shares):.1f}%")
    if arguments.seconds > 0:
        count, first, gaps = latency(arguments)
        print(f"latency      {count} requests, {len(first)} answered, {arguments.rate} a second")
        print(f"             to first token: median {statistics.median(first):.2f} s, "
              f"p95 {percentile(first, 0.95):.2f} s, most {first[-1]:.2f} s")
        print(f"             between tokens: median {1000 * statistics.median(gaps):.0f} ms, "
              f"p95 {1000 * percentile(gaps, 0.95):.0f} ms, most {1000 * gaps[-1]:.0f} ms")


if __name__ == "__main__":
    main()
