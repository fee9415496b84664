"""Thinking is returned apart from the answer."""

import pytest

from vase_server import Server, write_model

# DeepSeek's template as llama.cpp knows it opens no <think>; what it recognises is the marker.
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """A model whose template lets the conversation end with the user's words."""
    model = write_model(tmp_path_factory.mktemp("models") / "thinker.gguf", "chatml")
    with Server(model, "--budget", 128) as running:
        yield running


def test_an_answer_without_tags_is_content(thinker):
    body = {"messages": MESSAGES, "max_tokens": 10, "seed": 2, "ignore_eos": True}
    message = thinker.post("/v1/chat/completions", body)["choices"][0]["message"]
    assert message["content"] and "reasoning_content" not in message


def test_formats(thinker):
    for name in ("none", "auto", "deepseek"):
        body = {"messages": MESSAGES, "max_tokens": 2, "reasoning_format": name}
        assert thinker.request("POST", "/v1/chat/completions", body)[0] == 200
    status, error = thinker.refused("/v1/chat/completions", {"messages": MESSAGES, "reasoning_format": "x"})
    assert (status, error["param"]) == (400, "reasoning_format")
