"""Tries VaseCache with one tiny random model of each architecture, and makes the table of docs/python.md.

    PYTHONPATH=build/release/python:tests/python ~/.cache/vase/torch-venv/bin/python tests/python/torch/architectures.py --table
"""

import argparse
import os
import warnings
from collections import defaultdict
from typing import NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers
from rows_by_the_reference import RowsByTheReference
from tiny_models import generate, padded_prompts, small, taking, tiny_model
from transformers import DynamicCache

from vase.hf import VaseCache
from vase.hf.rope import turned_back

EXPERTS = {"num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
GROUPS = {**EXPERTS, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1}
LATENT = {
    **{"q_lora_rank": 32, "kv_lora_rank": 32, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16},
    **{"num_key_value_heads": 4, "head_dim": 8},
}
ROTATION = {
    **{"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0},
    **{"llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 8192},
}
INDEXER = {"index_n_heads": 2, "index_head_dim": 16, "index_topk": 8}
WINDOWS = {"layer_types": ["sliding_attention", "full_attention"] * 2, "num_hidden_layers": 4, "sliding_window": 16}
CHUNKS = {"layer_types": ["chunked_attention", "full_attention"] * 2, "attention_chunk_size": 16, "no_rope_layers": [1, 0] * 2}
STATES = {"layer_types": ["linear_attention", "full_attention", "linear_attention"]}
CONVOLUTIONS = {"layer_types": ["conv", "full_attention", "conv"]}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_chunk_size": 8}
DELTA = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 16, **STATES}
NEMOTRON = {"mamba_num_heads": 8, "mamba_head_dim": 16, "ssm_state_size": 16, "n_groups": 1, "chunk_size": 8}
SHARING = {"num_kv_shared_layers": 2, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 256}
GEMMA3N = {**SHARING, "layer_types": ["sliding_attention", "full_attention"] * 3, "num_hidden_layers": 6, "sliding_window": 16}

MODELS: dict[str, dict] = {
    "Llama": {},
    "Mistral": {"sliding_window": None},
    "Mixtral": EXPERTS,
    "Qwen2": {},
    "Qwen2Moe": {**EXPERTS, "shared_expert_intermediate_size": 32},
    "Qwen3": {},
    "Qwen3Moe": EXPERTS,
    "Gemma": {},
    "Phi": {},
    "Phi3": {},
    "Phimoe": EXPERTS,
    "Glm": {},
    "Glm4": {},
    "Glm4Moe": GROUPS,
    "Cohere": {},
    "Granite": {},
    "GraniteMoe": EXPERTS,
    "Olmo2": {},
    "Olmoe": EXPERTS,
    "Starcoder2": {},
    "StableLm": {},
    "SmolLM3": {"num_hidden_layers": 4},
    "Ernie4_5": {},
    "HunYuanDenseV1": {},
    "SeedOss": {},
    "Apertus": {},
    "Nemotron": {},
    "GPTNeoX": {},
    "OPT": {},
    "NanoChat": {},
    "Ministral3": {},
    "MiniMaxM2": EXPERTS,
    "Cohere2": WINDOWS,
    "Exaone4": WINDOWS,
    "Gemma2": WINDOWS,
    "Gemma3": WINDOWS,
    "Gemma4": {**WINDOWS, **SHARING, "num_kv_shared_layers": 0, "global_head_dim": 32},
    "GptOss": {**WINDOWS, **EXPERTS},
    "GraniteSWA": WINDOWS,
    "Llama4": {**EXPERTS, **CHUNKS, "num_hidden_layers": 4},
    "Ministral": WINDOWS,
    "Olmo3": WINDOWS,
    "VaultGemma": WINDOWS,
    "Gemma3n": {**GEMMA3N, "laurel_rank": 8, "activation_sparsity_pattern": None},
    "Bamba": {**MAMBA, "attn_layer_indices": [1]},
    "GraniteMoeHybrid": {**MAMBA, **EXPERTS, **STATES, "shared_intermediate_size": 32},
    "Jamba": {**EXPERTS, "attn_layer_period": 2, "attn_layer_offset": 1},
    "Lfm2": CONVOLUTIONS,
    "Lfm2Moe": {**EXPERTS, **CONVOLUTIONS, "num_dense_layers": 1},
    "NemotronH": {**NEMOTRON, **EXPERTS, "layers_block_type": ["mamba", "attention", "mlp", "attention"], "num_hidden_layers": 4},
    "OlmoHybrid": {},
    "Qwen3Next": {**DELTA, **EXPERTS, "shared_expert_intermediate_size": 32},
    "Qwen3_5": DELTA,
    "Qwen3_5Moe": {**DELTA, **EXPERTS, "shared_expert_intermediate_size": 32},
    "FalconH1": {**MAMBA, "mamba_d_ssm": 128},
    "DeepseekV2": {**GROUPS, **LATENT},
    "DeepseekV3": {**GROUPS, **LATENT},
    "Glm4MoeLite": {**GROUPS, **LATENT},
    "KimiLinear": {**GROUPS, **LATENT, **STATES, "linear_head_dim": 16, "linear_num_heads": 2},
    "MiniCPM3": LATENT,
    "Mistral4": {**GROUPS, **LATENT, "rope_parameters": ROTATION},
    "Youtu": LATENT,
    "DeepseekV32": {**GROUPS, **LATENT, **INDEXER},
    "GlmMoeDsa": {**GROUPS, **LATENT, **INDEXER},
    "DiffLlama": {},
    "Doge": {},
    "JetMoe": {**EXPERTS, "kv_channels": 16},
    "MiniMax": {**EXPERTS, **STATES, "block_size": 8},
    "Bloom": {},
    "Mpt": {},
    "Mamba": {},
    "FalconMamba": {},
    "RecurrentGemma": {},
}
SLICE = ("Llama", "Phi", "GPTNeoX", "Qwen2Moe", "Gemma2", "Gemma3", "GptOss", "Gemma3n", "NemotronH", "Qwen3_5", "FalconH1") + (
    ("DeepseekV3", "KimiLinear", "DeepseekV32", "DiffLlama", "Doge", "JetMoe", "MiniMax", "Bloom", "Mamba")
)
"""What the tests try: one model of each kind."""

REFUSALS = {
    "an indexer picks rows by their number": "an indexer picks rows by their number in the text",
    "works on keys after the cache has returned": "attention works on keys behind the cache",
    "works on values after the cache has returned": "attention cuts up the values behind the cache (differential attention)",
    "masks of their own over the whole text": "makes its own masks over the whole text",
    "does not hand the cache's keys to transformers' attention": "attention repeats keys behind the cache",
    "of which transformers says that their": "does not use transformers' attention interface (ALiBi among them)",
    "uses cache of its own": "takes no cache but its own",
    "there is nothing to bound": "no layer grows with the text",
}
"""What a refusal says, and how the table puts it."""

KINDS = {
    "DynamicLayer": "rows of the whole text",
    "DynamicSlidingWindowLayer": "windows",
    "DynamicIndexedLayer": "rows with an indexer",
    "LinearAttentionLayer": "recurrent state",
    "LinearAttentionAndFullAttentionLayer": "rows and state in one layer",
    "LinearAttentionAndSlidingWindowAttentionLayer": "window and state in one layer",
    "DummyLayer": "none",
}


class Outcome(NamedTuple):
    structure: str
    """The kinds of layers that the model's cache has."""
    attention: str
    """The attention implementation."""
    outcome: str


def structure_of(config) -> str:
    try:
        layers = DynamicCache(config=config).layers
    except ValueError:
        return "a cache of its own"
    kinds = [KINDS[type(layer).__name__] for layer in layers]
    shares = ", shared between layers" if getattr(config, "num_kv_shared_layers", 0) else ""
    named = ", ".join(kind for kind in KINDS.values() if kind in kinds and kind != "none")
    return (named.replace("rows of the whole text", "compressed rows") if getattr(config, "kv_lora_rank", None) else named) + shares


def attention_for(name, changes):
    """A tiny model with one of our attention implementations, and its name."""
    try:
        return tiny_model(name, "vase_sdpa", **changes), "vase_sdpa"
    except ValueError as error:
        assert "does not support an attention implementation through torch" in str(error)
        return tiny_model(name, "vase_eager", **changes), "vase_eager"


def try_model(name) -> Outcome:
    """Makes a tiny model and runs all checks; an AssertionError says which fails. What VaseCache refuses is an outcome, too."""
    changes = MODELS[name]
    model, attention = attention_for(name, changes)
    structure = structure_of(model.config)
    try:
        nothing_evicted(model, name, changes, attention)
    except (ValueError, RuntimeError) as error:
        reasons = [words for pattern, words in REFUSALS.items() if pattern in str(error)]
        if len(reasons) != 1:
            raise
        return Outcome(structure, "-", f"refused: {reasons[0]}")
    latent = "kv_lora_rank" in vars(model.config)
    for policy in ("vase-plus", "random", "keydiff" if latent else "vase"):
        evictions(model, policy)
    states_are_left_alone(model)
    beams(model)
    return Outcome(structure, attention, "bounded" + ("; no policy with queries" if latent else "") + rotation(model))


def own_attention(attention):
    """The implementation of transformers that ours stands for."""
    return "eager" if attention == "vase_eager" else "sdpa"


def nothing_evicted(model, name, changes, attention):
    """The tokens and logits of a DynamicCache: one sequence, and three of a batch with padding."""
    plain = tiny_model(name, own_attention(attention), **changes)
    logits = {"output_logits": True, "return_dict_in_generate": True, "tokens": 12}
    for lengths in ([40], [20, 33, 7]):
        prompts = padded_prompts(lengths)
        cache = VaseCache(model.config, budget=256)
        found = generate(model, prompts, cache, **logits)
        expected = generate(plain, prompts, DynamicCache(config=plain.config), **logits)
        assert cache.statistics().evictions == 0
        assert (found.sequences == expected.sequences).all(), "other tokens than with DynamicCache"
        torch.testing.assert_close(torch.stack(found.logits), torch.stack(expected.logits), rtol=1e-3, atol=1e-3)


def evictions(model, policy):
    """A text of several budgets, one sequence and three: bounded, flat, finite, and the rows that vase.select says."""
    for lengths in ([60], [50, 17, 44]):
        cache = VaseCache(model.config, pin_prompt=0, **small(policy))
        reference = RowsByTheReference(cache)
        with reference.watching():
            found = generate(
                model, padded_prompts(lengths), cache, tokens=20, output_logits=True, return_dict_in_generate=True, **chunks(model)
            )
            size = cache.cache_bytes()
            ids = found.sequences[:, -1:]
            position_ids = torch.tensor(lengths)[:, None] + 19
            for step in range(20):  # whatever generate does about masks and positions, here it is us
                with torch.inference_mode():
                    logits = model(ids, position_ids=position_ids + step, **taking(cache)).logits
                ids = logits[:, -1:].argmax(-1)
        assert cache.cache_bytes() == size, "memory grows with the text"
        assert torch.stack(found.logits).isfinite().all() and logits.isfinite().all()
        for b, length in enumerate(lengths):
            statistics = cache.statistics(b)
            assert statistics.tokens == length + 39 and statistics.rows <= 32 and statistics.evictions >= 2
        reference.check()


def chunks(model):
    """How to read a prompt of several budgets where it must come in pieces."""
    return {"prefill_chunk_size": 8} if getattr(model.config, "num_kv_shared_layers", 0) else {}


def states_are_left_alone(model):
    """What comes before the first bounded layer has the very state that it has with a DynamicCache."""
    ids = padded_prompts([70])["input_ids"]
    caches = [VaseCache(model.config, **small("vase-plus")), DynamicCache(config=model.config)]
    with torch.inference_mode():
        for cache in caches:
            for part in ids.split(8, dim=1):
                model(part, **taking(cache))
    for ours, theirs in zip(*(cache.layers for cache in caches)):
        for states in ("conv_states", "recurrent_states"):
            for found, expected in zip(getattr(ours, states, {}).values(), getattr(theirs, states, {}).values()):
                assert found is expected is None or torch.equal(found, expected), f"other {states}"
        if ours in caches[0].bounded_layers:
            return


def beams(model):
    """Beam search: the tokens of a DynamicCache while nothing is evicted; and it runs when something is."""
    prompts = padded_prompts([20, 14])
    search = {"num_beams": 3, "tokens": 6}
    expected = generate(model, prompts, DynamicCache(config=model.config), **search)
    assert (generate(model, prompts, VaseCache(model.config, budget=256), **search) == expected).all(), "other beams"
    cache = VaseCache(model.config, **small("vase-plus"))
    generate(model, padded_prompts([31, 25]), cache, **search, **chunks(model))
    assert cache.statistics().evictions > 0


def rotation(model):
    """A token alone, far out: its key turned back is its key at position 0, in each bounded layer. Returns what the table says where
    the rotation is not known, or where positions are not in the keys."""
    if any("embed_positions" in name for name, _ in model.named_modules()):
        return "; positions are learned"
    far = 3000
    keys = []
    with warnings.catch_warnings(record=True) as said, torch.inference_mode():
        warnings.simplefilter("always")
        for position in (0, far):
            cache = VaseCache(model.config, policy="vase-plus")
            model(torch.tensor([[7]]), position_ids=torch.tensor([[position]]), **taking(cache))
            keys.append([layer.keys[0, :, :1] for layer in cache.bounded_layers])
    if any("cannot find out how the model rotates" in str(warning.message) for warning in said):
        return "; vase-plus has to be told the rotation (`rope=`)"
    for near, away, layer in zip(*keys, cache.bounded_layers):
        back = away if layer.rope is None else turned_back(away, torch.tensor([far]), layer.rope)
        torch.testing.assert_close(back.float(), near.float(), rtol=0, atol=2e-3 * float(near.abs().max()))
    return ""


def table(outcomes: dict[str, Outcome]) -> str:
    groups = defaultdict(list)
    for name, outcome in outcomes.items():
        groups[outcome].append(name)
    lines = ["| layers of the cache | models | attention | outcome |", "| --- | --- | --- | --- |"]
    for (structure, attention, outcome), names in groups.items():
        shown = attention if attention == "-" else f"`{attention}`"
        lines.append(f"| {structure} | {', '.join(names)} | {shown} | {outcome} |")
    bounded = sum(outcome.outcome.startswith("bounded") for outcome in outcomes.values())
    return "\n".join(lines) + f"\n\nOf {len(outcomes)} models: {bounded} bounded, {len(outcomes) - bounded} refused."


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", action="store_true", help="print the table of docs/python.md")
    parser.add_argument("models", nargs="*", default=list(MODELS))
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    outcomes = {}
    for name in arguments.models:
        outcomes[name] = try_model(name)
        if not arguments.table:
            print(name, *outcomes[name], sep=" | ", flush=True)
    if arguments.table:
        print(table(outcomes))


if __name__ == "__main__":
    main()
