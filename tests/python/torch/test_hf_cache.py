"""What VaseCache promises besides the model's output."""

import copy

import gguf
import numpy as np
import pytest
import torch
import transformers
from tiny_models import SMALL, generate, padded_prompts, small, taking, tiny_model

from vase import parameters, policies, read_calibration
from vase.hf import VaseCache

# All that evict, but those that need a file (calibrated ones have tests of their own).
EVICTING = [
    policy.name
    for policy in policies()
    if (found := parameters(policy.name, budget=512))["evicts"] and not found["needs_calibration"]
]


def filled(policy="vase", lengths=(60,), tokens=30, **options):
    model = tiny_model("Llama")
    cache = VaseCache(model.config, **{**small(policy), **options})
    generate(model, padded_prompts(list(lengths)), cache, tokens=tokens)
    return cache


@pytest.mark.parametrize("policy", EVICTING)
def test_every_policy_bounds_the_rows_and_keeps_sinks_and_newest(policy):
    cache = filled(policy)
    tokens, rows, evictions = cache.statistics()
    assert tokens == 89 and rows <= 32 and evictions == 8
    for layer in range(3):
        for positions in cache.positions(layer):
            assert len(set(positions)) == rows
            assert set(range(4)) <= set(positions)
            assert set(range(tokens - 8, tokens)) <= set(positions)


def test_heads_and_layers_keep_rows_of_their_own():
    cache = filled()
    kept = [frozenset(positions) for layer in range(3) for positions in cache.positions(layer)]
    assert len(set(kept)) > 1


