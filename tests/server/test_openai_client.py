"""The official client, as it is."""

import openai
import pytest

from vase_server import write_model


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
ENDLESS = {"ignore_eos": True}


def chat(client, **options):
    options = {"max_tokens": 20, "seed": 1, "extra_body": ENDLESS, **options}
    return client.chat.completions.create(model="tiny", messages=MESSAGES, **options)


def test_models(client):
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_one_model(client):
    assert client.models.retrieve("tiny") == client.models.list().data[0]
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("gpt-4o")
    assert error.value.code == "model_not_found"


def test_chat(client):
    answer = chat(client)
    assert answer.object == "chat.completion"
    assert len(answer.choices) == 1
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 20
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 20
    assert answer.vase["policy"] == "vase"
    assert answer.vase["evictions"] == 0


def test_chat_streamed_is_the_same_text(client):
    whole = chat(client).choices[0].message.content
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert len({chunk.id for chunk in chunks}) == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 20
    assert chunks[-2].vase["choices"][0]["tokens"] > 20


def test_chat_with_several_answers(client):
    answer = chat(client, n=3, temperature=1.0)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3
    assert answer.usage.completion_tokens == 60
    again = chat(client, n=3, temperature=1.0)
    assert [c.message.content for c in again.choices] == [c.message.content for c in answer.choices]


def test_several_answers_streamed(client):
    texts = {0: "", 1: ""}
    for chunk in chat(client, n=2, stream=True, temperature=1.0):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    whole = chat(client, n=2, temperature=1.0)
    assert [texts[0], texts[1]] == [choice.message.content for choice in whole.choices]


def test_chat_logprobs(client):
    content = chat(client, logprobs=True, top_logprobs=3, temperature=0).choices[0].logprobs.content
    assert len(content) == 20
    for entry in content:
        assert len(entry.top_logprobs) == 3
        assert entry.logprob <= 0
        assert entry.token == entry.top_logprobs[0].token  # temperature 0 takes the likeliest
        assert bytes(entry.bytes).decode() == entry.token
        values = [top.logprob for top in entry.top_logprobs]
        assert values == sorted(values, reverse=True)


def complete(client, prompt="abc", **options):
    options = {"max_tokens": 12, "seed": 4, "extra_body": ENDLESS, **options}
    return client.completions.create(model="tiny", prompt=prompt, **options)


def test_completion(client):
    answer = complete(client)
    assert answer.object == "text_completion"
    assert answer.choices[0].text
    assert answer.usage.completion_tokens == 12


def test_completion_of_several_prompts(client):
    answer = complete(client, ["abc", "xyz"], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage.completion_tokens == 48


def test_completion_of_tokens(client, server):
    assert complete(client, [5, 6, 7]).choices[0].text
    assert complete(client, [[5, 6], [7]]).choices[1].text


def test_completion_streamed(client):
    text = "".join(chunk.choices[0].text for chunk in complete(client, stream=True))
    assert text == complete(client).choices[0].text


def test_completion_logprobs(client):
    logprobs = complete(client, logprobs=2).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == 12
    assert all(len(top) == 2 for top in logprobs.top_logprobs)
    offset = 0
    for token, start in zip(logprobs.tokens, logprobs.text_offset):
        assert start == offset
        offset += len(token)


def test_no_alternative_is_lost_among_parts_of_characters(start, tmp_path):
    model = write_model(tmp_path / "bytes.gguf", "chatml", "bytes")
    server = start(model=model)
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
        logprobs = complete(client, logprobs=20, max_tokens=1000, temperature=2.0).choices[0].logprobs
    assert all(len(top) == 20 for top in logprobs.top_logprobs)
    assert any(sum(key.startswith("bytes:\\x") for key in top) > 1 for top in logprobs.top_logprobs)


def test_stop(client):
    text = complete(client, max_tokens=60, temperature=0).choices[0].text
    stop = text[3:5]
    cut = complete(client, max_tokens=60, temperature=0, stop=[stop])
    assert cut.choices[0].finish_reason == "stop"
    assert cut.choices[0].text == text[: text.index(stop)]
    chunks = complete(client, max_tokens=60, temperature=0, stop=stop, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == cut.choices[0].text


def test_sampling_options_change_the_text(client):
    base = complete(client, temperature=1.5, max_tokens=40).choices[0].text
    assert complete(client, temperature=1.5, max_tokens=40).choices[0].text == base
    assert complete(client, temperature=1.5, max_tokens=40, seed=5).choices[0].text != base
    greedy = complete(client, temperature=0, max_tokens=40).choices[0].text
    for option in ({"top_k": 1}, {"min_p": 1.0}):
        extra = {**ENDLESS, **option}
        assert complete(client, temperature=1.5, max_tokens=40, extra_body=extra).choices[0].text == greedy
    assert complete(client, temperature=1.5, top_p=0.0, max_tokens=40).choices[0].text == greedy


def test_max_completion_tokens(client):
    assert chat(client, max_tokens=None, max_completion_tokens=3).usage.completion_tokens == 3


def test_seeds_of_63_bits(client):
    seeds = [2**63 - 1, 2**62 + 5, -2**62]
    texts = [complete(client, seed=seed, temperature=1.0).choices[0].text for seed in seeds]
    assert len(set(texts)) == 3
    assert complete(client, seed=seeds[0], temperature=1.0).choices[0].text == texts[0]


def test_modalities_of_text(client):
    assert chat(client, modalities=["text"]).usage.completion_tokens == 20
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, modalities=["text", "audio"])
    assert error.value.param == "modalities"


def test_calls_of_tools_are_not_dropped(client):
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    history = [MESSAGES[1], {"role": "assistant", "content": None, "tool_calls": [call]},
               {"role": "tool", "tool_call_id": "1", "content": "4"}]
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="tiny", messages=history)
    assert error.value.param == "messages[1].tool_calls"
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="tiny", messages=[history[0], history[2]])
    assert error.value.param == "messages[1].role"


def test_names_of_llama_cpp(client):
    assert chat(client, max_tokens=None, extra_body={**ENDLESS, "n_predict": 3}).usage.completion_tokens == 3
    for name, value in (("grammar", 'root ::= "a"'), ("json_schema", {}), ("repeat_penalty", 1.1)):
        with pytest.raises(openai.BadRequestError) as error:
            chat(client, extra_body={**ENDLESS, name: value})
        assert error.value.param == name
    assert chat(client, extra_body={**ENDLESS, "repeat_penalty": 1.0}).usage.completion_tokens == 20


def test_errors_are_the_client_s(client):
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, temperature=9)
    assert error.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing/else")
