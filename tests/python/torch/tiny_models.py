"""Random models of a few thousand parameters, one for each attention that VaseCache is made for."""

import inspect

import torch
import transformers

import vase

SHAPE = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 4096,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "pad_token_id": 0,
    "eos_token_id": None,
}
ARCHITECTURES = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {},
    "Gemma": {},
    "Mistral": {"sliding_window": None},
}
CACHE_ARGUMENT = (
    "cache" if "cache" in inspect.signature(transformers.LlamaForCausalLM.forward).parameters else "past_key_values"
)
EVICTIONS = {"budget": 24, "recency": 8, "interval": 8}
SMALL = {**EVICTIONS, "prompt_part": 8}


def small(policy):
    """Options of a small cache under this policy; a short window where the policy looks at one."""
    looks_at_queries = vase.parameters(policy, **EVICTIONS)["needs_queries"]
    return {**SMALL, "policy": policy, **({"window": 8} if looks_at_queries else {})}


def tiny_model(name, attention="vase_sdpa", **changes):
    """A random model of architecture ``name``; always the same one."""
    model_class = getattr(transformers, f"{name}ForCausalLM")
    config = model_class.config_class(**{**SHAPE, **ARCHITECTURES.get(name, {}), **changes})
    torch.manual_seed(1)
    model = model_class(config).eval()
    model.set_attn_implementation(attention)
    return model


def padded_prompts(lengths, seed=0):
    """Random prompts of these lengths, padded on the left: input_ids and attention_mask."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    ids = torch.randint(3, 256, (len(lengths), longest), generator=generator)
    mask = torch.arange(longest) >= longest - torch.tensor(lengths)[:, None]
    return {"input_ids": ids * mask, "attention_mask": mask.long()}


def taking(cache):
    """The argument that gives a transformers model its cache: past_key_values, which newer releases call cache."""
    return {CACHE_ARGUMENT: cache}


def generate(model, prompts, cache=None, tokens=40, **options):
    return model.generate(**prompts, **taking(cache), max_new_tokens=tokens, do_sample=False, **options)
