"""Keys, origins, addresses, and what is printed at the start."""

import json
import re
import subprocess

import pytest

from vase_server import JSON, PROGRAM

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


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_of_a_key_is_read_in_any_case(start, scheme):
    server = start("--api-key", "one")
    assert server.request("GET", "/v1/models", headers={"Authorization": f"{scheme} one"})[0] == 200
    assert server.request("GET", "/v1/models", headers={"Authorization": f"{scheme} two"})[0] == 401
    assert server.request("GET", "/v1/models", headers={"Authorization": scheme})[0] == 401


PATHS = ("/", "/health", "/metrics", "/vase/status", "/v1/models", "/v1/models/tiny", "/openapi.json")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "192.0.2.1:{port}", "localhost.evil.example"])
def test_a_host_that_is_not_this_machine_is_refused(server, host):
    """What a page sends whose name was made to resolve to this machine."""
    headers = {"Host": host.format(port=server.port)}
    for path in PATHS:
        status, _, text = server.request("GET", path, headers=headers)
        assert status == 403, path
        error = json.loads(text)["error"]
        assert error["code"] == "unknown_host"
        assert headers["Host"] in error["message"] and "--allowed-host" in error["message"]
    before = server.metric('vase_requests_rejected_total{reason="unknown_host"}')
    assert server.request("POST", "/v1/completions", BODY, {**JSON, **headers})[0] == 403
    assert server.metric('vase_requests_rejected_total{reason="unknown_host"}') == before + 1


def test_addresses_of_this_machine_are_its_names(server):
    for host in ("localhost", f"localhost:{server.port}", f"127.0.0.1:{server.port}", "[::1]:8080"):
        assert server.request("GET", "/v1/models", headers={"Host": host})[0] == 200, host


def test_other_names_can_be_allowed(start):
    server = start("--allowed-host", "llm.example.com", "--allowed-host", "other.example:8443")
    for host, status in (("llm.example.com", 200), ("LLM.example.com:443", 200), ("other.example", 200),
                         ("localhost", 200), ("evil.example", 403)):
        assert server.request("GET", "/v1/models", headers={"Host": host})[0] == status, host
    assert start("--allowed-host", "*").request("GET", "/", headers={"Host": "any.example"})[0] == 200


def test_with_a_key_any_name_will_do(start):
    server = start("--api-key", "one", key="one")
    assert server.request("GET", "/v1/models", headers={"Host": "llm.example.com"})[0] == 200
    server.key = None
    assert server.request("GET", "/v1/models", headers={"Host": "llm.example.com"})[0] == 401


def test_an_allowed_host_that_is_none_is_an_error(model):
    outcome = subprocess.run([PROGRAM, "serve", "-m", model, "--port", "0", "--budget", "128",
                              "--allowed-host", "http://llm.example.com"],
                             capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 2  # before a model is loaded
    assert '"http://llm.example.com" is no name of a host' in outcome.stderr


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


def test_a_preflight_allows_the_headers_of_clients(start):
    server = start("--cors-origin", "http://good.example")
    asked = "authorization,content-type,x-stainless-arch,x-stainless-retry-count"
    preflight = {"Origin": "http://good.example", "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": asked}
    status, headers, _ = server.request("OPTIONS", "/v1/chat/completions", headers=preflight)
    assert status == 204
    allowed = {name.strip().lower() for name in headers["Access-Control-Allow-Headers"].split(",")}
    assert allowed >= set(asked.split(","))
    assert int(headers["Access-Control-Max-Age"]) > 0
    preflight["Origin"] = "http://evil.example"
    _, headers, _ = server.request("OPTIONS", "/v1/chat/completions", headers=preflight)
    assert not any(name.startswith("Access-Control") for name in headers)
    assert headers["Vary"] == "Origin"


def test_pages_see_when_to_try_again(start):
    server = start("--cors-origin", "*")
    _, headers, _ = server.request("POST", "/v1/completions", {"prompt": 3}, {**JSON, "Origin": "http://a.example"})
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Expose-Headers"] == "Retry-After"


def test_web_page(server, start):
    status, headers, text = server.request("GET", "/")
    assert status == 200 and "<html" in text
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert server.request("GET", "/", headers={"If-None-Match": headers["ETag"]})[0] == 304
    assert server.request("GET", "/style.css")[1]["Content-Type"] == "text/css; charset=utf-8"
    assert server.request("GET", "/app.js")[1]["Content-Type"] == "text/javascript; charset=utf-8"
    assert start("--no-webui").request("GET", "/")[0] == 404


def test_memory_is_printed(server):
    sizes = re.search(r"weights (.*) \+ KV cache (.*) \+ evictions (.*) \+ compute (.*) \+ prompts put aside (.*) = (.*) in all", server.said())
    assert sizes
    memory = server.get("/vase/status")["memory"]
    parts = ("weights", "kv", "queries", "compute", "snapshots")
    assert memory["total"] == sum(memory[part] for part in parts)
    assert memory["snapshots"] == 2 * memory["kv"]


def test_loopback_by_default(server):
    assert "listening on http://127.0.0.1:" in server.said()


def test_a_taken_port_is_an_error(server, model):
    outcome = subprocess.run([PROGRAM, "serve", "-m", model, "--port", str(server.port), "--budget", "128"],
                             capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in outcome.stderr
