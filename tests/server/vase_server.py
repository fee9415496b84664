"""Starts `vase serve` for a test and asks it things."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

PROGRAM = os.environ.get("VASE_PROGRAM", "build/release/bin/vase")
WRITE_MODEL = os.environ.get("VASE_WRITE_MODEL", "build/release/tests/server/vase_write_model")
SANITIZED = bool(os.environ.get("VASE_SANITIZE"))
DEADLINE = 300  # seconds, for what the machine needs time for: it may be busy
JSON = {"Content-Type": "application/json"}


def write_model(path, chat_template="chatml", *options):
    subprocess.run([WRITE_MODEL, str(path), chat_template, *options], check=True, timeout=60)
    return path


class Server:
    """A running server; with `with` it is shut down in good order."""

    def __init__(self, model, *options, key=None):
        self.key = key
        self.log = tempfile.TemporaryFile("w+")
        command = [PROGRAM, "serve", "-m", str(model), "--port", "0", "-t", "1", *map(str, options)]
        self.process = subprocess.Popen(command, stderr=self.log, stdout=self.log)
        self.port = self._wait_for_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def _wait_for_port(self):
        for _ in range(600):
            match = re.search(r"listening on http://[^:]+:(\d+)", self.said())
            if match:
                return int(match[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start: {self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def request(self, method, path, body=None, headers=None, timeout=60):
        """Returns status, headers, text."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        headers = dict(headers if headers is not None else (JSON if body is not None else {}))
        if self.key:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def get(self, path, **options):
        status, _, text = self.request("GET", path, **options)
        assert status == 200, text
        return json.loads(text) if text.startswith(("{", "[")) else text

    def post(self, path, body, **options):
        status, _, text = self.request("POST", path, body, **options)
        assert status == 200, text
        return json.loads(text)

    def complete(self, prompt="abc", **fields):
        return self.post("/v1/completions", {"prompt": prompt, "ignore_eos": True, **fields})

    def refused(self, path, body, **options):
        """Status and error object of a request that must fail."""
        status, _, text = self.request("POST", path, body, **options)
        assert status >= 400, text
        return status, json.loads(text)["error"]

    def metric(self, name):
        for line in self.get("/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise KeyError(name)

    def outcomes(self):
        text = self.get("/metrics")
        return {k: int(v) for k, v in re.findall(r'vase_requests_total{outcome="(\w+)"} (\d+)', text)}

    def open_stream(self, path="/v1/completions", **fields):
        """A raw connection on which an endless stream has begun."""
        fields = {"prompt": "abc", "ignore_eos": True, "stream": True, **fields}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, json.dumps(fields), JSON)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return connection, response

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=60):
        return self.process.wait(timeout)

    def stop(self):
        """Shuts down, once, and checks that nothing went wrong inside, leaks included."""
        if self.log.closed:
            return
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        code = self.wait()
        said = self.said()
        self.log.close()
        assert code == 0, said

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            print(self.said())
            return
        self.stop()


def wait_until(condition, seconds=10):
    """Polls; returns whether it came true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def in_background(function, *arguments):
    """Runs in a thread; call the result to wait and get what it returned or raised."""
    outcome = {}

    def run():
        try:
            outcome["value"] = function(*arguments)
        except BaseException as error:  # handed to whoever waits
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result(timeout=60):
        thread.join(timeout)
        assert not thread.is_alive(), "still running"
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    return result


def hard_close(connection):
    """As when a client is killed."""
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
