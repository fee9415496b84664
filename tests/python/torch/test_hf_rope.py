"""VaseCache finds out how a model rotates its keys: those of one token at many positions, turned back, are equal."""

import copy
import warnings

import numpy as np
import pytest
import torch
from rotation import rotated
from tiny_models import generate, padded_prompts, small, taking, tiny_model

import vase
from vase.hf import VaseCache

SMALL = small("vase-plus")
MIXED = {"num_hidden_layers": 4, "sliding_window": 16, "layer_types": ["full_attention", "sliding_attention"] * 2}
FREQUENCIES = 10000.0 ** (-np.arange(8) / 8)


def scaled(kind, **parameters):
    return {"rope_parameters": {"rope_theta": 10000.0, "rope_type": kind, "factor": 4.0, **parameters}}


def first_keys(model, cache):
    """Keys of layer 0 for one token at the positions 0 to 299: [KV heads, 300, dim]."""
    with torch.inference_mode():
        model(torch.full((1, 300), 7), **taking(cache))
    return cache.bounded_layers[0].keys[0, :, :300].double().numpy()


def spread(keys):
    """How far rows that should be equal are from the first, relative to their length."""
    return np.linalg.norm(keys - keys[:, :1]) / np.linalg.norm(keys)


def found_ropes(name, **changes):
    model = tiny_model(name, **changes)
    cache = VaseCache(model.config, **SMALL)
    generate(model, padded_prompts([4]), cache, tokens=1)
    return [layer.rope for layer in cache.bounded_layers]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "changes", "pairs", "stride"),
    [
        ("Llama", {}, 8, 8),
        ("Qwen2", {}, 8, 8),
        ("Qwen3", {}, 8, 8),
        ("Gemma", {}, 8, 8),
        ("Mistral", {"sliding_window": None}, 8, 8),
        ("Cohere", {}, 8, 1),
        ("Phi", {}, 4, 4),  # half of the elements
        ("Glm", {}, 4, 1),
        ("Gemma3", MIXED, 8, 8),  # another rotation under sliding windows
        ("GPTNeoX", {}, 2, 2),  # has another name for the cache
        ("NanoChat", {}, 8, 8),  # turns the other way
        ("Ministral3", {}, 8, 8),  # asks for the positions, too
        ("Llama", scaled("linear"), 8, 8),
        ("Llama", scaled("llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=512), 8, 8),
        ("Llama", scaled("yarn", original_max_position_embeddings=1024), 8, 8),
    ],
)
def test_the_first_layer_turned_back(name, changes, pairs, stride):
    model = tiny_model(name, **changes)
    cache = VaseCache(model.config, **{**SMALL, "budget": 512})
    keys = first_keys(model, cache)
    rope = cache.bounded_layers[0].rope
    assert (len(rope.frequencies), rope.stride) == (pairs, stride)
    back = rotated(keys.swapaxes(0, 1), -np.arange(300), rope.frequencies.numpy(), rope.stride).swapaxes(0, 1)
    assert spread(keys) > 0.1
    assert spread(back) < 1e-4


@pytest.mark.filterwarnings("error")
def test_layers_that_do_not_rotate():
    assert [rope is None for rope in found_ropes("SmolLM3", num_hidden_layers=4)] == [False, False, False, True]
    assert found_ropes("Exaone4", **MIXED) == [None, None]
    assert found_ropes("OPT") == [None, None, None]  # learned positions


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    model = tiny_model("Llama").to(dtype)
    cache = VaseCache(model.config, **SMALL)
    generate(model, padded_prompts([40]), cache, tokens=1)
    rope = cache.bounded_layers[2].rope
    assert rope.frequencies.dtype == torch.float32
    np.testing.assert_allclose(rope.frequencies, FREQUENCIES, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("Llama", scaled("dynamic"), "its frequencies change as the text grows .RoPE of type 'dynamic'"),
        ("OlmoHybrid", {}, "OlmoHybridAttention leaves it to the model which layers are rotated"),
    ],
)
def test_what_cannot_be_found_out_is_said_once(name, changes, reason):
    model = tiny_model(name, **changes)
    cache = VaseCache(model.config, **SMALL)
    with pytest.warns(RuntimeWarning, match=f"cannot find out how the model rotates its keys: {reason}.*pass rope=") as seen:
        generate(model, padded_prompts([40]), cache, tokens=20)
    assert len([warning for warning in seen if "rotates" in str(warning.message)]) == 1
    assert cache.statistics().evictions > 0
    assert all(layer.rope is None for layer in cache.bounded_layers)


def test_the_user_knows_better():
    model = tiny_model("Llama", **scaled("dynamic"))
    cache = VaseCache(model.config, rope=vase.Rope(FREQUENCIES, 8), **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate(model, padded_prompts([40]), cache, tokens=20)
    assert cache.statistics().evictions > 0
    for layer in cache.bounded_layers:
        np.testing.assert_array_equal(layer.rope.frequencies, FREQUENCIES.astype(np.float32))


def test_evictions_go_by_it():
    """The found rotation keeps the rows that the same one keeps if it is given, and others than none at all."""
    model = tiny_model("Llama")
    rows = []
    for rope in (None, vase.Rope(FREQUENCIES, 8), vase.Rope(np.zeros(8), 8)):
        cache = VaseCache(model.config, rope=rope, **SMALL)
        generate(model, padded_prompts([60]), cache, tokens=20)
        rows.append([cache.positions(layer) for layer in range(3)])
    assert all((found == given).all() for found, given in zip(rows[0], rows[1]))
    assert any((found != none).any() for found, none in zip(rows[0], rows[2]))


@pytest.mark.filterwarnings("error")
def test_other_policies_ask_nothing():
    model = tiny_model("Llama", **scaled("dynamic"))
    cache = VaseCache(model.config, **small("vase"))
    generate(model, padded_prompts([40]), cache, tokens=20)
    assert cache.bounded_layers[0].rope is None


def test_looking_for_it_changes_nothing():
    """No hook of the user runs and no random number is drawn; a copy and a reset cache still know."""
    model = tiny_model("Llama")
    calls = []
    model.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    before = torch.random.get_rng_state()
    cache = VaseCache(model.config, **SMALL)
    with torch.inference_mode():
        model(padded_prompts([12])["input_ids"], **taking(cache))
    assert calls == [1] and (torch.random.get_rng_state() == before).all()
    for other in copy.deepcopy(cache), cache:
        other.reset()
        assert other.bounded_layers[0].rope.stride == 8


@pytest.mark.parametrize(
    ("error", "message", "rope"),
    [
        (TypeError, "rope is a list; it must be a vase.Rope", [1.0]),
        (TypeError, "rope.frequencies is torch.int64; it must hold floats", lambda: vase.Rope(torch.ones(8, dtype=int), 8)),
        (ValueError, "rope.frequencies has the shape .2, 4.", lambda: vase.Rope(torch.ones(2, 4), 8)),
        (ValueError, "rope.frequencies go up to nan", lambda: vase.Rope(torch.tensor([1.0, float("nan")]), 8)),
        (ValueError, "rope.pairs is 32; keys of 16 elements have 1 .. 8 pairs", lambda: vase.Rope(torch.ones(32), 32)),
    ],
)
def test_bad_rotations(error, message, rope):
    model = tiny_model("Llama")
    with pytest.raises(error, match=message):
        cache = VaseCache(model.config, rope=rope() if callable(rope) else rope, **SMALL)
        generate(model, padded_prompts([60]), cache, tokens=1)
