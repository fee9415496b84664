"""Starts programs of llama.cpp under `vase exec` for a test, and asks llama-server things."""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

VASE = os.environ.get("VASE_PROGRAM", "build/release/bin/vase")
WRITE_MODEL = os.environ.get("VASE_WRITE_MODEL", "build/release/tests/server/vase_write_model")
FOLDER = pathlib.Path(os.environ.get("VASE_LLAMA_PROGRAMS", ""))
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}
SANITIZED = bool(os.environ.get("VASE_SANITIZE"))
if SANITIZED:  # the programs are not, so the runtime is put in front of them as well, and their own leaks are theirs
    ENVIRONMENT["LD_PRELOAD"] = ":".join(
        subprocess.check_output(["gcc", f"-print-file-name={name}.so"], text=True).strip() for name in ("libasan", "libubsan"))
    ENVIRONMENT["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=0:alloc_dealloc_mismatch=0"
# Small, so that evictions come soon; 256 is what llama.cpp pads cells to.
BUDGET = ("--budget", 256, "--recency", 32, "--interval", 32)


def program(name):
    return FOLDER / name


def command(name, *arguments, vase=BUDGET):
    """`vase exec` and a program; with `vase=None` the program alone."""
    before = [] if vase is None else [VASE, "exec", *map(str, vase), "--"]
    return [*before, str(program(name)), *map(str, arguments)]


def run(name, *arguments, vase=BUDGET, **options):
    """Runs a program to its end and returns its result: stdout, stderr and the status."""
    options.setdefault("timeout", 300)
    return subprocess.run(command(name, *arguments, vase=vase), capture_output=True, text=True,
                          env=ENVIRONMENT, stdin=subprocess.DEVNULL, errors="replace", **options)


def vase(*arguments, **options):
    """A command of vase's, to its end."""
    options.setdefault("timeout", 300)
    return subprocess.run([VASE, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT,
                          errors="replace", **options)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A llama-server; with `with` it is shut down in good order."""

    patience = 300  # seconds that a client waits for something to arrive

    def __init__(self, model, *arguments, vase=BUDGET, threads=1):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        arguments = ["-m", model, "--port", self.port, "-t", threads, "--no-webui", *arguments]
        self.process = subprocess.Popen(command("llama-server", *arguments, vase=vase), stdout=self.log,
                                        stderr=self.log, env=ENVIRONMENT)
        for _ in range(1200):
            if self.process.poll() is not None:
                break
            try:
                # /health says ok before the server takes signals and begins its loop, which answers /slots.
                if self.request("GET", "/health")[0] == 200 and self.request("GET", "/slots")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"llama-server did not start: {self.said()[-4000:]}")

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def lines(self):
        """What vase exec said."""
        return [line for line in self.said().splitlines() if line.startswith("vase exec: ")]

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.patience) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def post(self, path, body):
        status, text = self.request("POST", path, body)
        assert status == 200, text
        return json.loads(text)

    def complete(self, prompt, tokens=32, **fields):
        """Greedy, of that many tokens unless something else ends it."""
        fields = {"prompt": prompt, "n_predict": tokens, "temperature": 0, "ignore_eos": True, **fields}
        return self.post("/completion", fields)

    def chat(self, messages, tokens=32, **fields):
        fields = {"messages": messages, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, **fields}
        return self.post("/v1/chat/completions", fields)

    def stream(self, path, body):
        """The data of each event of a stream."""
        request = urllib.request.Request(self.url + path, json.dumps({**body, "stream": True}).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=self.patience) as response:
            for line in response:
                line = line.decode().strip()
                if line.startswith("data: ") and line != "data: [DONE]":
                    yield json.loads(line[len("data: "):])

    def together(self, *calls):
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            return [future.result() for future in [pool.submit(call) for call in calls]]

    def resident(self):
        """Bytes of the process that are in memory."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024

    def stop(self):
        """Shuts down; returns what vase exec said to the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert code == 0, (code, self.said()[-4000:])
        return self.lines()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if failure[0] is None:
            self.stop()
        else:
            print(self.said()[-4000:])
            self.process.kill()
            self.process.wait()


def counts(lines):
    """The numbers of the line that vase exec ends with."""
    match = re.search(r"(\d+) tokens decoded, (\d+) evictions .* (\d+) rows moved; (\d+) sequences put "
                      r"aside, (\d+) taken back", lines[-1])
    assert match, lines
    return dict(zip(("tokens", "evictions", "moved", "put_aside", "taken_back"), map(int, match.groups())))
