"""What was read before is gone on from, and nothing else changes."""

import os

import pytest

from vase_server import SANITIZED, Server, wait_until, write_model

PROMPT = "It was a dark and stormy night, and the rain fell in torrents. "  # a token a character
LONG = PROMPT * 6  # more than the budget of these tests


def cached(answer):
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]


def ask(server, prompt, **fields):
    fields = {"max_tokens": 8, "temperature": 0, "seed": 1, "cache_prompt": True, **fields}
    return server.complete(prompt, **fields)


def text_of(answer):
    return answer["choices"][0]["text"]


def test_a_prompt_is_read_once(start):
    server = start("--parallel", 2)
    first = ask(server, LONG)
    read = server.metric("vase_prompt_tokens_total")
    assert cached(first) == 0 and first["vase"]["evictions"] > 0
    for _ in range(3):
        again = ask(server, LONG)
        assert cached(again) == first["usage"]["prompt_tokens"] - 1
        assert again["usage"]["prompt_tokens"] == first["usage"]["prompt_tokens"]
        assert again["usage"]["completion_tokens"] == 8
        assert again["vase"]["evictions"] == first["vase"]["evictions"]
        rows = [answer["vase"]["choices"][0]["rows"] for answer in (first, again)]
        assert rows[0] == rows[1]
    assert server.metric("vase_prompt_tokens_total") == read + 3
    assert server.metric("vase_prompt_tokens_cached_total") == 3 * cached(again)
    status = server.get("/vase/status")
    assert status["prompt_cache"]["entries"] >= 1
    assert 0 < status["prompt_cache"]["bytes"] <= status["prompt_cache"]["limit"]
    assert status["prompt_cache"]["limit"] == status["memory"]["snapshots"]
    assert max(slot["cached"] for slot in status["slots"]) == cached(again)
    assert server.metric("vase_prompt_cache_bytes") == status["prompt_cache"]["bytes"]


def test_a_longer_prompt_goes_on(start):
    server = start("--parallel", 2)
    first = ask(server, LONG)
    longer = ask(server, LONG + PROMPT)
    assert cached(longer) == first["usage"]["prompt_tokens"] - 1
    assert cached(ask(server, "No. " + LONG)) == 0


def test_the_same_answer_as_without(start):
    """Rows may lie in other cells, so sums may differ in their last digits; here no choice does."""
    with_it, without = start(), start("--cache-ram", 0)
    for prompt in (LONG, LONG + PROMPT, LONG + PROMPT * 2):
        one, other = ask(with_it, prompt), ask(without, prompt)
        assert text_of(one) == text_of(other)
        assert cached(other) == 0
        assert one["vase"]["evictions"] == other["vase"]["evictions"]
    assert cached(one) > 0
    assert without.get("/vase/status")["prompt_cache"] == {"bytes": 0, "limit": 0, "entries": 0}


def test_a_full_cache_is_put_aside_too(model):
    """Of each slot one text at most by default: it may be as long as the context."""
    options = ("--policy", "full", "--ctx-size", 1024, "--parallel", 2)
    with Server(model, *options) as server, Server(model, *options, "--cache-ram", 0) as without:
        status = server.get("/vase/status")
        assert status["prompt_cache"]["limit"] == status["memory"]["snapshots"] == status["memory"]["kv"] // 2
        first = ask(server, LONG)
        for other in ("One. ", "Two. "):  # both slots hold something else then
            ask(server, other + PROMPT)
        for prompt in (LONG + PROMPT, LONG):
            again = ask(server, prompt)
            assert cached(again) == first["usage"]["prompt_tokens"] - 1
            assert text_of(again) == text_of(ask(without, prompt))
        assert 0 < server.metric("vase_prompt_cache_bytes") <= status["prompt_cache"]["limit"]
        assert cached(ask(without, LONG)) == 0


def test_only_what_fits_is_gone_on_from(server):
    prompt = "Which ones? " + LONG
    ask(server, prompt)
    assert cached(ask(server, prompt)) > 0
    assert cached(ask(server, prompt, cache_prompt=False)) == 0
    assert cached(ask(server, prompt, vase={"policy": "random"})) == 0
    assert cached(ask(server, prompt, vase={"budget": 100})) == 0
    assert cached(ask(server, prompt, vase={"pin_prompt": 0.3})) == 0
    # Other draws have kept other rows; who says no seed does not mind.
    assert cached(ask(server, prompt, seed=2)) == 0
    assert cached(ask(server, prompt, seed=-1)) > 0
    # Who says a seed wants the same again, to the last digit, and asks for reuse if not.
    assert cached(ask(server, prompt, seed=-1, cache_prompt=None)) > 0
    assert cached(ask(server, prompt, cache_prompt=None)) == 0
    # Nothing was drawn for a prompt that was not evicted from.
    short = "Short. " + PROMPT
    ask(server, short)
    assert cached(ask(server, short, seed=2)) > 0


