#!/usr/bin/env python3
"""What `vase plan --fleet` foretells, and what servers under that load do.

    python3 bench/fleet_points.py --program build/release/bin/vase --model model.gguf

Two things are held against each other. Capacity: what `vase plan --fleet` says a replica can do at most, from a run of `vase bench`,
and how fast the servers work off a crowd of requests. Waits: what the plan says at several rates, and what it comes to when as many
requests a second arrive at random (Poisson), at a random replica, with prompts and answers of random length. A machine that other work
shares is not as fast at each moment; so a crowd comes before and after each point, and rates and waits are those of a machine of that
speed (a plan for a machine f times as fast is the plan for 1/f of the rate, with times 1/f as long). --json FILE has what was
measured, as tests/cli/fleet_points holds it. All traffic is on 127.0.0.1.
"""

import argparse
import http.client
import json
import math
import os
import pathlib
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


def length(mean, share):
    """Of exponentially distributed lengths the one that this share of them does not exceed; 2,000 at most."""
    return min(1 + int(-(mean - 0.5) * math.log(1 - share)), 2000)


def request(port, arguments, chance, shares):
    """`shares`: how long its prompt and answer are among all."""
    prompt = [chance.randrange(100, 1000) for _ in range(length(arguments.prompt, shares[0]))]
    return Request(port, prompt, length(arguments.answer, shares[1]))


def crowd(ports, arguments, chance):
    """Requests a second of all replicas, when there are always more than slots: the same number for each, until the first has few.

    Their lengths are spread as those of all requests, so that each crowd is as much work as the next.
    """
    shares = [(number + 0.5) / arguments.crowd for number in range(arguments.crowd)]
    requests = [request(port, arguments, chance, both) for port in ports
                for both in zip(chance.sample(shares, arguments.crowd), chance.sample(shares, arguments.crowd))]
    began = time.monotonic()
    for each in requests:
        each.start()
    for each in requests:
        each.join(900)
    ended = sorted(began + each.seconds for each in requests)
    most = len(ended) - 2 * arguments.slots * len(ports)  # behind these, slots are empty
    return most / (ended[most - 1] - began)


def measure(ports, rate, arguments, chance):
    """Mean wait and mean time of an answer; not of the first fifth, who find emptier servers than there are later."""
    requests = []
    for _ in range(arguments.requests * 5 // 4):
        requests.append(request(chance.choice(ports), arguments, chance, (chance.random(), chance.random())))
        requests[-1].start()
        time.sleep(chance.expovariate(rate))
    for each in requests:
        each.join(900)
    counted = requests[-arguments.requests:]
    return statistics.mean(each.wait for each in counted), statistics.mean(each.seconds for each in counted)


def run(program, *words, environment=None):
    return subprocess.run([program, *map(str, words)], check=True, capture_output=True, text=True, timeout=900,
                          env=os.environ | (environment or {})).stdout


def save(record, path):
    if path:
        path.write_text(json.dumps(record) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/vase")
    parser.add_argument("--model", required=True)
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=40, help="tokens, mean")
    parser.add_argument("--answer", type=int, default=24, help="tokens, mean")
    parser.add_argument("--requests", type=int, default=200, help="counted at each point")
    parser.add_argument("--crowd", type=int, default=40, help="for each replica")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.4, 0.6, 0.8], help="of what the replicas can do")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--widths", type=int, nargs="+", help="of the run of vase bench (default: 1 and --slots)")
    parser.add_argument("--on-gpus", action="store_true", help="one of CUDA_VISIBLE_DEVICES for each replica; else a share of the threads")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()

    chance = random.Random(1)
    widths = ",".join(map(str, sorted({*(arguments.widths or [1]), arguments.slots})))
    record = {"settings": {name: str(value) if isinstance(value, pathlib.Path) else value for name, value in vars(arguments).items()}, "fleets": []}
    print("replicas  most foretold  measured  load  requests/s  wait foretold, s  measured  answer foretold, s  measured", flush=True)
    for replicas in arguments.replicas:
        threads = arguments.threads if arguments.on_gpus else max(arguments.threads // replicas, 1)
        common = ["-m", arguments.model, "--budget", arguments.budget]
        slots = ["--parallel", arguments.slots]
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if arguments.on_gpus else []
        devices = [{"CUDA_VISIBLE_DEVICES": gpus[number]} if gpus else {} for number in range(replicas)]
        with tempfile.NamedTemporaryFile("r", suffix=".json") as bench:
            run(arguments.program, "bench", *common, "--parallel", widths, "-t", threads, "--depths", arguments.prompt + arguments.answer // 2,
                "-n", 128, "--no-plain", "--json", bench.name, environment=devices[0])
            fleet = {"replicas": replicas, "bench": [json.loads(line) for line in bench], "crowds": [], "points": []}
            record["fleets"].append(fleet)
            save(record, arguments.json)
            asked = ["--prompt-tokens", arguments.prompt, "--answer-tokens", arguments.answer, "--bench", bench.name, "--json"]
            options = [*common[2:], *slots, "-t", threads, "--cache-ram", 0, "--queue", 4096]
            servers = [start_server(arguments.program, arguments.model, options, device) for device in devices]

            def foretold(rate):
                return json.loads(run(arguments.program, "plan", *common, *slots, "--fleet", rate, "--gpus", replicas, *asked))["fleet"]

            most = foretold(1e-3)["requests_per_second_of_a_replica"]
            ports = [port for _, port in servers]
            crowd(ports, arguments, chance)  # warms up
            before = crowd(ports, arguments, chance)
            fleet["crowds"].append(before)
            save(record, arguments.json)
            for load in arguments.loads:
                rate = load * before
                wait, seconds = measure(ports, rate, arguments, chance)
                after = crowd(ports, arguments, chance)
                can = (before + after) / 2
                fleet["crowds"].append(after)
                fleet["points"].append({"rate": rate, "can": can, "wait": wait, "seconds": seconds})
                save(record, arguments.json)
                speed = can / (replicas * most)
                plan = foretold(rate / speed)["gpus"]
                wait_foretold, seconds_foretold = (plan[name] / speed if plan[name] else float("inf") for name in ("wait_seconds", "answer_seconds"))
                print(f"{replicas:8}  {replicas * most:13.2f}  {can:8.2f}  {rate / can:4.2f}  {rate:10.2f}  {wait_foretold:16.2f}  {wait:8.2f}  "
                      f"{seconds_foretold:18.2f}  {seconds:8.2f}", flush=True)
                before = after
            for process, _ in servers:
                process.send_signal(signal.SIGTERM)
            for process, _ in servers:
                process.wait(60)


if __name__ == "__main__":
    main()
