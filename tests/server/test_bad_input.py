"""Whatever a client sends, it gets a 4xx that names the field, and the server goes on."""

import socket

import pytest

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    "path, body, field",
    [
        (CHAT, {}, "messages"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"messages": "Hi"}, "messages"),
        (CHAT, {"messages": [1]}, "messages[0]"),
        (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        (CHAT, {"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        (CHAT, {"messages": [{"role": "user", "content": "a\0b"}]}, "messages[0].content"),
        (TEXT, {}, "prompt"),
        (TEXT, {"prompt": ""}, None),
        (TEXT, {"prompt": {}}, "prompt"),
        (TEXT, {"prompt": [99999999]}, "prompt[0]"),
        (TEXT, {"prompt": [-1]}, "prompt[0]"),
        (TEXT, {"prompt": [[1], "a", 3]}, "prompt[2]"),
        (CHAT, {"messages": MESSAGES, "temperature": "hot"}, "temperature"),
        (CHAT, {"messages": MESSAGES, "temperature": -0.1}, "temperature"),
        (CHAT, {"messages": MESSAGES, "top_p": 2}, "top_p"),
        (CHAT, {"messages": MESSAGES, "min_p": True}, "min_p"),
        (CHAT, {"messages": MESSAGES, "top_k": 1.5}, "top_k"),
        (CHAT, {"messages": MESSAGES, "max_tokens": 1e300}, "max_tokens"),
        (CHAT, {"messages": MESSAGES, "max_tokens": 10**30}, "max_tokens"),
        (CHAT, {"messages": MESSAGES, "seed": 2**64}, "seed"),
        (CHAT, {"messages": MESSAGES, "n": 0}, "n"),
        (CHAT, {"messages": MESSAGES, "n": 10**6}, "n"),
        (CHAT, {"messages": MESSAGES, "stop": 5}, "stop"),
        (CHAT, {"messages": MESSAGES, "stop": ["a"] * 100}, "stop"),
        (CHAT, {"messages": MESSAGES, "stream": "yes"}, "stream"),
        (CHAT, {"messages": MESSAGES, "stream_options": {"include_usage": True}}, "stream_options"),
        (CHAT, {"messages": MESSAGES, "top_logprobs": 2}, "top_logprobs"),
        (CHAT, {"messages": MESSAGES, "logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        (CHAT, {"messages": MESSAGES, "tools": [{"type": "function"}]}, "tools"),
        (CHAT, {"messages": MESSAGES, "response_format": {"type": "json_object"}}, "response_format.type"),
        (CHAT, {"messages": MESSAGES, "frequency_penalty": 1.0}, "frequency_penalty"),
        (CHAT, {"messages": MESSAGES, "model": 7}, "model"),
        (CHAT, {"messages": MESSAGES, "vase": []}, "vase"),
        (CHAT, {"messages": MESSAGES, "vase": {"policy": "magic"}}, "vase.policy"),
        (CHAT, {"messages": MESSAGES, "vase": {"policy": "full"}}, "vase.policy"),
        (CHAT, {"messages": MESSAGES, "vase": {"budget": 129}}, "vase.budget"),
        (CHAT, {"messages": MESSAGES, "vase": {"budget": 3}}, "vase.budget"),
        (CHAT, {"messages": MESSAGES, "vase": {"budget": "all"}}, "vase.budget"),
        (CHAT, {"messages": MESSAGES, "vase": {"pin_prompt": 1.5}}, "vase.pin_prompt"),
        (CHAT, {"messages": MESSAGES, "vase": {"seed": -1}}, "vase.seed"),
        (TEXT, {"prompt": "a", "best_of": 5}, "best_of"),
        (TEXT, {"prompt": "a", "echo": True}, "echo"),
        (TEXT, {"prompt": "a", "suffix": "b"}, "suffix"),
        (TEXT, {"prompt": "a", "logprobs": 99}, "logprobs"),
    ],
)
def test_the_message_names_the_field(server, path, body, field):
    if field is None:  # a model that begins texts with a token of its own takes no text at all
        return
    status, error = server.refused(path, body)
    assert status == 400
    assert error["param"] == field
    assert error["message"].startswith(field)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body, field",
    [
        (b"", "request body"),
        (b"{", "request body"),
        (b"[]", "request body"),
        (b"null", "request body"),
        (b"\xff\xfe", "request body"),
        (b'{"prompt": "a\xffb"}', "prompt"),
        (b'{"prompt": "\\ud800"}', "prompt"),
        (b'{"prompt": "a", "stop": ["\xc3\x28"]}', "stop[0]"),
        (b'{"prompt": "a", "max_tokens": 1e999}', "max_tokens"),
        (b'{"prompt": "a", "temperature": NaN}', "temperature"),
        (b'{"prompt": ' + b"[" * 100000, "prompt"),
        (b'{"vase": ' + b'{"a":' * 100000, "vase"),
    ],
)
def test_text_that_is_not_json(server, body, field):
    status, error = server.refused("/v1/completions", body)
    assert status == 400
    assert error["param"].startswith(field)


def test_other_content_types_are_refused(server):
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        status, error = server.refused("/v1/completions", '{"prompt": "a"}', headers=headers)
        assert (status, error["code"]) == (415, "unsupported_media_type")
    assert server.request("POST", "/v1/completions", '{"prompt": "a", "max_tokens": 1}',
                          {"Content-Type": "application/json; charset=utf-8"})[0] == 200


def test_unknown_paths_and_methods(server):
    assert server.request("GET", "/v2")[0] == 404
    status, headers, _ = server.request("DELETE", "/v1/models")
    assert (status, headers["Allow"]) == (405, "GET")
    status, headers, _ = server.request("GET", "/v1/chat/completions")
    assert (status, headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_have_a_limit(start, chunked):
    server = start("--max-body", "64KiB")
    head = "Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {1 << 20}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall((f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                        f"Content-Type: application/json\r\n{head}\r\n").encode())
        piece = b"x" * 4096
        try:
            for _ in range(256):
                client.sendall(b"1000\r\n" + piece + b"\r\n" if chunked else piece)
        except OSError:
            pass  # refused already
        answer = client.recv(4096)
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert server.complete(max_tokens=1)["usage"]["completion_tokens"] == 1


@pytest.mark.parametrize("text", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9\r\n\r\n",
                                  b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
                                  b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                                  b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10000 + b"\r\n"])
def test_what_is_not_http(server, text):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        try:
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            client.recv(4096)
        except OSError:
            pass  # the server may hang up at once
    assert server.get("/health")["status"] == "ok"


@pytest.mark.parametrize("method", ["QUERY", "PUT", "DELETE", "TRACE"])
def test_the_body_of_a_refused_request_is_not_another_request(server, method):
    inner = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = f"{method} /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(inner)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(head.encode() + inner)
        answers = b""
        while piece := client.recv(65536):
            answers += piece
    assert answers.startswith(b"HTTP/1.1 405 ")
    assert answers.count(b"HTTP/1.1 ") == 1


def test_prompts_have_a_limit(start):
    server = start("--max-prompt", 50)
    status, error = server.refused("/v1/completions", {"prompt": "a" * 200})
    assert (status, error["param"], error["code"]) == (400, "prompt", "context_length_exceeded")


def test_refusals_are_counted_and_nothing_is_left_over(server):
    before = server.metric("vase_requests_accepted_total")
    server.refused("/v1/completions", {"prompt": 5})
    assert server.metric("vase_requests_accepted_total") == before
    assert server.metric('vase_requests_rejected_total{reason="invalid"}') > 0
    assert server.metric("vase_slots_busy") == 0
