"""Keys, origins, addresses, and what is printed at the start."""

import re
import subprocess

from vase_server import PROGRAM

BODY = {"prompt": "a", "max_tokens": 1}


def test_key(start):
    server = start("--api-key", "one", "--api-key", "two")
    for path in ("/v1/models", "/metrics", "/vase/status"):
        assert server.request("GET", path)[0] == 401
    status, error = server.refused("/v1/completions", BODY)
    assert (status, error["code"]) == (401, "invalid_api_key")
    for path in ("/health", "/openapi.json", "/"):
        assert server.request("GET", path)[0] == 200
    for key, status in (("one", 200), ("two", 200), ("three", 401), ("", 401), ("onetwo", 401)):
        headers = {"Authorization": f"Bearer {key}"}
        assert server.request("GET", "/v1/models", headers=headers)[0] == status
    assert server.request("GET", "/v1/models", headers={"Authorization": "Basic one"})[0] == 401


def test_key_file(start, tmp_path):
    file = tmp_path / "keys"
    file.write_text("first\n\nsecond\r\n")
    server = start("--api-key-file", file, key="second")
    assert server.complete(max_tokens=1)["usage"]["completion_tokens"] == 1


def test_no_foreign_origin(server):
    _, headers, _ = server.request("GET", "/health", headers={"Origin": "http://evil.example"})
    assert "Access-Control-Allow-Origin" not in headers
    assert server.request("OPTIONS", "/v1/completions", headers={"Origin": "http://evil.example"})[0] == 405


def test_one_origin(start):
    server = start("--cors-origin", "http://good.example")
    _, headers, _ = server.request("OPTIONS", "/v1/completions", headers={"Origin": "http://good.example"})
    assert headers["Access-Control-Allow-Origin"] == "http://good.example"
    assert "Content-Type" in headers["Access-Control-Allow-Headers"]
    _, headers, _ = server.request("GET", "/health", headers={"Origin": "http://evil.example"})
    assert "Access-Control-Allow-Origin" not in headers


def test_web_page(server, start):
    status, headers, text = server.request("GET", "/")
    assert status == 200 and "<html" in text
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert server.request("GET", "/", headers={"If-None-Match": headers["ETag"]})[0] == 304
    assert server.request("GET", "/style.css")[1]["Content-Type"] == "text/css; charset=utf-8"
    assert server.request("GET", "/app.js")[1]["Content-Type"] == "text/javascript; charset=utf-8"
    assert start("--no-webui").request("GET", "/")[0] == 404


def test_memory_is_printed(server):
    sizes = re.search(r"weights (.*) \+ KV cache (.*) \+ evictions (.*) \+ compute (.*) = (.*) in all", server.said())
    assert sizes
    memory = server.get("/vase/status")["memory"]
    assert memory["total"] == memory["weights"] + memory["kv"] + memory["queries"] + memory["compute"]


def test_loopback_by_default(server):
    assert "listening on http://127.0.0.1:" in server.said()


def test_a_taken_port_is_an_error(server, model):
    outcome = subprocess.run([PROGRAM, "serve", "-m", model, "--port", str(server.port), "--budget", "128"],
                             capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in outcome.stderr