def test_turns_of_a_chat(server):
    def chat(messages, **fields):
        body = {"messages": messages, "max_tokens": 20, "temperature": 0, "ignore_eos": True, **fields}
        return server.post("/v1/chat/completions", body)

    system = {"role": "system", "content": "You are told stories. " + PROMPT}
    messages = [system, {"role": "user", "content": PROMPT * 2}]
    first = chat(messages)
    assert cached(first) == 0
    # The next turn leaves out whatever the answer was: it goes on from the prompt's end.
    messages += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And then?"}]
    second = chat(messages)
    opening = len("<|im_start|>assistant\n")
    assert first["usage"]["prompt_tokens"] - opening <= cached(second) < first["usage"]["prompt_tokens"]
    # Another conversation under the same system message.
    other = chat([system, {"role": "user", "content": "Another one. " + PROMPT}])
    assert len(system["content"]) < cached(other) < len(system["content"]) + 60


def test_what_is_put_aside_stays_below_its_limit(start):
    server = start("--cache-ram", 1, "--parallel", 1)
    for i in range(12):
        ask(server, f"{i} {LONG}")
        status = server.get("/vase/status")["prompt_cache"]
        assert 0 < status["bytes"] <= 1 << 20
    assert status["entries"] < 12
    assert cached(ask(server, "11 " + LONG)) > 0
    assert cached(ask(server, "0 " + LONG)) == 0


def test_it_outlives_the_server(start, tmp_path):
    folder = tmp_path / "prompts"
    first = start("--cache-dir", folder)
    ask(first, LONG)
    first.stop()
    files = list(folder.iterdir())
    assert files
    second = start("--cache-dir", folder)
    assert cached(ask(second, LONG)) > 0
    second.stop()
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:-20])
    third = start("--cache-dir", folder)
    assert "is damaged or cut off: skipped" in third.said()
    assert cached(ask(third, LONG)) == 0
    third.stop()
    other = write_model(tmp_path / "other.gguf", "")
    foreign = start("--cache-dir", folder, model=other)
    assert "is of another model" in foreign.said()
    assert cached(ask(foreign, LONG)) == 0


def test_a_server_with_less_memory_leaves_the_files_of_others(start, tmp_path):
    options = ("--parallel", 1, "--cache-dir", tmp_path / "prompts")
    prompts = [f"{i} {LONG}" for i in range(6)]
    large = start("--cache-ram", 64, *options)
    for prompt in prompts:
        ask(large, prompt)
    small = start("--cache-ram", 1, *options)  # while the other runs
    for i in range(6):
        ask(small, f"other {i} {LONG}")
    small.stop()
    large.stop()
    again = start("--cache-ram", 64, *options)
    for prompt in prompts + [f"other {i} {LONG}" for i in range(6)]:
        assert cached(ask(again, prompt)) > 0, prompt


def test_files_stay_below_their_limit(start, tmp_path):
    folder = tmp_path / "prompts"
    server = start("--parallel", 1, "--cache-dir", folder, "--cache-disk", 1)
    for i in range(6):
        ask(server, f"{i} {LONG}")
    server.stop()
    sizes = [file.stat().st_size for file in folder.iterdir()]
    assert sum(sizes) <= 1 << 20 < sum(sizes) + max(sizes)
    again = start("--parallel", 1, "--cache-dir", folder)
    assert cached(ask(again, "5 " + LONG)) > 0
    assert cached(ask(again, "0 " + LONG)) == 0


def test_a_start_with_less_memory_does_not_cut_the_folder_down(start, tmp_path):
    folder = tmp_path / "prompts"
    folder.mkdir()
    large = [folder / f"{i:016x}.vase-prompt" for i in range(6)]  # as --cache-ram 6144 leaves them
    for path in large:
        with path.open("wb") as file:
            file.truncate(1 << 30)  # a hole, of no bytes on the disk
        os.utime(path, (0, 0))
    options = ("--parallel", 1, "--cache-ram", 1, "--cache-dir", folder)
    start(*options).stop()
    assert all(path.exists() for path in large)
    server = start(*options)
    ask(server, LONG)
    server.stop()
    assert sum(path.exists() for path in large) == 5, "what is new takes the place of what is oldest"
    start("--cache-disk", 2048, *options).stop()
    assert sum(path.exists() for path in large) == 1


def test_it_outlives_a_server_that_is_killed(start, model, tmp_path):
    folder = tmp_path / "prompts"
    with Server(model, "--budget", 128, "--recency", 32, "--interval", 32, "--cache-dir", folder) as killed:
        ask(killed, LONG)
        assert wait_until(lambda: list(folder.glob("*.vase-prompt")))
        killed.process.kill()
        killed.process.wait()
        killed.log.close()
    second = start("--policy", "vase-plus", "--cache-dir", folder)
    assert cached(ask(second, LONG)) > 0


@pytest.mark.skipif(SANITIZED, reason="many requests")
def test_many_at_once(start):
    """Every client gets the answer that it would get alone."""
    from vase_server import in_background

    server = start("--parallel", 4, "--queue", 64)
    alone = start("--cache-ram", 0)
    prompts = [f"{i % 3} {PROMPT}" + PROMPT * (i % 2) for i in range(24)]
    results = [in_background(ask, server, prompt) for prompt in prompts]
    expected = {prompt: text_of(ask(alone, prompt)) for prompt in set(prompts)}
    same = sum(text_of(result()) == expected[prompt] for prompt, result in zip(prompts, results))
    assert same >= 22, "texts may differ in other company, and seldom do"
    assert server.metric("vase_prompt_tokens_cached_total") > 0
