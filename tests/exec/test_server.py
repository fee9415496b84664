"""What people use of llama-server, unmodified, with its cache bounded."""

import json
import re
import subprocess
import threading
import time

import pytest

from conftest import real_model
from llama_programs import BUDGET, FOLDER, SANITIZED, Server, counts, program

LONG = "Some words that come again. " * 40  # 1,120 tokens of the tiny model: more than the budget


def test_it_says_what_it_does(long_model):
    running = Server(*long_model, "-c", 16384, "-np", 2, "-b", 512)
    hello = "\n".join(running.lines())
    match = re.search(r"2 sequences of up to 8192 tokens in 256 rows each \(vase-plus; (\d+) cells\): "
                      r"KV cache ([\d.]+) MiB instead of ([\d.]+) MiB", hello)
    assert match, hello
    assert int(match[1]) == 1024  # 256 + 32 + a batch, padded
    assert float(match[3]) / float(match[2]) == pytest.approx(8192 / 1024, rel=0.05)
    running.complete("abc", 600)
    done = counts(running.stop())
    assert done["evictions"] > 5 and done["moved"] > 0 and done["tokens"] >= 600


def test_streams(server):
    whole = server.complete("abc", 50, seed=1)["content"]
    pieces = [event["content"] for event in
              server.stream("/completion", {"prompt": "abc", "n_predict": 50, "temperature": 0, "ignore_eos": True})]
    assert "".join(pieces) == whole and len(pieces) > 10
    messages = [{"role": "user", "content": LONG}]
    whole = server.chat(messages, 50)["choices"][0]["message"]["content"]
    body = {"messages": messages, "max_tokens": 50, "temperature": 0, "ignore_eos": True}
    deltas = [event["choices"][0]["delta"].get("content") or "" for event in
              server.stream("/v1/chat/completions", body) if event["choices"]]
    assert "".join(deltas) == whole


def test_slots_beside_each_other_answer_as_alone(server):
    prompts = [f"{i} {LONG}" for i in range(4)]
    alone = [server.complete(prompt, 100, cache_prompt=False)["content"] for prompt in prompts]
    together = server.together(*[lambda p=p: server.complete(p, 100, cache_prompt=False)["content"]
                                 for p in prompts])
    # Batches of other sizes round differently, so a random model may leave its path at a tie.
    same = sum(a[:20] == b[:20] for a, b in zip(alone, together))
    assert same >= 3, (alone, together)


def test_several_answers_to_one_prompt(server):
    answer = server.chat([{"role": "user", "content": LONG}], 60, n=3, temperature=1.0, seed=5)
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert len(texts) == 3 and len(set(texts)) > 1 and all(len(text) > 20 for text in texts)


def test_a_turn_reuses_what_was_read_before(long_model):
    """After evictions, and with the earlier thought left out, as templates leave it."""
    with Server(*long_model, "-c", 8192, "-np", 1) as server:
        messages = [{"role": "user", "content": LONG}]
        first = server.chat(messages, 700)
        text = first["choices"][0]["message"]["content"]
        assert len(text) > 500
        messages += [{"role": "assistant", "content": text[-100:]}, {"role": "user", "content": "Go on."}]
        second = server.chat(messages, 100)
        cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
        assert cached >= first["usage"]["prompt_tokens"] - 16, second["usage"]
        messages += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And?"}]
        third = server.chat(messages, 20)["usage"]
        assert third["prompt_tokens_details"]["cached_tokens"] >= second["usage"]["prompt_tokens"] - 16


def test_the_same_text_goes_on_after_evictions(long_model):
    """Nothing is left out, so all that is there is reused: no row is lost, no token read twice."""
    with Server(*long_model, "-c", 8192, "-np", 1) as server:
        first = server.complete(LONG, 400)
        again = server.complete(LONG + first["content"], 20)
        assert again["timings"]["cache_n"] >= 1120 + 300, again["timings"]


def test_conversations_take_turns_on_one_slot(long_model):
    """The RAM cache of prompts: another conversation in between does not cost the first one."""
    with Server(*long_model, "-c", 8192, "-np", 1, "--cache-ram", 256) as server:
        one, other = "One. " + LONG, "Two. " + LONG[::-1]
        text = server.complete(one, 300)["content"]
        server.complete(other, 300)
        back = server.complete(one + text, 20)
        assert back["timings"]["cache_n"] > 1000, back["timings"]
        lines = server.lines()
        assert not any("cannot" in line for line in lines), lines


def test_a_conversation_goes_on_after_other_slots_ran(long_model):
    with Server(*long_model, "-c", 8192 * 3, "-np", 3) as server:
        text = server.complete(LONG, 300, id_slot=0)["content"]
        server.together(*[lambda s=s: server.complete(f"{s} other " + LONG, 300, id_slot=s) for s in (1, 2)])
        again = server.complete(LONG + text, 20, id_slot=0)
        assert again["timings"]["cache_n"] > 1300, again["timings"]


