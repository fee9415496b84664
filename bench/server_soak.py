#!/usr/bin/env python3
"""Soak test of vase serve: very many short requests, with cancellations and malformed ones among them.

    python3 bench/server_soak.py --program build/release/bin/vase --model tiny.gguf

Checks that no request is lost or answered twice, that every accepted request ends in exactly one
outcome, and that the resident size of the process stays within 1% from the end of the warm-up on.
Exits with 1 if not. build/release/tests/server/vase_write_model writes a model small enough for
minutes. All traffic is on 127.0.0.1.
"""

import argparse
import http.client
import json
import random
import re
import signal
import sys
import threading
import time
from collections import Counter

from server_process import start_server

JSON = {"Content-Type": "application/json"}
MALFORMED = [
    b"", b"{", b"[]", b'{"prompt": 5}', b'{"prompt": "a", "temperature": "hot"}', b'{"prompt": "\xff"}',
    b'{"prompt": "a", "max_tokens": 1e999}', b'{"prompt": ' + b"[" * 5000,
    b'{"prompt": "a", "vase": {"policy": "x"}}', b'{"prompt": "a", "vase": {"budget": 1000000}}',
]


def resident_bytes(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024


class Tally:
    """What the clients have seen."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = Counter()
        self.ids = Counter()
        self.trouble = []

    def note(self, what, identifier=None):
        with self.lock:
            self.counts[what] += 1
            if identifier:
                self.ids[identifier] += 1

    def complain(self, text):
        with self.lock:
            self.trouble.append(text)


class Client(threading.Thread):
    def __init__(self, port, quota, seed, tally):
        super().__init__(daemon=True)
        self.port, self.quota, self.tally = port, quota, tally
        self.random = random.Random(seed)
        self.connection = None

    def run(self):
        for _ in range(self.quota):
            try:
                self.one_request()
            except Exception as error:  # the report says so at the end
                self.tally.complain(f"{type(error).__name__}: {error}")
                self.connection = None

    def one_request(self):
        kind = self.random.random()
        if kind < 0.10:
            self.malformed()
        elif kind < 0.20:
            self.cancelled()
        elif kind < 0.55:
            self.streamed()
        else:
            self.whole()

    def body(self, **more):
        words = "".join(self.random.choices("abcdefgh ", k=self.random.randint(1, 200)))
        body = {"prompt": words, "max_tokens": self.random.randint(1, 40), "ignore_eos": True, **more}
        if self.random.random() < 0.1:
            body["n"] = 2
        if self.random.random() < 0.3:
            body["vase"] = {"policy": self.random.choice(["vase", "vase-cur", "snapkv", "rkv", "random"]),
                            "budget": self.random.choice([80, 96, 128])}
        if self.random.random() < 0.2:
            body["logprobs"] = 3
        return body

    def send(self, payload):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        try:
            self.connection.request("POST", "/v1/completions", payload, JSON)
            return self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The idle connection was closed; nothing was answered, so the request is sent anew.
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.connection.request("POST", "/v1/completions", payload, JSON)
            return self.connection.getresponse()

    def malformed(self):
        response = self.send(self.random.choice(MALFORMED))
        error = json.loads(response.read())["error"]
        if response.status != 400 or not error["param"]:
            self.tally.complain(f"malformed: {response.status} {error}")
        self.tally.note("malformed")

    def cancelled(self):
        response = self.send(self.body(stream=True) | {"max_tokens": 5000})
        if response.status != 200:
            return self.refused(response)
        response.readline()
        self.connection.close()
        self.connection = None
        self.tally.note("cancelled")

    def streamed(self):
        response = self.send(self.body(stream=True))
        if response.status != 200:
            return self.refused(response)
        events = [line[6:] for line in response.read().decode().splitlines() if line.startswith("data: ")]
        chunks = [json.loads(event) for event in events[:-1]]
        ends = Counter(c["index"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"])
        if events[-1] != "[DONE]" or set(ends.values()) != {1} or len({c["id"] for c in chunks}) != 1:
            self.tally.complain(f"stream: {events[-1]} {ends}")
        self.tally.note("completed", chunks[0]["id"])

    def whole(self):
        response = self.send(self.body())
        if response.status != 200:
            return self.refused(response)
        self.tally.note("completed", json.loads(response.read())["id"])

    def refused(self, response):
        response.read()
        if response.status != 429:
            self.tally.complain(f"refused with {response.status}")
        self.tally.note("refused")


def metrics(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    return dict(re.findall(r"^(\w+(?:{[^}]*})?) (\S+)$", connection.getresponse().read().decode(), re.M))


def start(arguments):
    options = ["--budget", 128, "--recency", 32, "--interval", 32, "--window", 16, "--parallel", 4,
               "--queue", 64, "-t", 1, "--policy", "vase"]  # which lets requests choose any other
    return start_server(arguments.program, arguments.model, options)


def run_clients(port, requests, clients, seed, tally, each_second):
    threads = [Client(port, requests // clients, seed + i, tally) for i in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        each_second()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/vase")
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=int, default=12000)
    parser.add_argument("--warm-up", type=int, default=2000, help="of these requests")
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args()

    process, port = start(arguments)
    tally, sizes = Tally(), []
    began = time.monotonic()
    run_clients(port, arguments.warm_up, arguments.clients, 1, tally, lambda: None)
    sizes.append(resident_bytes(process.pid))
    run_clients(port, arguments.requests - arguments.warm_up, arguments.clients, 1000, tally,
                lambda: sizes.append(resident_bytes(process.pid)))
    sizes.append(resident_bytes(process.pid))
    seconds = time.monotonic() - began

    for _ in range(100):  # the last cancellations
        now = metrics(port)
        if now["vase_slots_busy"] == "0" and now["vase_queue_length"] == "0":
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)

    outcomes = {k.split('"')[1]: int(v) for k, v in now.items() if k.startswith("vase_requests_total")}
    accepted = int(now["vase_requests_accepted_total"])
    change = max(abs(size / sizes[0] - 1) for size in sizes)
    print(f"requests            {sum(tally.counts.values())} in {seconds:.0f} s: {dict(tally.counts)}")
    print(f"server: accepted    {accepted}, outcomes {outcomes}")
    print(f"evictions           {now['vase_evictions_total']}, tokens {now['vase_generated_tokens_total']}")
    print("resident, MiB       " + " ".join(f"{size / 2**20:.1f}" for size in sizes[:: max(1, len(sizes) // 24)]))
    print(f"resident after warm-up {sizes[0] / 2**20:.2f} MiB, least {min(sizes) / 2**20:.2f}, "
          f"most {max(sizes) / 2**20:.2f}, largest change {100 * change:.2f}%")
    checks = {
        "clients saw nothing unexpected": not tally.trouble,
        "every id answered once": set(tally.ids.values()) == {1},
        "as many completed as clients saw, but for cancellations that came too late":
            0 <= outcomes["completed"] - tally.counts["completed"] <= tally.counts["cancelled"],
        "every accepted request has one outcome": sum(outcomes.values()) == accepted,
        "accepted are those that clients sent in good form":
            accepted == tally.counts["completed"] + tally.counts["cancelled"],
        "nothing failed": outcomes["failed"] == outcomes["aborted"] == outcomes["timed_out"] == 0,
        "resident size within 1%": change <= 0.01,
        "exit code 0": code == 0,
    }
    for text, good in checks.items():
        print(f"{'ok    ' if good else 'FAILED'} {text}")
    print(*tally.trouble[:10], sep="\n")
    sys.exit(0 if all(checks.values()) else 1)


if __name__ == "__main__":
    main()
