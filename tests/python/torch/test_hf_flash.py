"""The attention implementation "vase_fa2". The flash-attn library needs a GPU; where it is not there, a slow stand-in with its
documented meaning takes its place, so that what we hand over is checked."""

import sys
import types

import pytest
import torch
from tiny_models import SMALL, generate, padded_prompts, small, taking, tiny_model

from vase.hf import VaseCache


def flash_attn_with_kvcache(q, k_cache, v_cache, cache_seqlens, softmax_scale, causal, softcap):
    """q: [batch, new, query heads, dim]; caches: [batch, rows, KV heads, dim]; cache_seqlens: int32 [batch]. The causal mask is
    aligned with the end of each sequence; a query that sees nothing gives zeros."""
    assert causal and cache_seqlens.dtype == torch.int32
    assert q.stride(-1) == k_cache.stride(-1) == v_cache.stride(-1) == 1
    output = torch.zeros_like(q)
    for b, rows in enumerate(cache_seqlens.tolist()):
        for i in range(q.shape[1]):
            visible = rows - (q.shape[1] - 1 - i)
            if visible <= 0:
                continue
            groups = q.shape[2] // k_cache.shape[2]
            keys, values = (c[b, :visible].repeat_interleave(groups, dim=1) for c in (k_cache, v_cache))
            logits = torch.einsum("hd,nhd->hn", q[b, i], keys) * softmax_scale
            weights = (softcap * (logits / softcap).tanh() if softcap else logits).softmax(-1)
            output[b, i] = torch.einsum("hn,nhd->hd", weights, values)
    return output


@pytest.fixture
def flash_attn(monkeypatch):
    library = types.ModuleType("flash_attn")
    library.flash_attn_with_kvcache = flash_attn_with_kvcache
    monkeypatch.setitem(sys.modules, "flash_attn", library)


@pytest.mark.parametrize("lengths", [[40], [12, 40, 25]])
@pytest.mark.parametrize("options", [{"budget": 512}, small("vase"), small("vase-plus")], ids=["without evictions", "vase", "vase-plus"])
def test_output_and_rows_are_those_of_sdpa(flash_attn, lengths, options):
    prompts = padded_prompts(lengths)
    model = tiny_model("Llama")
    sdpa = VaseCache(model.config, **options)
    expected = generate(model, prompts, sdpa, tokens=20)
    model.set_attn_implementation("vase_fa2")
    flash = VaseCache(model.config, **options)
    assert (generate(model, prompts, flash, tokens=20) == expected).all()
    for b in range(len(lengths)):
        assert all((flash.positions(layer, b) == sdpa.positions(layer, b)).all() for layer in range(3))


def test_padding_behind_tokens_is_refused(flash_attn):
    model = tiny_model("Llama", "vase_fa2")
    ids = padded_prompts([6])["input_ids"]
    mask = torch.ones_like(ids)
    mask[0, -2:] = 0
    with pytest.raises(ValueError, match="attention_mask has padding behind tokens"), torch.inference_mode():
        model(ids, attention_mask=mask, **taking(VaseCache(model.config, **SMALL)))


def test_without_the_library_the_message_names_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_attn", None)  # as if it were not installed
    model = tiny_model("Llama", "vase_fa2")
    with pytest.raises(ImportError, match="'vase_fa2' needs the flash-attn library.*vase_sdpa"):
        generate(model, padded_prompts([6]), VaseCache(model.config, **SMALL))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_library_itself():
    pytest.importorskip("flash_attn")
    prompts = {name: tensor.cuda() for name, tensor in padded_prompts([12, 40, 25]).items()}
    model = tiny_model("Llama").to("cuda", torch.bfloat16)
    expected = generate(model, prompts, VaseCache(model.config, budget=512), tokens=4)
    model.set_attn_implementation("vase_fa2")
    assert (generate(model, prompts, VaseCache(model.config, budget=512), tokens=4) == expected).all()
