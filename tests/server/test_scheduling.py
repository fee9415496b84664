"""Slots, queue, cancellation, limits, shutdown."""

import signal
import time

from vase_server import Server, hard_close, in_background, wait_until, write_model


def busy(server):
    return sum(slot["busy"] for slot in server.get("/vase/status")["slots"])


def read_events(response, count):
    seen = 0
    while seen < count:
        seen += response.readline().startswith(b"data:")


def test_answers_run_side_by_side(server):
    streams = [server.open_stream(max_tokens=30000) for _ in range(3)]
    for _, response in streams:
        read_events(response, 50)
    assert busy(server) == 3
    for connection, _ in streams:
        hard_close(connection)
    assert wait_until(lambda: busy(server) == 0)


def test_an_answer_does_not_depend_on_its_slot_or_company(server):
    request = {"prompt": "some prompt " * 30, "max_tokens": 150, "seed": 7, "temperature": 1.0}
    alone = server.complete(**request)
    assert alone["vase"]["evictions"] > 3
    company = [server.open_stream(max_tokens=30000) for _ in range(2)]
    beside = server.complete(**request)
    for connection, _ in company:
        hard_close(connection)
    assert beside["choices"][0]["text"] == alone["choices"][0]["text"]
    assert beside["vase"]["evictions"] == alone["vase"]["evictions"]


def test_a_long_prompt_does_not_stall_the_others(server):
    connection, response = server.open_stream(max_tokens=30000)
    read_events(response, 5)
    long = in_background(lambda: server.complete(prompt="x" * 30000, max_tokens=1))
    assert wait_until(lambda: any(s["state"] == "prompt" for s in server.get("/vase/status")["slots"]))
    gaps, last = [], time.monotonic()
    while any(s["state"] == "prompt" for s in server.get("/vase/status")["slots"]):
        read_events(response, 1)
        gaps.append(time.monotonic() - last)
        last = time.monotonic()
    assert long()["usage"]["prompt_tokens"] >= 30000
    hard_close(connection)
    assert len(gaps) > 20  # tokens went on coming


def test_a_short_prompt_overtakes_a_long_one(server):
    long = in_background(lambda: server.complete(prompt="x" * 60000, max_tokens=1))
    assert wait_until(lambda: any(s["state"] == "prompt" for s in server.get("/vase/status")["slots"]))
    server.complete(prompt="short", max_tokens=1)
    assert any(s["state"] == "prompt" for s in server.get("/vase/status")["slots"])
    long()


def test_a_full_queue_says_when_to_try_again(start):
    server = start("--parallel", 1, "--queue", 1)
    first = server.open_stream(max_tokens=30000)
    waiting = in_background(lambda: server.complete(max_tokens=1))
    assert wait_until(lambda: server.metric("vase_queue_length") == 1)
    status, headers, text = server.request("POST", "/v1/completions", {"prompt": "a"})
    assert status == 429, text
    assert 1 <= int(headers["Retry-After"]) <= 60
    assert server.metric('vase_requests_rejected_total{reason="queue_full"}') == 1
    hard_close(first[0])
    assert waiting()["usage"]["completion_tokens"] == 1


def test_a_client_that_leaves_frees_its_slot(server):
    before = server.outcomes()["cancelled"]
    connection, response = server.open_stream(max_tokens=30000)
    read_events(response, 3)
    generated = server.metric("vase_generated_tokens_total")
    hard_close(connection)
    assert wait_until(lambda: busy(server) == 0, 2)
    assert server.outcomes()["cancelled"] == before + 1
    after = server.metric("vase_generated_tokens_total")
    time.sleep(0.2)
    assert server.metric("vase_generated_tokens_total") == after >= generated


def test_leaving_works_without_streaming_and_while_waiting(start):
    server = start("--parallel", 1, "--queue", 2)
    running = server.open_stream(max_tokens=30000)
    import http.client
    import json
    waiting = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    waiting.request("POST", "/v1/completions", json.dumps({"prompt": "a", "max_tokens": 30000}),
                    {"Content-Type": "application/json"})
    assert wait_until(lambda: server.metric("vase_queue_length") == 1)
    hard_close(waiting)
    assert wait_until(lambda: server.metric("vase_queue_length") == 0)
    hard_close(running[0])
    assert wait_until(lambda: server.outcomes()["cancelled"] == 2)
    assert server.complete(max_tokens=2)["usage"]["completion_tokens"] == 2


def test_time_limit(start):
    server = start("--timeout", 0.5)
    begin = time.monotonic()
    status, error = server.refused("/v1/completions", {"prompt": "a", "ignore_eos": True, "max_tokens": 30000})
    assert (status, error["code"]) == (504, "timeout")
    assert time.monotonic() - begin < 5
    _, response = server.open_stream(max_tokens=30000)
    assert b'"code":"timeout"' in response.read().splitlines()[-2]
    assert server.outcomes()["timed_out"] == 2
    assert busy(server) == 0


def test_answers_have_a_longest_length(start):
    server = start("--n-predict", 7)
    assert server.complete(max_tokens=100)["usage"]["completion_tokens"] == 7
    assert server.complete()["usage"]["completion_tokens"] == 7


def test_shutdown_lets_answers_end(start):
    server = start("--drain-seconds", 60)
    answer = in_background(lambda: server.complete(max_tokens=1500))
    assert wait_until(lambda: busy(server) == 1)
    server.signal(signal.SIGTERM)
    assert wait_until(lambda: server.request("GET", "/health")[0] == 503, 5)
    status, headers, _ = server.request("POST", "/v1/completions", {"prompt": "a"})
    assert (status, headers["Retry-After"]) == (503, "5")
    assert answer()["usage"]["completion_tokens"] == 1500
    assert server.wait() == 0


def test_shutdown_ends_what_takes_too_long(start):
    server = start("--drain-seconds", 0.3)
    _, response = server.open_stream(max_tokens=32000)
    server.signal(signal.SIGTERM)
    assert b'"code":"shutting_down"' in response.read().splitlines()[-2]
    assert server.wait() == 0
    assert "were ended" in server.said()


def test_every_accepted_request_has_one_outcome(server):
    assert wait_until(lambda: busy(server) == 0)
    assert sum(server.outcomes().values()) == server.metric("vase_requests_accepted_total")
    text = server.get("/metrics")
    assert "vase_time_to_first_token_seconds_count" in text


def test_a_text_longer_than_the_model_was_trained_on_is_said_once(tmp_path):
    with Server(write_model(tmp_path / "model.gguf"), "--budget", 128) as server:
        server.complete("x" * 100, max_tokens=2)
        assert "trained on texts" not in server.said()
        for _ in range(2):
            server.complete("x" * 2100, max_tokens=2)
        assert server.said().count("and the model was trained on texts of 2,048 tokens") == 1