def calibration_of(config, path):
    """A calibration of made-up numbers, as ``vase calibrate`` writes it."""
    writer = gguf.GGUFWriter(path, "none")
    writer.add_string("general.type", "vase-calibration")
    for layer in range(config.num_hidden_layers):
        shape = config.num_attention_heads, 3, config.hidden_size // config.num_attention_heads // 2
        writer.add_tensor(f"query.{layer}", np.random.default_rng(layer).standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_triattention_takes_a_calibration(tmp_path):
    config = tiny_model("Llama").config
    path = tmp_path / "calibration.gguf"
    calibration_of(config, path)
    cache = filled("triattention", calibration=path)
    assert cache.statistics().evictions == 8
    layers = read_calibration(path)
    assert (filled("triattention", calibration=layers).positions(1) == cache.positions(1)).all()
    assert (filled("triattention", calibration=[-layer for layer in layers]).positions(1) != cache.positions(1)).any()
    for message, wrong in (("needs what `vase calibrate", None), ("is of 2 layers; the model has 3", layers[:2])):
        with pytest.raises(ValueError, match=message):
            VaseCache(config, policy="triattention", calibration=wrong, **SMALL)


def test_full_keeps_everything():
    cache = filled("full")
    assert cache.statistics() == (89, 89, 0)


def test_the_seed_decides():
    first, again, other = filled(seed=3), filled(seed=3), filled(seed=4)
    assert all((first.positions(layer) == again.positions(layer)).all() for layer in range(3))
    assert any((first.positions(layer) != other.positions(layer)).any() for layer in range(3))


def test_a_text_longer_than_the_model_was_trained_on_is_said_once():
    model = tiny_model("Llama")
    model.config.max_position_embeddings = 80
    cache = VaseCache(model.config, **small("vase"))
    with pytest.warns(RuntimeWarning, match="trained on texts of 80 tokens") as warned:
        generate(model, padded_prompts([60]), cache, tokens=40)
    assert len([w for w in warned if "trained on" in str(w.message)]) == 1


def test_memory_stays_while_the_text_grows():
    short, long = filled(tokens=10), filled(tokens=300)
    assert long.statistics().evictions > short.statistics().evictions
    assert long.cache_bytes() == short.cache_bytes() == 3 * 2 * 2 * 32 * 16 * 4  # layers, K and V, heads, rows, dim, bytes


def test_short_texts_take_little():
    cache = filled(lengths=(5,), tokens=4, budget=4096)
    assert cache.cache_bytes() <= 3 * 2 * 2 * 16 * 16 * 4


def test_pinned_prompt_stays():
    cache = filled("random", lengths=(10,), tokens=80, pin_prompt=0.5)
    for layer in range(3):
        assert all(set(range(10)) <= set(positions) for positions in cache.positions(layer))
    longer = filled("random", lengths=(30,), tokens=80, pin_prompt=0.5)  # 12 rows: the newest ones
    assert all(set(range(18, 30)) <= set(positions) for positions in longer.positions(0))


def test_vase_plus_pins_the_prompt_unless_told_not_to():
    pinned = filled("vase-plus", lengths=(10,), tokens=80)
    assert all(set(range(10)) <= set(positions) for layer in range(3) for positions in pinned.positions(layer))
    free = filled("vase-plus", lengths=(10,), tokens=80, pin_prompt=0)
    assert not all(set(range(10)) <= set(positions) for layer in range(3) for positions in free.positions(layer))


@pytest.mark.parametrize("policy", ["vase", "vase-plus"])
@pytest.mark.parametrize("lengths", [(12,), (60,), (60, 25)])
def test_a_prompt_in_chunks_is_the_same_prompt(policy, lengths):
    model = tiny_model("Llama")
    prompts = padded_prompts(list(lengths))
    caches = [VaseCache(model.config, pin_prompt=0.5, **small(policy)) for _ in range(2)]
    whole = generate(model, prompts, caches[0], tokens=40)
    chunked = generate(model, prompts, caches[1], tokens=40, prefill_chunk_size=7)
    assert (whole == chunked).all()
    for sequence in range(len(lengths)):
        assert caches[0].statistics(sequence) == caches[1].statistics(sequence)
        for layer in range(3):
            assert (caches[0].positions(layer, sequence) == caches[1].positions(layer, sequence)).all()


@pytest.mark.parametrize("policy", ["vase", "vase-plus"])
@pytest.mark.parametrize("part", [16, None, 200])
def test_parts_of_a_prompt_are_as_long_as_one_likes(policy, part):
    """A batch is treated as its sequences alone whatever the length of parts; longer ones bring fewer evictions, and memory that was
    lent is given back."""
    model = tiny_model("Llama")
    lengths = [12, 40, 100]
    prompts = padded_prompts(lengths)
    options = {**small(policy), "prompt_part": part}
    together = VaseCache(model.config, **options)
    expected = generate(model, prompts, together, tokens=1)
    assert [together.statistics(b).evictions for b in range(3)] == [0, 1, {16: 5, None: 3, 200: 1}[part]]
    assert all(together.statistics(b).rows <= 32 for b in range(3))
    assert together.cache_bytes() == 3 * 3 * 2 * 2 * 32 * 16 * 4  # sequences, layers, K and V, heads, rows, dim, bytes
    for b, length in enumerate(lengths):
        alone = VaseCache(model.config, draw_streams=[b], **options)
        found = generate(model, {"input_ids": prompts["input_ids"][b : b + 1, -length:]}, alone, tokens=1)
        assert found[0, -1] == expected[b, -1] and alone.statistics() == together.statistics(b)
        assert all((np.sort(alone.positions(layer)) == np.sort(together.positions(layer, b))).all() for layer in range(3))


def test_set_prompt_end():
    model = tiny_model("Llama")
    cache = VaseCache(model.config, policy="random", pin_prompt=0.5, **SMALL)
    ids = padded_prompts([12])["input_ids"]
    with torch.inference_mode():
        model(ids[:, :5], **taking(cache))
        model(ids[:, 5:6], **taking(cache))
        model(ids[:, 6:], **taking(cache))
        cache.set_prompt_end()
        for token in padded_prompts([60], seed=1)["input_ids"].split(1, dim=1):
            model(token, **taking(cache))
    assert all(set(range(12)) <= set(positions) for positions in cache.positions(0))


def test_reset_forgets():
    model = tiny_model("Llama")
    prompts = padded_prompts([60])
    cache = VaseCache(model.config, **SMALL)
    first = generate(model, prompts, cache)
    cache.reset()
    assert cache.get_seq_length() == 0
    assert (generate(model, prompts, cache) == first).all()


def test_a_second_turn_continues():
    model = tiny_model("Llama")
    prompts = padded_prompts([20])
    cache = VaseCache(model.config, budget=512)
    first = generate(model, prompts, cache, tokens=5)
    turn = torch.cat([first, padded_prompts([9], seed=5)["input_ids"]], dim=1)
    second = generate(model, {"input_ids": turn}, cache, tokens=10)
    assert (second == generate(model, {"input_ids": turn}, tokens=10)).all()


def test_beams_follow_their_rows():
    model = tiny_model("Llama")
    prompts = padded_prompts([20, 14])
    beams = {"num_beams": 3, "tokens": 12}
    expected = generate(model, prompts, **beams)
    assert (generate(model, prompts, VaseCache(model.config, budget=512), **beams) == expected).all()
    small = VaseCache(model.config, **SMALL)
    generate(model, padded_prompts([40, 34]), small, **beams)
    assert small.statistics().evictions > 0


def test_padding_between_turns():
    """Padding anywhere: what is padding gets no row."""
    model = tiny_model("Llama")
    ids = padded_prompts([30, 30])["input_ids"]
    mask = torch.ones_like(ids)
    mask[0, 10:16] = 0
    cache = VaseCache(model.config, budget=512)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        found = model(ids, attention_mask=mask, position_ids=positions, **taking(cache)).logits[0, -1]
        expected = model(ids[:1, mask[0].bool()]).logits[0, -1]
    assert cache.statistics(0).rows == 24 and cache.statistics(1).rows == 30
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_half_precision():
    for dtype in torch.float16, torch.bfloat16:
        model = tiny_model("Llama").to(dtype)
        cache = VaseCache(model.config, **SMALL)
        generate(model, padded_prompts([60, 44]), cache)
        assert cache.statistics(0).rows <= 32 and cache.bounded_layers[0].keys.dtype == dtype


# ---- what goes wrong --------------------------------------------------------------------------------


def test_another_attention_implementation_is_refused():
    model = tiny_model("Llama", "sdpa")
    with pytest.raises(ValueError, match="set_attn_implementation"):
        VaseCache(model.config)


def test_another_attention_implementation_afterwards_is_noticed():
    model = tiny_model("Llama")
    cache = VaseCache(model.config, **SMALL)
    model.set_attn_implementation("sdpa")
    with pytest.raises(RuntimeError, match="set_attn_implementation"):
        generate(model, padded_prompts([20]), cache)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "budget 5 is too small", {"budget": 5}),
        (ValueError, "policy is 'lru'", {"policy": "lru"}),
        (TypeError, "'colour'", {"colour": 1}),
        (ValueError, "pin_prompt is 2", {"pin_prompt": 2}),
        (ValueError, "prompt_part is 3; it must be at least the interval, 128", {"prompt_part": 3}),
        (TypeError, "prompt_part is 2.5; it must be an int", {"prompt_part": 2.5}),
        (TypeError, "pin_prompt is 'half'; it must be a number", {"pin_prompt": "half"}),
        (TypeError, "draw_streams is 3; it must be a sequence of ints", {"draw_streams": 3}),
    ],
)
def test_bad_arguments(error, message, options):
    with pytest.raises(error, match=message):
        VaseCache(tiny_model("Llama").config, **options)


