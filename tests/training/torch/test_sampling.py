"""The sampler against transformers' generate(), and what ends an answer."""

import copy

import pytest
import torch
from natural import sampling
from tiny_qwen2 import END, tiny_model


def requests(count, limit):
    return [
        sampling.Request(i, torch.randint(0, 200, (5 + 9 * i,)).tolist(), limit + 11 * i) for i in range(count)
    ]


def sampled(model, asked, rows=4, **settings):
    """key -> (answer, status) of requests, greedily unless said otherwise."""
    found = {}
    settings = sampling.Settings(rows=rows, **{"top_k": 1, **settings})
    longest = max(len(request.prompt) + request.limit for request in asked)
    sampler = sampling.Sampler(model, [END], settings, longest, log=lambda _: None)
    keep = lambda request, status: found.update({request.key: (list(request.answer), status)})  # noqa: E731
    tokens, _ = sampler.run(asked, keep)
    assert tokens == sum(len(answer) - 1 for answer, _ in found.values())  # the first comes with the prompt
    assert sorted(sampler.free) == list(range(1, sampler.cache.pages))  # all pages came back
    return found


def test_greedily_the_same_as_generate():
    model, asked = tiny_model(), requests(10, 40)
    prompts = [list(request.prompt) for request in asked]
    found = sampled(copy.deepcopy(model), asked)
    statuses = set()
    for i, prompt in enumerate(prompts):
        answer, status = found[i]
        expected = model.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=40 + 11 * i, eos_token_id=END
        )[0, len(prompt) :].tolist()
        if status == "loop":  # generate() does not look for loops
            expected = expected[: len(answer)]
        assert answer == expected, f"prompt {i}"
        statuses.add(status)
    assert "limit" in statuses


def test_a_stop_token_ends_an_answer():
    model, asked = tiny_model(), requests(8, 60)
    free = sampled(model, [copy.deepcopy(request) for request in asked])
    stop = free[0][0][20]  # some token that is written
    settings = sampling.Settings(rows=4, top_k=1)
    ended = {}
    sampler = sampling.Sampler(model, [END, stop], settings, 200, log=lambda _: None)
    sampler.run(asked, lambda request, status: ended.update({request.key: (request.answer, status)}))
    for key, (answer, status) in free.items():
        cut = answer[: answer.index(stop) + 1] if stop in answer else answer
        assert ended[key] == (cut, "ended" if stop in answer else status)
    assert ended[0][1] == "ended"


def test_a_loop_ends_an_answer():
    model = tiny_model()
    model.lm_head = torch.nn.Linear(64, 259)
    torch.nn.init.zeros_(model.lm_head.weight)
    model.lm_head.bias.data = torch.eye(259)[7]  # writes this token for ever
    answer, status = sampled(model, [sampling.Request(0, [1, 2, 3], 3000)])[0]
    assert status == "loop"
    assert answer == [7] * (sampling.LOOP_CHECK + 1)


def test_where_pages_run_out_answers_begin_anew():
    model, asked = tiny_model(), requests(6, 150)
    alone = sampled(model, [copy.deepcopy(request) for request in asked])
    settings = sampling.Settings(rows=6, top_k=1)
    sampler = sampling.Sampler(model, [END], settings, 400, log=lambda _: None)
    sampler.free = sampler.free[:9]  # of 64 cells each: not enough for all six
    found = {}
    sampler.run(asked, lambda request, status: found.update({request.key: (list(request.answer), status)}))
    assert found == alone


def test_draws_follow_temperature_top_k_and_top_p():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, -9.0]).repeat(20000, 1)
    settings = sampling.Settings(temperature=0.8, top_k=4, top_p=0.95)
    drawn = sampling.choose(logits, settings).bincount(minlength=5) / 20000
    shares = (logits[0, :4] / 0.8).softmax(0)
    assert shares[:2].sum() < 0.95 < shares[:3].sum()  # so three stay
    expected = torch.cat([shares[:3] / shares[:3].sum(), torch.zeros(2)])
    assert drawn.tolist() == pytest.approx(expected.tolist(), abs=0.015)


def test_the_clock_cuts():
    found = {}
    sampler = sampling.Sampler(tiny_model(), [END], sampling.Settings(rows=2), 400, log=lambda _: None)
    asked = requests(5, 300)
    sampler.run(asked, lambda request, status: found.update({request.key: status}), drop_at=0)
    assert found == {0: "cut", 1: "cut"}  # the others were not begun