def test_slots_are_saved_and_restored(long_model, tmp_path):
    arguments = (*long_model, "-c", 8192, "-np", 1, "--slot-save-path", f"{tmp_path}/")
    with Server(*arguments) as server:
        first = server.complete(LONG, 300)
        saved = server.post("/slots/0?action=save", {"filename": "one.bin"})
        assert saved["n_saved"] >= 1120 + 299
        expected = server.complete(LONG + first["content"], 40)["content"]
        (tmp_path / "a folder").mkdir()
        (tmp_path / "one.bin.killed.vase-part").write_bytes(b"half of a state")  # what a killed server left
        server.request("POST", "/slots/0?action=save", {"filename": "a folder"})
        assert any(f"cannot write {tmp_path}/a folder: Is a directory" in line for line in server.lines()), server.lines()
        assert {path.name for path in tmp_path.iterdir()} == {"one.bin", "a folder"}
    size = (tmp_path / "one.bin").stat().st_size
    assert size < 8 << 20  # rows of a budget, not of a text
    with Server(*arguments) as server:
        restored = server.post("/slots/0?action=restore", {"filename": "one.bin"})
        assert restored["n_restored"] == saved["n_saved"]
        again = server.complete(LONG + first["content"], 40)
        assert again["timings"]["cache_n"] > 1300
        assert again["content"][:10] == expected[:10]
        (tmp_path / "bad.bin").write_bytes((tmp_path / "one.bin").read_bytes()[:-100])
        status, _ = server.request("POST", "/slots/0?action=restore", {"filename": "bad.bin"})
        assert status >= 400
        assert any("cut off" in line for line in server.lines()), server.lines()
        server.complete("abc", 5)  # it lives
    with Server(*arguments, vase=None) as plain:
        status, _ = plain.request("POST", "/slots/0?action=restore", {"filename": "one.bin"})
        assert status >= 400


def test_a_prompt_of_20000_tokens(long_model):
    with Server(*long_model, "-c", 32768, "-np", 1, vase=("--budget", 1024)) as server:
        prompt = "".join(chr(33 + (i * i + i // 7) % 90) for i in range(20000))
        answer = server.complete(prompt, 20)
        assert answer["timings"]["prompt_n"] == 20000 and answer["tokens_predicted"] == 20
        rows = counts(server.stop())
        assert rows["evictions"] >= 20000 // 2048


@pytest.mark.skipif(SANITIZED, reason="the sanitizer keeps what was freed")
def test_an_answer_of_10000_tokens_in_flat_memory(long_model):
    with Server(*long_model, "-c", 32768, "-np", 1) as server:
        server.complete("abc", 1000)
        before = server.resident()
        events = list(server.stream("/completion", {"prompt": "abd", "n_predict": 10000, "temperature": 1,
                                                    "ignore_eos": True}))
        assert events[-1]["tokens_predicted"] == 10000
        assert server.resident() - before < 0.05 * before + (4 << 20)


def test_grammars_and_schemas(server, default_model):
    answer = server.complete(LONG, 20, grammar='root ::= "yes" | "no"', ignore_eos=False)
    assert answer["content"] in ("yes", "no")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}},
              "required": ["a", "b"]}
    with Server(default_model, "-c", 8192, "-np", 1, threads=2) as other:
        message = other.chat([{"role": "user", "content": "Some words that come again. " * 60}], 200, ignore_eos=False,
                             response_format={"type": "json_schema", "json_schema": {"schema": schema}})
        assert counts(other.stop())["evictions"] > 0
    value = json.loads(message["choices"][0]["message"]["content"])
    assert isinstance(value["a"], int) and value["b"] in ("x", "y")


