"""Prompts that vase writes with llama.cpp's templates in Jinja, token by token beside llama-server's own."""

import json
import os
import pathlib
import subprocess

import pytest

from conftest import real_model
from llama_programs import ENVIRONMENT, FOLDER, SANITIZED, Server

WRITE_PROMPT = os.environ.get("VASE_WRITE_PROMPT", "build/release/tests/engine/vase_write_prompt")
TEMPLATES = pathlib.Path(os.environ.get("VASE_LLAMA_TEMPLATES", FOLDER / "../../src/models/templates"))
MODELS = ("Qwen-Qwen3-0.6B", "Qwen3.5-4B", "deepseek-ai-DeepSeek-V3.1", "GLM-4.6", "GLM-4.7-Flash",
          "HuggingFaceTB-SmolLM3-3B", "openai-gpt-oss-120b", "google-gemma-4-31B-it", "Kimi-K2-Thinking",
          "MiniMax-M2", "meta-llama-Llama-3.3-70B-Instruct", "Mistral-Small-3.2-24B-Instruct-2506",
          "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "ByteDance-Seed-OSS")
USER = {"role": "user", "content": "What is 17 * 23?  \n"}
TURNS = [USER, {"role": "assistant", "content": "It is **391**."}, {"role": "user", "content": "And half of it?"}]
THOUGHT = [USER, {**TURNS[1], "reasoning_content": "17 * 20 = 340,\n17 * 3 = 51.  "}, TURNS[2]]
CONVERSATIONS = ([USER], TURNS, [{"role": "system", "content": "Be brief: é, <b>, \"quoted\"."}, *TURNS], THOUGHT)
VARIABLES = ({}, {"enable_thinking": True}, {"enable_thinking": False})

pytestmark = [
    pytest.mark.skipif(not TEMPLATES.exists(), reason=f"no templates in {TEMPLATES}"),
    pytest.mark.skipif(SANITIZED, reason="no memory of ours is at work here but a few strings"),
]


def written_by_vase(model, requests):
    run = subprocess.run([WRITE_PROMPT, str(model)], input=json.dumps(requests), text=True, env=ENVIRONMENT,
                         capture_output=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def check(model, name):
    path = TEMPLATES / f"{name}.jinja"
    requests = [{"template": str(path), "messages": messages, "variables": variables}
                for messages in CONVERSATIONS for variables in VARIABLES]
    ours = written_by_vase(model, requests)
    if "for chat templates in Jinja" in ours[-1].get("error", ""):
        pytest.skip(ours[-1]["error"])  # this build has none
    with Server(model, "--jinja", "--chat-template-file", path, "-c", 512, "--no-warmup", vase=None) as server:
        for request, own in zip(requests, ours):
            theirs = server.post("/apply-template", {"messages": request["messages"],
                                                     "chat_template_kwargs": request["variables"]})["prompt"]
            assert own.get("prompt") == theirs, (request, own)
            tokens = server.post("/tokenize", {"content": theirs, "add_special": True, "parse_special": True})
            assert own["tokens"] == tokens["tokens"], request


@pytest.mark.parametrize("name", MODELS)
def test_writes_what_llama_server_writes(default_model, name):
    check(default_model, name)


def test_writes_a_models_own(default_model):
    """Which is in its file, and has a system message of its own."""
    requests = [{"messages": messages, "variables": {}} for messages in CONVERSATIONS]
    ours = written_by_vase(default_model, requests)
    with Server(default_model, "--jinja", "-c", 512, "--no-warmup", vase=None) as server:
        for request, own in zip(requests, ours):
            assert own["prompt"] == server.post("/apply-template", {"messages": request["messages"]})["prompt"]


def test_writes_no_second_mark_of_the_beginning():
    """Of a model whose text begins with one, by a template that writes it, too."""
    check(real_model("gemma-3-270m.Q4_K_M.gguf"), "google-gemma-2-2b-it")
