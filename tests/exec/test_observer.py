"""The metrics and the page that `vase exec` serves from inside the program."""

import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from llama_programs import BUDGET, Server, counts, free_port, program, vase


def get(port, path):
    """Status, type and text."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.headers["Content-Type"], response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def metrics(port):
    status, kind, text = get(port, "/metrics")
    assert status == 200 and kind.startswith("text/plain; version=0.0.4")
    names = re.findall(r"^# TYPE (\w+) (?:counter|gauge)$", text, re.M)
    values = dict(re.findall(r"^(\w+)(?:{[^}]*})? (\S+)$", text, re.M))
    assert sorted(values) == sorted(names)
    return {name: float(value) for name, value in values.items()}


@pytest.fixture(scope="module")
def watched(long_model):
    port = free_port()
    running = Server(*long_model, "-c", 8192, "-np", 2, "-b", 512, "--cache-ram", 16,
                     vase=(*BUDGET, "--metrics-port", port, "--observatory"))
    yield running, port
    running.stop()


def test_the_metrics_are_those_of_the_last_line(long_model):
    port = free_port()
    server = Server(*long_model, "-c", 8192, "-np", 1, "-b", 512, vase=(*BUDGET, "--metrics-port", port))
    assert any(f"http://127.0.0.1:{port}/metrics" in line for line in server.lines())
    before = metrics(port)
    assert before["vase_contexts_total"] == 1 and before["vase_evictions_total"] == 0
    server.complete("abc", 700)
    after = metrics(port)
    assert get(port, "/")[0] == 404  # --observatory was not asked for
    done = counts(server.stop())
    assert after["vase_evictions_total"] == done["evictions"] > 5
    assert after["vase_tokens_total"] == done["tokens"]
    assert after["vase_rows_moved_total"] == done["moved"]
    assert after["vase_sequences"] == 1 and 256 <= after["vase_rows"] <= 256 + 32 + 512
    assert 0 < after["vase_eviction_seconds_total"] < after["vase_decode_seconds_total"]
    assert after["vase_full_cache_bytes"] == pytest.approx(8192 / 1024 * after["vase_cache_bytes"], rel=0.05)
    assert after["process_resident_memory_bytes"] > after["vase_cache_bytes"]


def test_the_page_shows_the_rows_of_each_head(watched):
    server, port = watched
    server.complete("abc", 600)
    status, kind, text = get(port, "/")
    assert status == 200 and kind.startswith("text/html") and "observatory" in text
    for asset in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert get(port, f"/{asset}")[0] == 200
    state = json.loads(get(port, "/vase/status")[2])
    assert state["chat"] is False and len(state["slots"]) == 2
    slot = max(state["slots"], key=lambda each: each["tokens"])
    assert slot["tokens"] >= 600 and slot["evictions"] > 5 and slot["budget"] == 256
    heads = set()
    for layer in range(state["layers"]):
        for head in range(state["heads"]):
            cache = json.loads(get(port, f"/vase/cache?slot={slot['id']}&layer={layer}&head={head}")[2])
            assert len(cache["positions"]) == len(cache["reasons"]) == len(cache["ranges"]) == slot["rows"]
            assert cache["positions"] == sorted(set(cache["positions"])) and cache["positions"][:4] == [0, 1, 2, 3]
            assert cache["positions"][-1] == slot["tokens"] - 1
            heads.add(tuple(cache["positions"]))
    assert len(heads) > 1  # each head decides for itself


@pytest.mark.parametrize("reply,mark", [("<think>", 7), ("Well, <think>", 0)])
def test_the_mark_that_opens_a_thought_is_pinned_with_the_prompt(watched, reply, mark):
    server, port = watched
    answer = server.complete("A prompt that asks for something.", 600, cache_prompt=False, id_slot=1,
                             grammar=f'root ::= "{reply}" [a-z]+')
    assert answer["content"].startswith(reply)
    cache = json.loads(get(port, "/vase/cache?slot=1&layer=0&head=0")[2])
    pinned = [position for position, reason in zip(cache["positions"], cache["reasons"]) if reason == "pinned"]
    assert pinned == list(range(4, answer["tokens_evaluated"] + mark))


def test_a_chat_whose_prompt_is_read_in_pieces_has_all_of_it_pinned(watched):
    """llama-server cuts it before the user's message and near its end, where it puts its state aside."""
    server, port = watched
    answer = server.chat([{"role": "system", "content": "You answer."}, {"role": "user", "content": "How many are there?"}], 600,
                         id_slot=1, cache_prompt=False)
    cache = json.loads(get(port, "/vase/cache?slot=1&layer=0&head=0")[2])
    pinned = [position for position, reason in zip(cache["positions"], cache["reasons"]) if reason == "pinned"]
    assert pinned == list(range(4, answer["usage"]["prompt_tokens"]))


def test_it_is_looked_at_while_it_works(watched):
    """Who looks waits for a batch, and not for an answer; and changes nothing of the answer."""
    server, port = watched
    alone = server.complete("Once", 800, cache_prompt=False)["content"]
    done, waits, busy = threading.Event(), [], []

    def look():
        while not done.is_set():
            begun = time.monotonic()
            status = json.loads(get(port, "/vase/status")[2])
            get(port, "/vase/cache?slot=0&layer=1&head=0")
            waits.append(time.monotonic() - begun)
            busy.extend(slot["state"] for slot in status["slots"])

    looker = threading.Thread(target=look)
    looker.start()
    watched_text = server.complete("Once", 800, cache_prompt=False)["content"]
    done.set()
    looker.join()
    assert watched_text == alone
    assert len(waits) > 3 and max(waits) < 5 and "generating" in busy


def test_bad_requests(watched):
    _, port = watched
    assert "no slot 9" in get(port, "/vase/cache?slot=9&layer=0&head=0")[2]
    assert "head must be a number" in get(port, "/vase/cache?slot=0&layer=0&head=x")[2]
    assert get(port, "/vase/cache")[0] == 400
    assert get(port, "/../../etc/passwd")[0] == 404
    for text in (b"", b"\0\xff nonsense\r\n\r\n", b"GET /metrics HTTP/1.1\r\n", b"POST /metrics HTTP/1.1\r\n\r\n",
                 b"GET " + b"a" * 100000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            try:
                client.sendall(text)
                client.shutdown(socket.SHUT_WR)
                assert b" 200 " not in client.recv(100)
            except OSError:  # it hung up
                pass
    assert get(port, "/metrics")[0] == 200
    # One that says nothing holds the others up for seconds at most.
    with socket.create_connection(("127.0.0.1", port)):
        begun = time.monotonic()
        assert get(port, "/metrics")[0] == 200
        assert time.monotonic() - begun < 8


def test_what_cannot_be_served_is_said_before_the_program_starts(watched):
    _, port = watched
    for arguments, why in ((("--metrics-port", port), f"127.0.0.1:{port}: Address already in use"),
                           (("--metrics-port", port, "--metrics-host", "nowhere"), "no IPv4 address"),
                           (("--metrics-port", 70000), "metrics-port"), (("--observatory",), "metrics-port")):
        result = vase("exec", *BUDGET, *arguments, "--", program("llama-server"), "--version")
        assert result.returncode != 0 and why in result.stderr and "version" not in result.stdout, result.stderr
