"""Chat templates in Jinja, as requests and options see them."""

import pytest

QUESTION = [{"role": "user", "content": "abc"}]
# A thought is opened unless it is not wanted; the mood is a variable.
TEMPLATE = ("{%- for m in messages -%}<{{ m.role }}>{{ m.content }}</>{%- endfor -%}{{ mood }}"
            "{%- if add_generation_prompt -%}<assistant>{%- if enable_thinking is not defined or enable_thinking -%}<think>"
            "{%- else -%}<think></think>{%- endif -%}{%- endif -%}")


@pytest.fixture(scope="module")
def server(model):
    from conftest import CACHE, VASE
    from vase_server import Server
    with Server(model, *VASE, *CACHE, "--chat-template", TEMPLATE, "--chat-template-kwargs", '{"mood": "glad"}') as running:
        if "fixed list" in running.said():
            pytest.skip("this build writes templates of llama.cpp's fixed list alone")
        yield running


def prompt_tokens(server, **fields):
    """Of the tiny model: characters, and BOS."""
    body = {"messages": QUESTION, "max_tokens": 4, "seed": 1, **fields}
    return server.post("/v1/chat/completions", body)["usage"]["prompt_tokens"]


def test_requests_set_variables(server):
    own = prompt_tokens(server)
    assert prompt_tokens(server, chat_template_kwargs={"mood": "very glad"}) == own + len("very ")
    assert prompt_tokens(server, chat_template_kwargs={"enable_thinking": True}) == own
    assert prompt_tokens(server, chat_template_kwargs={"enable_thinking": False}) == own + len("</think>")
    assert prompt_tokens(server, reasoning_effort="none") == own + len("</think>")


def test_the_thinking_switch_moves_the_answer(server):
    body = {"messages": QUESTION, "max_tokens": 8, "seed": 1, "ignore_eos": True}
    thought = server.post("/v1/chat/completions", body)
    assert thought["choices"][0]["message"]["content"] == ""
    assert thought["choices"][0]["message"]["reasoning_content"]
    assert thought["usage"]["completion_tokens_details"]["reasoning_tokens"] == 8
    said = server.post("/v1/chat/completions", {**body, "chat_template_kwargs": {"enable_thinking": False}})
    assert said["choices"][0]["message"]["content"]
    assert said["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


def test_variables_need_jinja(start):
    fixed = start("--no-jinja")
    status, error = fixed.refused("/v1/chat/completions", {"messages": QUESTION, "chat_template_kwargs": {"a": 1}})
    assert status == 400 and error["param"] == "chat_template_kwargs" and "fixed list" in error["message"]
    status, error = fixed.refused("/v1/chat/completions", {"messages": QUESTION, "reasoning_effort": "high"})
    assert status == 400 and error["param"] == "reasoning_effort"


def test_what_llama_server_does_is_said(server):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    for fields in ({"tools": [tool]}, {"response_format": {"type": "json_object"}}, {"json_schema": {"type": "object"}}):
        status, error = server.refused("/v1/chat/completions", {"messages": QUESTION, **fields})
        assert status == 400 and "vase exec" in error["message"], error
