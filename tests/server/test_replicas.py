"""deploy/nginx.conf in front of two replicas, of which one is killed under load."""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from vase_server import DEADLINE, JSON, Server, wait_until

CONF = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def replicas(model):
    options = ("--budget", 128, "--parallel", 2, "--queue", 32)
    pair = [Server(model, *options) for _ in range(2)]
    yield pair
    for replica in pair:
        if replica.process.poll() is None:
            replica.stop()


@pytest.fixture
def balancer(replicas, tmp_path):
    """The published configuration with other ports."""
    port = free_port()
    text = CONF.read_text()
    for before, after in (("8081", replicas[0].port), ("8082", replicas[1].port), ("8080", port)):
        assert f"127.0.0.1:{before}" in text
        text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
    (tmp_path / "nginx.conf").write_text(text)
    (tmp_path / "temp").mkdir()
    process = subprocess.Popen([NGINX, "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-g", "daemon off;"])
    url = f"http://127.0.0.1:{port}"

    def ready():
        try:
            return urllib.request.urlopen(url + "/health", timeout=5).status == 200
        except OSError:
            return False

    assert wait_until(ready)
    yield url
    process.terminate()
    process.wait(20)


class Client(threading.Thread):
    """Sends requests until told to stop; notes for each when it began and whether it came whole."""

    def __init__(self, url, stop):
        super().__init__(daemon=True)
        self.url, self.stop_event, self.results = url, stop, []

    def run(self):
        body = {"prompt": "abc", "max_tokens": 150, "ignore_eos": True, "stream": True}
        for _ in range(2000):
            if self.stop_event.is_set():
                return
            began = time.monotonic()
            try:
                request = urllib.request.Request(self.url + "/v1/completions", json.dumps(body).encode(), JSON)
                text = urllib.request.urlopen(request, timeout=60).read().decode()
                whole = text.endswith("data: [DONE]\n\n")
            except (OSError, ValueError, __import__("http.client").client.HTTPException):
                whole = False
            self.results.append((began, time.monotonic(), whole))


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_only_the_killed_replica_s_requests_fail(replicas, balancer):
    stop = threading.Event()
    clients = [Client(balancer, stop) for _ in range(6)]
    for client in clients:
        client.start()
    both_work = lambda: all(replica.outcomes()["completed"] >= 5 for replica in replicas)
    assert wait_until(both_work, DEADLINE)

    killed = time.monotonic()
    replicas[0].process.kill()
    replicas[0].wait()
    before = replicas[1].outcomes()["completed"]
    assert wait_until(lambda: replicas[1].outcomes()["completed"] >= before + 30, DEADLINE)
    stop.set()
    for client in clients:
        client.join(60)

    results = [result for client in clients for result in client.results]
    failed = [result for result in results if not result[2]]
    in_flight = [r for r in results if r[0] <= killed + 0.2 and r[1] >= killed]
    # Those that the dead one was answering: at most all in flight at that moment, here at most as
    # many as clients, and none that began later.
    assert all(result in in_flight for result in failed), failed
    assert len(failed) <= len(clients)
    assert len(results) > 40
    print(f"{len(results)} requests, {len(failed)} failed, {len(in_flight)} were in flight at the kill")


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_a_replica_that_is_shut_down_fails_nobody(replicas, balancer):
    stop = threading.Event()
    clients = [Client(balancer, stop) for _ in range(4)]
    for client in clients:
        client.start()
    assert wait_until(lambda: all(replica.outcomes()["completed"] >= 5 for replica in replicas), DEADLINE)
    replicas[0].stop()
    before = replicas[1].outcomes()["completed"]
    assert wait_until(lambda: replicas[1].outcomes()["completed"] >= before + 20, DEADLINE)
    stop.set()
    for client in clients:
        client.join(60)
    assert all(whole for client in clients for _, _, whole in client.results)