def test_a_model_with_an_encoder_is_refused():
    config = transformers.BartConfig()
    config._attn_implementation = "vase_sdpa"
    with pytest.raises(ValueError, match="BartConfig is of a model with an encoder"):
        VaseCache(config)


def test_the_model_in_place_of_its_configuration():
    with pytest.raises(TypeError, match="config is a LlamaForCausalLM; it must be the model's configuration"):
        VaseCache(tiny_model("Llama"))


def test_draw_streams_must_fit_the_batch():
    model = tiny_model("Llama")
    with pytest.raises(ValueError, match="draw_streams names 1 streams, and the batch has 2 sequences"):
        generate(model, padded_prompts([6, 5]), VaseCache(model.config, draw_streams=[3], **SMALL))


def test_layers_and_sequences_that_are_not_there():
    with pytest.raises(IndexError, match="sequence is 0; the cache holds 0 sequences yet"):
        VaseCache(tiny_model("Llama").config, **SMALL).statistics()
    cache = filled(tokens=2)
    with pytest.raises(IndexError, match="layer is 3; the cache holds 3 layers"):
        cache.positions(layer=3)
    with pytest.raises(IndexError, match="sequence is 1; the cache holds 1 sequences"):
        cache.positions(layer=0, sequence=1)


def test_a_copy_goes_its_own_way():
    """As for a prefix that several texts share."""
    model = tiny_model("Llama")
    prefix = VaseCache(model.config, **SMALL)
    first, *rest = padded_prompts([50, 30])["input_ids"].split(1)
    with torch.inference_mode():
        model(first, **taking(prefix))
    before = [prefix.positions(layer) for layer in range(3)]
    copies = [copy.deepcopy(prefix) for _ in range(2)]
    with torch.inference_mode():
        found = [model(rest[0], **taking(cache)).logits for cache in copies]
    assert (found[0] == found[1]).all()
    assert copies[0].statistics().evictions > prefix.statistics().evictions
    assert all((prefix.positions(layer) == before[layer]).all() for layer in range(3))


def test_a_model_without_full_attention_is_refused():
    with pytest.raises(ValueError, match="MistralConfig has no full-attention layers"):
        VaseCache(tiny_model("Mistral", sliding_window=16).config)


def test_another_batch_is_refused():
    model = tiny_model("Llama")
    cache = VaseCache(model.config, **SMALL)
    generate(model, padded_prompts([20]), cache, tokens=2)
    with pytest.raises(ValueError, match="1 sequences and 2 are to continue"), torch.inference_mode():
        model(padded_prompts([4, 4])["input_ids"], **taking(cache))


def test_masks_of_other_shapes_are_refused():
    model = tiny_model("Llama")
    mask = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    with pytest.raises(ValueError, match="attention_mask has 4 axes"), torch.inference_mode():
        model(padded_prompts([6])["input_ids"], attention_mask=mask, **taking(VaseCache(model.config, **SMALL)))


def test_cropping_is_refused():
    with pytest.raises(RuntimeError, match="cannot take tokens back"):
        filled().crop(-1)
