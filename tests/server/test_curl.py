"""curl, as people type it."""

import json
import subprocess

from vase_server import PROGRAM


def curl(*arguments):
    command = ["curl", "--silent", "--show-error", "--max-time", "60", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_health(server):
    assert json.loads(curl(f"{server.url}/health")) == {"status": "ok"}


def test_chat(server):
    body = '{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}'
    text = curl(f"{server.url}/v1/chat/completions", "-H", "Content-Type: application/json", "-d", body)
    assert json.loads(text)["choices"][0]["message"]["role"] == "assistant"


def test_json_option(server):
    body = '{"prompt": "Hi", "max_tokens": 5}'
    assert json.loads(curl(f"{server.url}/v1/completions", "--json", body))["object"] == "text_completion"


def test_stream(server):
    body = '{"prompt": "Hi", "max_tokens": 5, "stream": true, "ignore_eos": true}'
    text = curl("--no-buffer", "--include", f"{server.url}/v1/completions", "--json", body)
    head, _, events = text.partition("\n\n")
    assert "text/event-stream" in head
    assert events.strip().endswith("data: [DONE]")
    assert all(line.startswith("data: ") for line in events.strip().splitlines() if line)


def test_compressed(server):
    text = curl("--compressed", f"{server.url}/openapi.json")
    document = json.loads(text)
    assert document["openapi"].startswith("3.")
    program = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert program.stdout == f"vase {document['info']['version']}\n"


def test_large_body_with_expect_continue(server):
    body = json.dumps({"prompt": "x" * 100_000, "max_tokens": 1})
    text = subprocess.run(
        ["curl", "-s", f"{server.url}/v1/completions", "--json", "@-", "-H", "Expect: 100-continue"],
        input=body, capture_output=True, text=True, check=True, timeout=120).stdout
    assert json.loads(text)["usage"]["prompt_tokens"] >= 100_000


def test_chunked_upload(server):
    text = subprocess.run(
        ["curl", "-s", f"{server.url}/v1/completions", "--json", "@-", "-H", "Transfer-Encoding: chunked"],
        input='{"prompt": "abc", "max_tokens": 2}', capture_output=True, text=True, check=True,
        timeout=60).stdout
    assert json.loads(text)["object"] == "text_completion"
