"""The application on a cluster of three nodes: answers, streams, hang-ups, where a conversation goes, and a node that dies."""

import json
import os
import socket
import time
from pathlib import Path

import pytest
from conftest import BUDGET, Client
from load import Load, hits

LLAMA_SERVER = Path(os.environ.get("VASE_LLAMA_PROGRAMS", ""), "llama-server")
ENDLESS = {"prompt": "abc", "max_tokens": 30000, "ignore_eos": True, "stream": True}


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def hang_up(connection):
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def test_answers_are_those_of_a_server(client):
    replica, answer = client.complete("hello", seed=7, temperature=1, vase={"seed": 7})
    assert answer["usage"]["completion_tokens"] == 4 and replica in ("0", "1", "2")
    assert client.ask("GET", "/v1/models")[0] == 200
    assert json.loads(client.ask("GET", "/health")[2]) == {"status": "ok"}
    # Other replicas say the same: all are alike.
    texts = {client.complete("hello", seed=7, temperature=1, vase={"seed": 7}, prompt_cache_key=str(key))[1]["choices"][0]["text"]
             for key in range(6)}
    assert texts == {answer["choices"][0]["text"]}


def test_errors_are_those_of_a_server(client):
    status, _, text = client.ask("POST", "/v1/completions", {"prompt": 5})
    assert status == 400 and json.loads(text)["error"]["param"] == "prompt"
    status, _, text = client.ask("POST", "/v1/completions", {"prompt": "a" * (5 << 20)})
    assert status == 413 and json.loads(text)["error"]["code"] == "request_too_large"
    status, _, text = client.ask("GET", "/health", headers={"Host": "evil.example"})
    assert status == 403 and json.loads(text)["error"]["code"] == "unknown_host"
    assert client.ask("GET", "/vase/cache")[0] == 404


def test_a_stream_comes_as_it_is_written(client):
    connection, response = client.open("POST", "/v1/completions", ENDLESS)
    assert response.getheader("Content-Type") == "text/event-stream"
    first = response.readline()  # long before the last of 30,000 tokens
    hang_up(connection)
    assert json.loads(first.removeprefix(b"data: "))["choices"][0]["text"] is not None


def test_hanging_up_ends_the_answer_at_the_replica(client):
    before = sum(client.metric("vase_requests_accepted_total").values())
    connection, response = client.open("POST", "/v1/completions", ENDLESS)
    response.readline()
    assert sum(client.metric("vase_slots_busy").values()) == 1
    hang_up(connection)
    assert until(lambda: sum(client.metric("vase_slots_busy").values()) == 0)
    assert sum(client.metric("vase_requests_accepted_total").values()) == before + 1


def test_who_hangs_up_gives_his_place_back(cluster, client):
    for _ in range(40):  # more than there are places: 3 replicas of 2 slots, 8 that wait and 8 more
        connection, response = client.open("POST", "/v1/completions", ENDLESS | {"prompt_cache_key": "one home"})
        response.readline()
        hang_up(connection)
    assert until(lambda: cluster.places_taken() == 0), cluster.places_taken()


def test_the_page_of_metrics_has_all_replicas(client):
    page = client.ask("GET", "/metrics")[2]
    assert set(client.metric("vase_slots")) == {"0", "1", "2"}
    assert page.count("# TYPE vase_requests_total counter") == 1
    assert 'vase_request_seconds_bucket{replica="2",le="+Inf"}' in page


def test_a_conversation_stays_and_others_spread(client):
    def replica_of(number, turns):
        messages = [{"role": "user", "content": f"conversation {number}"}]
        for turn in range(turns):
            messages += [{"role": "assistant", "content": f"answer {turn}"}, {"role": "user", "content": "more"}]
        return client.ask("POST", "/v1/chat/completions", {"messages": messages, "max_tokens": 1})[1]["x-vase-replica"]

    homes = [{replica_of(number, turns) for turns in range(3)} for number in range(12)]
    assert all(len(home) == 1 for home in homes)
    assert len(set.union(*homes)) == 3
    assert {client.complete(f"text {number}", prompt_cache_key="mine")[0] for number in range(4)} == {client.complete("x", prompt_cache_key="mine")[0]}