def test_tools(default_model):
    """Tools in the request, a call and its result in the conversation: answered as without a budget while
    nothing is evicted, and answered after evictions."""
    template = FOLDER.parent.parent / "src/models/templates/Qwen-Qwen2.5-7B-Instruct.jinja"
    if not template.exists():
        pytest.skip(f"no {template}")
    tool = {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    messages = [{"role": "user", "content": "What is the weather in Paris?"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "1", "content": "Rain, 12 degrees."}]
    arguments = (default_model, "-c", 8192, "-np", 1, "--jinja", "--chat-template-file", template)

    def answer(vase):
        with Server(*arguments, vase=vase, threads=2) as server:
            fields = {"tools": [tool], "seed": 1}
            message = server.chat(messages, 40, **fields, ignore_eos=False)["choices"][0]["message"]
            if vase:
                server.chat(messages, 400, **fields)
            return message, server.stop()

    (plain, _), (bounded, lines) = answer(None), answer(("--budget", 512))
    assert bounded == plain
    assert counts(lines)["evictions"] > 0


def test_the_model_calls_tools(default_model):
    """Call after call over a conversation that outgrows the budget; llama-server reads them off the text. The small
    model follows examples, and is kept from answering in the tool's stead."""
    template = FOLDER.parent.parent / "src/models/templates/Qwen-Qwen2.5-7B-Instruct.jinja"
    if not template.exists():
        pytest.skip(f"no {template}")
    tool = {"type": "function", "function": {
        "name": "get_weather", "description": "Weather of a city", "parameters": {
            "type": "object", "required": ["city", "unit"], "properties": {
                "city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}}}}}
    messages = []
    for city, weather in (("Paris", "rain, 12"), ("Rome", "sun, 25"), ("Lima", "fog, 17")):
        call = {"id": city, "type": "function",
                "function": {"name": "get_weather", "arguments": json.dumps({"city": city, "unit": "C"})}}
        messages += [{"role": "user", "content": f"What is the weather in {city}?"},
                     {"role": "assistant", "content": None, "tool_calls": [call]},
                     {"role": "tool", "tool_call_id": city, "content": weather},
                     {"role": "assistant", "content": f"In {city}: {weather} degrees."}]
    asked = []
    with Server(default_model, "-c", 8192, "-np", 1, "-b", 256, "--jinja", "--chat-template-file", template,
                vase=("--budget", 384), threads=2) as server:
        for city in ("Oslo", "Madrid", "Berlin", "Vienna", "Warsaw", "Tokyo"):
            messages.append({"role": "user", "content": f"What is the weather in {city}?"})
            answer = server.post("/v1/chat/completions", {
                "messages": messages, "tools": [tool], "max_tokens": 100, "temperature": 0,
                "logit_bias": [["response", False]]})["choices"][0]
            assert answer["finish_reason"] == "tool_calls", answer
            call = answer["message"]["tool_calls"][0]
            assert call["function"]["name"] == "get_weather"
            asked.append(json.loads(call["function"]["arguments"])["city"] == city)
            messages += [answer["message"], {"role": "tool", "tool_call_id": call["id"], "content": "sun, 20"},
                         {"role": "assistant", "content": f"In {city}: sun, 20 degrees."}]
        assert sum(asked) >= 4, asked
        assert counts(server.stop())["evictions"] > 3


@pytest.mark.parametrize("kind", ["draft", "ngram"])
def test_speculative_decoding(long_model, kind):
    model, *override = long_model
    drafts = {"draft": ["-md", model, "--spec-type", "draft-simple", "--spec-draft-n-max", 8],
              "ngram": ["--spec-type", "ngram-mod", "--spec-ngram-mod-n-match", 4, "--spec-ngram-mod-n-min", 4,
                        "--spec-ngram-mod-n-max", 8]}[kind]
    with Server(model, *override, "-c", 8192, "-np", 1, *drafts) as server:
        prompt = "abcabcabc " * 10
        answer = server.complete(prompt, 900)
        assert answer["tokens_predicted"] == 900
        # The draft model is the model itself, so what its cache gives up beside the model's is all that
        # makes a draft wrong.
        timings = answer["timings"]
        assert timings["draft_n_accepted"] > 0.5 * timings["draft_n"] > 100, timings
        again = server.complete(prompt + answer["content"], 20)
        assert again["timings"]["cache_n"] > 900
        lines = server.lines()
        contexts = [line for line in lines if "rows each" in line]
        assert len(contexts) == (2 if kind == "draft" else 1), lines


def test_drafts_change_nothing(long_model):
    """Before the first eviction the tokens are those without drafts."""
    model, *override = long_model
    with Server(model, *override, "-c", 8192, "-np", 1, vase=("--budget", 1024)) as server:
        plain = server.complete("abc", 200)["content"]
    with Server(model, *override, "-c", 8192, "-np", 1, "-md", model, "--spec-type", "draft-simple",
                vase=("--budget", 1024)) as server:
        assert server.complete("abc", 200)["content"][:100] == plain[:100]


@pytest.mark.parametrize("kind", ["--embedding", "--reranking"])
def test_embeddings_are_left_alone(model, kind):
    pooling = ["--pooling", "mean"] if kind == "--embedding" else []
    with Server(model, kind, *pooling, "-c", 512, "-np", 1) as server:
        assert any("left as it is" in line and "embeddings" in line for line in server.lines())
        if kind == "--embedding":
            vector = server.post("/v1/embeddings", {"input": "abc"})["data"][0]["embedding"]
            assert len(vector) > 16


def test_an_adapter(default_model):
    adapter = "models/vase-reasoner-lora.gguf"
    with Server(default_model, "--lora", adapter, "-c", 4096, "-np", 1, threads=2) as server:
        assert server.request("GET", "/lora-adapters")[0] == 200
        assert server.complete("Some words. " * 50, 300)["tokens_predicted"] == 300
        assert counts(server.stop())["evictions"] > 0


def test_a_client_that_goes_away(server):
    for event in server.stream("/completion", {"prompt": LONG, "n_predict": -1, "ignore_eos": True}):
        break
    time.sleep(0.2)
    assert len(server.complete(LONG, 50)["content"]) > 20
    slots = json.loads(server.request("GET", "/slots")[1])
    assert not any(slot["is_processing"] for slot in slots)


@pytest.mark.parametrize("kind", ["q8_0", "q4_0", "f32"])
def test_caches_of_other_types(long_model, kind):
    with Server(*long_model, "-c", 8192, "-np", 2, "-ctk", kind, "-ctv", kind, "-fa", "on") as server:
        text = server.complete(LONG, 300)["content"]
        assert server.complete(LONG + text, 20)["timings"]["cache_n"] > 1000


@pytest.mark.parametrize("policy", ["vase", "rkv", "snapkv", "random"])
def test_other_policies(long_model, policy):
    with Server(*long_model, "-c", 8192, "-np", 2, vase=(*BUDGET, "--policy", policy)) as server:
        first = server.chat([{"role": "user", "content": LONG}], 600)
        text = first["choices"][0]["message"]["content"][:50]
        messages = [{"role": "user", "content": LONG}, {"role": "assistant", "content": text},
                    {"role": "user", "content": "Go on."}]
        usage = server.chat(messages, 300)["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] > 1000
        assert counts(server.stop())["evictions"] > 10


def test_sliding_windows():
    gemma = real_model("gemma-3-270m.Q4_K_M.gguf")
    with Server(gemma, "-c", 16384, "-np", 1, vase=("--budget", 512), threads=2) as server:
        text = server.complete("The sea was calm that day. " * 150, 200)["content"]
        again = server.complete("The sea was calm that day. " * 150 + text, 10)
        assert again["timings"]["cache_n"] > 900, again["timings"]
        assert counts(server.stop())["evictions"] > 0


def test_a_budget_that_the_model_refuses():
    gemma = real_model("gemma-3-270m.Q4_K_M.gguf")
    with pytest.raises(RuntimeError, match="below the model's sliding window of 512"):
        Server(gemma, "-c", 4096, "-np", 1)


def test_requests_that_are_refused_leave_no_trace(server):
    assert server.request("POST", "/completion", {"prompt": "a" * 9000, "n_predict": 4})[0] == 400
    assert server.request("POST", "/v1/chat/completions", {"messages": 7})[0] >= 400
    assert len(server.complete("abc", 20)["content"]) >= 10


def test_many_clients_at_once(server):
    stop = threading.Event()

    def client(number):
        served = 0
        while not stop.is_set():
            server.complete(f"{number} {served} " + LONG[: 100 * (number + 1)], 60)
            served += 1
        return served

    timer = threading.Timer(6, stop.set)
    timer.start()
    assert min(server.together(*[lambda n=n: client(n) for n in range(8)])) > 0
    assert not any("cleared" in line or "fail" in line for line in server.lines()), server.lines()


# Their recurrent state, or their indexer's keys, go with the rows into checkpoints and back.
@pytest.mark.parametrize("name", ["qwen35-dense", "nemotron_h-dense", "lfm2moe-moe", "deepseek32-moe"])
def test_hybrids_and_indexers_reuse_their_prompts(name, tmp_path):
    architecture = name.rsplit("-", 1)[0]
    subprocess.run([program("test-llama-archs"), "--arch", f"^{architecture}$", "--seed", "1", "--out", tmp_path], check=True,
                   capture_output=True, timeout=60)
    path = tmp_path / f"{name}.gguf"
    with Server(path, "--override-kv", f"{architecture}.context_length=int:65536", "-c", 8192, "-np", 2, "-b", 256,
                "--chat-template", "chatml", "--cache-ram", 16) as server:
        messages = [{"role": "user", "content": "abc def " * 300}]
        reused = []
        for _ in range(3):
            answer = server.chat(messages, 100)
            assert answer["usage"]["completion_tokens"] == 100
            reused.append((answer["usage"]["prompt_tokens_details"]["cached_tokens"], answer["usage"]["prompt_tokens"]))
            messages += [answer["choices"][0]["message"], {"role": "user", "content": "go on"}]
        # The end of the prompt before, or of the answer.
        assert all(now[0] > before[1] - 10 for before, now in zip(reused, reused[1:])), reused
        texts = server.together(*[lambda p=p: server.complete(p, 400) for p in ("abc", "xyz")])
        assert [text["tokens_predicted"] for text in texts] == [400, 400]
        assert counts(server.stop())["evictions"] > 20
