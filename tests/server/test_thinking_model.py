"""A model that really thinks: the reasoner that comes with vase, asked as people's clients ask."""

import os
from pathlib import Path

import openai
import pytest

from vase_server import SANITIZED, Server

CACHE = Path(os.environ.get("VASE_CACHE", Path.home() / ".cache/vase"))
BASE = CACHE / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
ADAPTER = Path(__file__).parents[2] / "models/vase-reasoner-lora.gguf"

pytestmark = [
    pytest.mark.skipif(not BASE.exists(), reason=f"{BASE} is not there (make model)"),
    pytest.mark.skipif(SANITIZED, reason="a thousand tokens take minutes under a sanitizer"),
]

# `vase tasks make --task graph --tier 1k --count 12 --seed 2606 --split tune`, the eleventh.
QUESTION = (
    "One-way roads lead from each town to others.\n"
    "From Moscow: Madrid.\n"
    "From Havana: Denver.\n"
    "From Delhi: none.\n"
    "From Madrid: Lima, Denver.\n"
    "From Denver: Milan.\n"
    "From Cairo: Delhi, Moscow, Denver.\n"
    "From Boston: Madrid.\n"
    "From Milan: Delhi, Lima.\n"
    "From Lima: Havana.\n"
    "Trips: 1 Denver to Moscow, 2 Milan to Boston, 3 Boston to Delhi.\n"
    "Find the smallest number of roads for every trip; a trip that cannot be made counts 0. "
    "What is the total?"
)
ANSWER = "4"


@pytest.fixture(scope="module")
def reasoner():
    with Server(BASE, "--lora", ADAPTER, "--budget", 1024) as running:
        yield running


def ask(server, **fields):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=300)
    messages = [{"role": "user", "content": QUESTION}]
    return client.chat.completions.create(
        model="any", messages=messages, temperature=0, **fields
    )


def test_reasoning_comes_first_and_the_answer_apart(reasoner):
    reasoning, content, order = "", "", []
    for chunk in ask(reasoner, stream=True):
        if not chunk.choices:
            continue
        delta = chunk.choices[0].delta
        thought = (delta.model_extra or {}).get("reasoning_content") or ""
        reasoning += thought
        content += delta.content or ""
        order += ["reasoning"] * bool(thought) + ["content"] * bool(delta.content)
        finish = chunk.choices[0].finish_reason
    assert finish == "stop"
    assert len(reasoning) > 1000
    assert f"\\boxed{{{ANSWER}}}" in content
    for text in (reasoning, content):
        assert "<think>" not in text and "</think>" not in text
    assert order == sorted(order, reverse=True), "an answer before the end of the reasoning"


def test_a_thought_that_is_cut_off_is_no_answer(reasoner):
    choice = ask(reasoner, max_tokens=30).choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.model_extra["reasoning_content"]
    assert not choice.message.content


def test_a_budget_ends_the_thought_and_the_answer_is_written(reasoner):
    budget = {"reasoning_budget_tokens": 40, "reasoning_budget_message": "\nThat is all I know.\n"}
    answer = ask(reasoner, max_tokens=600, extra_body=budget)
    message = answer.choices[0].message
    thought = message.model_extra["reasoning_content"]
    assert thought.endswith("That is all I know.\n")
    assert "\\boxed{" in message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model_extra["vase"]["choices"][0]["thoughts_cut"] == 1
    assert 40 <= answer.usage.completion_tokens_details.reasoning_tokens < 70