def test_a_full_home_is_left_for_a_free_slot(cluster, client):
    stream = "POST", "/v1/completions", ENDLESS | {"prompt_cache_key": "one home"}
    generating = [client.open(*stream) for _ in range(2)]  # in both of its slots
    [home] = {response.getheader("x-vase-replica") for _, response in generating}
    waiting = [client.send(*stream) for _ in range(2)]
    # Asking for metrics is a request, too: in the midst of these it would fill their home and send one elsewhere.
    assert until(lambda: cluster.places_taken() == 4)
    assert until(lambda: client.metric("vase_queue_length")[home] == 2)
    replica, _ = client.complete("abc", prompt_cache_key="one home")
    for connection in [connection for connection, _ in generating] + waiting:
        hang_up(connection)
    assert replica != home
    assert until(lambda: sum(client.metric("vase_slots_busy").values()) == 0)


def one_stream_of_each(client):
    """By replica: an endless stream, which has begun."""
    streams = {}
    for key in range(40):
        connection, response = client.open("POST", "/v1/completions", ENDLESS | {"prompt_cache_key": str(key)})
        response.readline()
        replica = response.getheader("x-vase-replica")
        if replica in streams:
            hang_up(connection)
        else:
            streams[replica] = connection, response
        if len(streams) == 3:
            return streams
    raise AssertionError(f"no stream of another replica than {set(streams)}")


def test_a_node_dies_and_another_one_comes(cluster, client):
    node = cluster.nodes[0]
    dead = cluster.rank_on(node)

    def change():
        streams = one_stream_of_each(client)
        cluster.kill_node(node)
        last = streams.pop(dead)[1].read().decode().rstrip().split("\n")[-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "replica_lost"  # and no [DONE]
        for connection, response in streams.values():
            assert b"error" not in b"".join(response.readline() for _ in range(50))
            hang_up(connection)
        cluster.add_node()
        assert until(lambda: len(cluster.servers()) == 3, 60)

    outcomes = Load(cluster.port, 400, 4, 32).run(change, 120)
    assert len(outcomes) == 400
    assert {outcome.kind for outcome in outcomes} == {"completed", "cancelled"}  # all succeeded in the end
    lost = [attempt for outcome in outcomes for attempt in outcome.attempts if attempt.lost]
    assert all(attempt.replica in ("", dead) for attempt in lost), lost
    assert hits(outcomes) >= 0.8
    # Ray gives the new replica the dead one's rank if it has noticed that death by then, else the next one.
    names = set(client.metric("vase_slots"))
    assert len(names) == 3 and names > {"0", "1", "2"} - {dead}


def test_keys_are_asked_for_everywhere_but_at_health(cluster, model, client, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("first\nsecond\n")
    cluster.start(model=str(model), parallel=2, options=BUDGET, api_key_file=str(keys))
    asked = Client(cluster.port)
    assert asked.ask("GET", "/health")[0] == 200
    for path in ("/v1/models", "/metrics"):
        status, _, text = asked.ask("GET", path)
        assert status == 401 and json.loads(text)["error"]["code"] == "invalid_api_key", path
        assert asked.ask("GET", path, headers={"Authorization": "Bearer wrong"})[0] == 401
        assert asked.ask("GET", path, headers={"Authorization": "Bearer second"})[0] == 200
    [server] = cluster.servers()
    assert server["key"] not in ("first", "second")


@pytest.mark.skipif(not LLAMA_SERVER.exists(), reason="no llama-server: scripts/build-llama-programs.sh builds it")
def test_llama_server_under_vase_exec(cluster, model):
    cluster.start(model=str(model), engine="llama-server", llama_server=str(LLAMA_SERVER), parallel=2, replicas=2,
                  exec_options="--budget 256 --recency 32 --interval 32", options="-c 8192 -b 512")
    asked = Client(cluster.port)
    messages = [{"role": "user", "content": "hello"}]
    status, headers, text = asked.ask("POST", "/v1/chat/completions", {"messages": messages, "max_tokens": 700, "ignore_eos": True})
    assert status == 200 and json.loads(text)["usage"]["completion_tokens"] == 700  # of which the cache holds a part
    assert headers["x-vase-replica"] in ("0", "1")
    assert sum(asked.metric("llamacpp:tokens_predicted_total").values()) == 700
    assert asked.ask("GET", "/health")[0] == 200
