import http.client
import json
import os
import subprocess

import pytest
from ray_cluster import RayCluster

BUDGET = "--budget 128 --recency 32 --interval 32 --cache-ram 128"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    subprocess.run([os.environ["VASE_WRITE_MODEL"], path, "chatml"], check=True, timeout=60)
    return path


class Client:
    """Asks the cluster."""

    def __init__(self, port):
        self.port = port

    def send(self, method, path, body=None, headers=None):
        """The connection; nothing is waited for."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, None if body is None else json.dumps(body), JSON | (headers or {}))
        return connection

    def open(self, *request):
        """Connection and response; the body is not read."""
        connection = self.send(*request)
        return connection, connection.getresponse()

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and text."""
        connection, response = self.open(method, path, body, headers)
        text = response.read().decode()
        connection.close()
        return response.status, response.headers, text

    def complete(self, prompt, **fields):
        status, headers, text = self.ask("POST", "/v1/completions", {"prompt": prompt, "max_tokens": 4, "ignore_eos": True, **fields})
        assert status == 200, text
        return headers["x-vase-replica"], json.loads(text)

    def metric(self, name):
        """By replica."""
        page = self.ask("GET", "/metrics")[2]
        return {line.split('"')[1]: float(line.split()[-1]) for line in page.splitlines() if line.startswith(name + "{replica=")}


@pytest.fixture(scope="session")
def cluster():
    with RayCluster(3) as running:
        yield running


@pytest.fixture(scope="session")
def client(cluster, model):
    """Of a cluster of three replicas."""
    cluster.start(model=str(model), replicas=3, parallel=2, queue=8, options=BUDGET)
    return Client(cluster.port)
