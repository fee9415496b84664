"""What needs no cluster: settings, where conversations go, the page of metrics, names of the server, the command of a replica."""

import json
from types import SimpleNamespace

import pytest

from vase.ray import Settings, app
from vase.ray.application import number_of_replicas
from vase.ray.affinity import by_affinity, conversation_key
from vase.ray.command_line import command_line
from vase.ray.failure import Failure
from vase.ray.host_names import is_known
from vase.ray.prometheus import one_page, value_of

REPLICAS = [(str(rank), rank) for rank in range(5)]
KEYS = [f"conversation {number}" for number in range(2000)]


def homes(replicas):
    return [by_affinity(key, replicas)[0] for key in KEYS]


def test_conversations_are_spread_evenly():
    counts = [homes(REPLICAS).count(rank) for rank in range(5)]
    assert min(counts) > 330 and max(counts) < 470, counts  # of 400


def test_only_the_conversations_of_a_lost_replica_move():
    before, after = homes(REPLICAS), homes(REPLICAS[:-1])
    assert all(now == then for then, now in zip(before, after) if then != 4)


def test_a_new_replica_takes_its_share_and_nothing_else_moves():
    before, after = homes(REPLICAS), homes([*REPLICAS, ("5", 5)])
    moved = [now for then, now in zip(before, after) if then != now]
    assert set(moved) == {5} and 260 < len(moved) < 410, len(moved)  # of 333


def key_of(**body):
    return conversation_key(json.dumps(body).encode())


def test_turns_of_a_conversation_have_one_key():
    system, first = {"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}
    later = [{"role": "assistant", "content": "Because."}, {"role": "user", "content": "And?"}]
    assert key_of(messages=[system, first]) == key_of(messages=[system, first, *later], temperature=1)
    assert key_of(messages=[system, first]) != key_of(messages=[system, {"role": "user", "content": "When?"}])
    assert key_of(prompt="a" * 300) == key_of(prompt="a" * 300 + "b") != key_of(prompt="b" * 300)
    assert key_of(prompt=[1, 2, 3], prompt_cache_key="mine") == "mine"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"messages": []}', b'{"prompt": 5}', b'{"messages": 3}', b"\xff"])
def test_what_names_no_conversation_has_no_key(body):
    assert conversation_key(body) == ""


PAGE = """# HELP requests Requests.
# TYPE requests counter
requests{outcome="completed"} 3
requests{outcome="cancelled"} 1
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="+Inf"} 2
wait_seconds_count 2
"""


def test_one_page_of_metrics():
    assert one_page([("0", PAGE), ("1", PAGE.replace(" 3\n", " 4\n"))]) == """# HELP requests Requests.
# TYPE requests counter
requests{replica="0",outcome="completed"} 3
requests{replica="0",outcome="cancelled"} 1
requests{replica="1",outcome="completed"} 4
requests{replica="1",outcome="cancelled"} 1
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{replica="0",le="+Inf"} 2
wait_seconds_count{replica="0"} 2
wait_seconds_bucket{replica="1",le="+Inf"} 2
wait_seconds_count{replica="1"} 2
"""
    assert value_of("wait_seconds_count", PAGE) == 2
    with pytest.raises(KeyError):
        value_of("requests", PAGE)


@pytest.mark.parametrize(("header", "known"), [
    (None, True), ("localhost:8000", True), ("127.0.0.1", True), ("[::1]:8000", True), ("192.0.2.7:80", True), ("llm.example:8000", True),
    ("evil.example", False), ("llm.example.evil", False), ("", False), ("[::1", False), ("localhost.evil", False),
])
def test_host_names(header, known):
    assert is_known(header, ("llm.example",)) == known


def test_any_host_name_if_so_said():
    assert is_known("evil.example", ("*",))


@pytest.mark.parametrize(("settings", "words"), [
    ({"modle": "x"}, "there is no setting modle; there are: model,"),
    ({"parallel": "many"}, "parallel=many: "),
    ({"options": "--budget 64 --port 80"}, "options may not say --port"),
    ({"replicas": 3, "max_replicas": 2}, "max_replicas=2 is less than replicas=3"),
    ({"exec_options": "--budget 64"}, "exec_options are for engine=llama-server"),
    ({"engine": "vllm"}, "engine=vllm: "),
])
def test_wrong_settings_are_one_line(settings, words):
    with pytest.raises(Failure) as failure:
        app(settings)
    assert words in failure.value.message and "\n" not in failure.value.message


def test_the_command_of_a_replica(monkeypatch):
    monkeypatch.setenv("VASE_PROGRAM", "/opt/vase")
    serve = command_line(Settings(model="m.gguf", parallel=2, cpus=3, options="--budget 512"), "10.0.0.1", 80, "keys")
    assert serve == ["/opt/vase", "serve", "-m", "m.gguf", "--host", "10.0.0.1", "--port", "80", "--api-key-file", "keys", "--parallel", "2",
                     "-t", "3", "--queue", "64", "--max-body", "4194304", "--no-webui", "--budget", "512"]
    other = command_line(Settings(engine="llama-server", model="m.gguf", cpus=0.5, exec_options="--budget 512", options="-c 8192"),
                         "10.0.0.1", 80, "keys")
    assert other == ["/opt/vase", "exec", "--budget", "512", "--", "llama-server", "-m", "m.gguf", "--host", "10.0.0.1", "--port", "80",
                     "--api-key-file", "keys", "--parallel", "4", "--metrics", "-c", "8192"]


def test_the_number_of_replicas_follows_the_load():
    config = number_of_replicas(Settings(parallel=4, replicas=2, max_replicas=9, target_load=0.5))["autoscaling_config"]
    assert (config.min_replicas, config.max_replicas) == (2, 9)
    policy = config.policy.get_policy()(**config.policy.policy_kwargs)  # as Ray Serve makes it

    def replicas(loads):
        return policy(SimpleNamespace(aggregated_metrics=loads and {"load": loads}, target_num_replicas=3))[0]

    assert replicas({"a": 4.0, "b": 3.0}) == 4  # 7 answers, of which two for each replica
    assert replicas({"a": 0.0, "b": 0.0}) == 0  # Ray Serve keeps to the bounds
    assert replicas(None) == 3
    assert number_of_replicas(Settings(replicas=2)) == {"num_replicas": 2}
