"""VaseCache in model.generate, for each architecture: without evictions the output of a DynamicCache, with them that of the
sequence alone."""

import pytest
import torch
from tiny_models import ARCHITECTURES, SMALL, generate, padded_prompts, small, taking, tiny_model

from vase.hf import VaseCache

LENGTHS = [33, 40, 20]

architectures = pytest.mark.parametrize("name", ARCHITECTURES)


@architectures
def test_without_evictions_it_is_a_dynamic_cache(name):
    prompts = padded_prompts(LENGTHS)
    logits = {"output_logits": True, "return_dict_in_generate": True}
    expected = generate(tiny_model(name, "sdpa"), prompts, **logits)
    model = tiny_model(name)
    cache = VaseCache(model.config, budget=512)
    found = generate(model, prompts, cache, **logits)
    assert cache.statistics().evictions == 0
    assert (found.sequences == expected.sequences).all()
    torch.testing.assert_close(torch.stack(found.logits), torch.stack(expected.logits), rtol=0, atol=1e-4)


@architectures
def test_one_sequence_without_evictions_is_the_same_to_the_last_bit(name):
    prompts = padded_prompts([40])
    logits = {"output_logits": True, "return_dict_in_generate": True}
    expected = generate(tiny_model(name, "sdpa"), prompts, **logits)
    model = tiny_model(name)
    found = generate(model, prompts, VaseCache(model.config, budget=512), **logits)
    assert (torch.stack(found.logits) == torch.stack(expected.logits)).all()


@architectures
@pytest.mark.parametrize("policy", ["vase", "vase-cur"])
def test_a_batch_is_treated_as_its_sequences_alone(name, policy):
    """Prompts shorter than the budget, longer, and several times longer; with padding."""
    lengths = [12, 40, 100]
    model = tiny_model(name)
    prompts = padded_prompts(lengths)
    cache = VaseCache(model.config, **small(policy))
    together = generate(model, prompts, cache)
    for b, length in enumerate(lengths):
        alone = VaseCache(model.config, draw_streams=[b], **small(policy))
        found = generate(model, {"input_ids": prompts["input_ids"][b : b + 1, -length:]}, alone)
        assert (found[0, -40:] == together[b, -40:]).all()
        assert alone.statistics() == cache.statistics(b)
        assert alone.statistics().evictions > 0
        for layer in range(3):
            assert (alone.positions(layer) == cache.positions(layer, b)).all()


@architectures
def test_a_long_prompt_in_parts_is_the_same_whoever_cuts_it(name):
    """generate's own chunks, ours, or a token at a time."""
    model = tiny_model(name)
    ids = padded_prompts([100])["input_ids"]
    # A policy that pins no prompt: what the prompt is depends on the first forward.
    caches = [VaseCache(model.config, **small("vase")) for _ in range(3)]
    with torch.inference_mode():
        whole = model(ids, **taking(caches[0])).logits[:, -1]
        for chunk in ids.split(17, dim=1):
            chunked = model(chunk, **taking(caches[1])).logits[:, -1]
        for token in ids.split(1, dim=1):
            stepped = model(token, **taking(caches[2])).logits[:, -1]
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-4)
    torch.testing.assert_close(stepped, whole, rtol=0, atol=1e-4)
    for layer in range(3):
        expected = caches[0].positions(layer)
        assert expected.shape == (2, caches[0].statistics().rows)
        assert all((cache.positions(layer) == expected).all() for cache in caches[1:])


def test_positions_go_on_with_the_true_number_of_tokens():
    """Rows of attention that keep everything but sinks and the newest rows apart from RoPE would not notice; so look at RoPE's
    argument itself."""
    model = tiny_model("Llama")
    seen = []
    model.model.rotary_emb.register_forward_pre_hook(
        lambda module, inputs, names: seen.append(names["position_ids"]), with_kwargs=True
    )
    generate(model, padded_prompts([50]), VaseCache(model.config, **SMALL), tokens=30)
    assert torch.cat(seen, dim=1).flatten().tolist() == list(range(79))


def test_streaming_equals_a_mask_over_sinks_and_window():
    """The whole path against plain attention under a mask: with one layer, evicting to sinks and the newest rows is a mask."""
    model = tiny_model("Llama", num_hidden_layers=1)
    ids = padded_prompts([90])["input_ids"]
    options = {**SMALL, "recency": 16, "sinks": 4}
    with torch.inference_mode():
        found = model(ids, **taking(VaseCache(model.config, policy="streaming", **options))).logits
    model.set_attn_implementation("sdpa")
    rows: list[int] = []
    mask = torch.zeros(90, 90, dtype=torch.bool)
    for token in range(90):
        if len(rows) == 32:
            rows = rows[:4] + rows[-20:]
        rows.append(token)
        mask[token, rows] = True
    with torch.inference_mode():
        expected = model(ids, attention_mask=mask[None, None]).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_sliding_window_layers_are_left_alone():
    changes = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"] * 2, "num_hidden_layers": 4}
    model = tiny_model("Qwen2", use_sliding_window=True, **changes)
    prompts = padded_prompts([30, 21])
    expected = generate(model, prompts)
    cache = VaseCache(model.config, budget=512)
    assert len(cache.bounded_layers) == 2
    assert (generate(model, prompts, cache) == expected).all()
    small = VaseCache(model.config, **SMALL)
    generate(model, prompts, small)
    assert small.statistics().rows <= 32 and small.statistics().evictions > 0


def test_the_attention_implementation_alone_changes_nothing():
    prompts = padded_prompts(LENGTHS)
    expected = generate(tiny_model("Llama", "sdpa"), prompts)
    assert (generate(tiny_model("Llama"), prompts) == expected).all()
    static = generate(tiny_model("Llama"), prompts, cache_implementation="static", disable_compile=True)
    assert (static == expected).all()
