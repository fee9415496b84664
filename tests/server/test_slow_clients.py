"""Clients that read slowly, or not at all: what is counted is what they got."""

import json
import re
import signal
import socket
import time

from vase_server import DEADLINE, in_background, wait_until

LONG = {"prompt": "abc", "ignore_eos": True, "max_tokens": 2000, "logprobs": 5}


def ask(server, **fields):
    """A connection on which an answer comes that is larger than all buffers, read by nobody."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.connect(("127.0.0.1", server.port))
    body = json.dumps({**LONG, **fields})
    client.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return client


def is_whole(text):
    head, _, body = text.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return len(body) == int(length[1]) if length else body.endswith(b"\r\n0\r\n\r\n")


def read_all(client, size=1 << 16, pause=0.0):
    text = b""
    try:
        while piece := client.recv(size):
            text += piece
            if is_whole(text):
                break
            time.sleep(pause)
    except ConnectionError:
        pass
    return text


def ended(server):
    return sum(server.outcomes().values())


def generated(server, tokens):
    """Whether the engine has done its part."""
    return server.metric("vase_generated_tokens_total") == tokens and server.metric("vase_slots_busy") == 0


def test_a_client_that_takes_nothing_is_counted_as_stalled(start):
    server = start("--write-timeout", 1)
    for stream in (True, False):
        client = ask(server, stream=stream)
        before = ended(server)
        assert wait_until(lambda: ended(server) == before + 1, DEADLINE)
        text = read_all(client)
        client.close()
        # Cut off in the middle, which HTTP lets a client see.
        assert not is_whole(text) and b"[DONE]" not in text
    assert server.outcomes()["stalled"] == 2
    assert server.outcomes()["completed"] == 0
    assert server.complete(max_tokens=3)["usage"]["completion_tokens"] == 3
    assert server.outcomes()["completed"] == 1


def test_a_client_that_stalls_frees_its_slot(start):
    server = start("--write-timeout", 1, "--parallel", 1)
    client = ask(server, stream=True, max_tokens=20000)
    assert wait_until(lambda: ended(server) == 1, DEADLINE)
    assert server.outcomes()["stalled"] == 1
    assert server.metric("vase_slots_busy") == 0
    assert server.metric("vase_generated_tokens_total") < 20000
    client.close()


def test_a_client_that_reads_slowly_gets_everything(start):
    server = start("--write-timeout", 2)
    client = ask(server, stream=True)
    assert wait_until(lambda: generated(server, 2000), DEADLINE)
    begin = time.monotonic()
    text = read_all(client, size=16 << 10, pause=0.1)
    assert time.monotonic() - begin > 3
    assert text.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert server.outcomes()["completed"] == 1
    client.close()


def test_nothing_is_completed_before_the_client_has_it(start):
    server = start()
    client = ask(server, stream=True)
    assert wait_until(lambda: generated(server, 2000), DEADLINE)
    assert ended(server) == 0
    read_all(client)
    assert server.outcomes()["completed"] == 1
    client.close()


def test_a_client_that_leaves_a_finished_answer_is_counted_as_cancelled(start):
    server = start()
    client = ask(server)
    assert wait_until(lambda: generated(server, 2000), DEADLINE)
    time.sleep(0.3)  # the server is writing
    client.close()
    assert wait_until(lambda: ended(server) == 1)
    assert server.outcomes()["cancelled"] == 1


def test_shutdown_waits_for_a_slow_client_no_longer_than_the_drain(start):
    server = start("--drain-seconds", 1, "--write-timeout", 600)
    clients = [ask(server, stream=True), ask(server)]
    assert wait_until(lambda: generated(server, 4000), DEADLINE)
    # And for one that does not end its request.
    half = socket.create_connection(("127.0.0.1", server.port))
    half.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
                 b"Content-Type: application/json\r\n\r\n{")
    time.sleep(0.3)
    begin = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert time.monotonic() - begin < 10
    assert "were ended" in server.said()
    for client in (*clients, half):
        client.close()


def test_shutdown_lets_clients_read_their_answers(start):
    server = start("--drain-seconds", 60)
    client = ask(server)
    assert wait_until(lambda: generated(server, 2000), DEADLINE)
    time.sleep(0.3)
    server.signal(signal.SIGTERM)
    time.sleep(0.5)
    text = in_background(lambda: read_all(client))()
    assert is_whole(text)
    assert json.loads(text.partition(b"\r\n\r\n")[2])["usage"]["completion_tokens"] == 2000
    assert server.wait() == 0
    assert "were ended" not in server.said()
    client.close()
