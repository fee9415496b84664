#!/usr/bin/env python3
"""exec_soak.py MODEL [REQUESTS] [--plain]: many requests to an unmodified llama-server under `vase exec`, or without it.

Eight clients ask: chats of several turns, completions, cancels in mid-stream, bodies that are not what they should be. At the end comes
a SIGTERM while requests run. Prints outcomes, what vase exec counted, and the resident size after each tenth; exits with 1 if a request
has no outcome or another than it should, or if the size grows by more than 1% over the last fifth: plain llama-server itself grows by
more than that for the first thousands (--plain shows it), while its allocator meets requests of all sizes.

llama-server, with or without vase exec, does not end after a SIGTERM before the clients whose requests it has taken hang up, and it
answers them nothing; so the last clients wait for five seconds.

    VASE_PROGRAM=build/release/bin/vase VASE_LLAMA_PROGRAMS=~/.cache/vase/llama-0.3.36-cpu/build/bin bench/exec_soak.py model.gguf
"""

import collections
import http.client
import pathlib
import random
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/exec"))
from llama_programs import BUDGET, Server, counts  # noqa: E402

TEXT = "Some words that come again, and others that do not. " * 20


class Clients:
    """Asks until the number of requests is reached, and counts what came of them."""

    def __init__(self, server, requests, stopping=False):
        self.server, self.requests, self.stopping = server, requests, stopping
        self.lock = threading.Lock()
        self.begun, self.outcomes, self.sizes = 0, collections.Counter(), []

    def next(self):
        with self.lock:
            if self.begun >= self.requests:
                return None
            self.begun += 1
            if not self.stopping and self.begun % (self.requests // 10) == 0:
                self.sizes.append(self.server.resident())
                print(f"{self.begun:6} requests, {self.sizes[-1] / 2**20:7.1f} MiB", flush=True)
            return self.begun

    def ask(self, number):
        chance = random.Random(number)
        kind = chance.choice(["complete", "complete", "chat", "cancel", "malformed", "too long"])
        prompt = f"{number % 40} " + TEXT[: chance.randint(1, len(TEXT))]
        if kind == "complete":
            self.server.complete(prompt, chance.randint(1, 200), temperature=1)
        elif kind == "chat":
            messages = [{"role": "user", "content": prompt}]
            for _ in range(2):
                answer = self.server.chat(messages, chance.randint(1, 100))
                messages += [answer["choices"][0]["message"], {"role": "user", "content": "Go on."}]
        elif kind == "cancel":
            for _ in self.server.stream("/completion", {"prompt": prompt, "n_predict": 400, "ignore_eos": True}):
                break
        elif kind == "malformed":
            assert self.server.request("POST", "/completion", chance.choice([[], {"prompt": 3.5}, {"messages": {}}]))[0] >= 400
        else:
            assert self.server.request("POST", "/completion", {"prompt": "a" * 5000, "n_predict": 1})[0] == 400
        return kind

    def client(self):
        while (number := self.next()) is not None:
            try:
                outcome = self.ask(number)
            except (OSError, http.client.HTTPException) as error:
                outcome = "ended with the server" if self.stopping else f"lost: {error}"
            except AssertionError as error:
                outcome = f"wrong: {str(error)[:200]}"
            with self.lock:
                self.outcomes[outcome] += 1

    def run(self):
        threads = [threading.Thread(target=self.client) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main():
    plain = "--plain" in sys.argv
    model, requests = sys.argv[1], next((int(argument) for argument in sys.argv[2:] if argument.isdigit()), 5000)
    server = Server(model, "-c", 4096 * 4, "-np", 4, "-b", 512, "--cache-ram", 16, threads=2, vase=None if plain else BUDGET)
    clients = Clients(server, requests)
    clients.run()
    last = Clients(server, 100, stopping=True)
    timer = threading.Timer(1, server.process.terminate)
    timer.start()
    server.patience = 5
    last.run()
    code = server.process.wait(60)
    lines = server.lines()
    print("\n".join(lines))
    print("llama-server ended with status", code)
    print("outcomes:", dict(clients.outcomes), "and while it was stopped:", dict(last.outcomes))
    growth = max(clients.sizes[-2:]) / clients.sizes[-3] - 1
    print(f"resident size after the first tenth of the requests: {max(clients.sizes[1:]) / clients.sizes[0] - 1:+.2%} at most; "
          f"over the last fifth: {growth:+.2%}")
    bad = [outcome for outcome in clients.outcomes if outcome.startswith(("lost", "wrong"))]
    all_there = clients.outcomes.total() == requests and last.outcomes.total() == 100
    evicted = plain or counts(lines)["evictions"] > requests / 10
    return 0 if not bad and all_there and code == 0 and growth < 0.01 and evicted else 1


if __name__ == "__main__":
    sys.exit(main())
