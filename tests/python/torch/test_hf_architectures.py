"""VaseCache with tiny models of many architectures (architectures.py says what is checked): each comes to what docs/python.md says.
VASE_ALL_ARCHITECTURES=1 tries all of them and compares the whole table."""

import os
import re
from pathlib import Path

import architectures
import pytest
import torch
from tiny_models import SMALL, padded_prompts, taking, tiny_model

from vase.hf import VaseCache

DOCUMENT = Path(__file__).parents[3] / "docs/python.md"
ALL = bool(os.environ.get("VASE_ALL_ARCHITECTURES"))


def documented():
    """{model: [layers of the cache, attention, outcome]} of the table."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (`vase_\w+`|-) \| ([^|]+) \|$", DOCUMENT.read_text(), re.M)
    return {name: (kinds, attention.strip("`"), outcome) for kinds, names, attention, outcome in rows for name in names.split(", ")}


@pytest.mark.parametrize("name", architectures.MODELS if ALL else architectures.SLICE)
def test_the_table_says_what_happens(name):
    assert documented()[name] == architectures.try_model(name)


def test_the_table_has_all_models():
    assert set(documented()) == set(architectures.MODELS)
    outcomes = [outcome for _, _, outcome in documented().values()]
    bounded = sum(outcome.startswith("bounded") for outcome in outcomes)
    assert f"Of {len(outcomes)} models: {bounded} bounded, {len(outcomes) - bounded} refused." in DOCUMENT.read_text()


def test_sinks_take_part_after_evictions():
    """gpt-oss' learned sinks: with one layer, evicting to the first and newest rows is plain attention under a mask."""
    changes = {**architectures.MODELS["GptOss"], "num_hidden_layers": 1, "layer_types": ["full_attention"]}
    model = tiny_model("GptOss", "vase_eager", **changes)
    ids = padded_prompts([90])["input_ids"]
    with torch.inference_mode():
        model.model.layers[0].self_attn.sinks += torch.tensor([2.0, -1.0, 3.0, 0.5])
        found = model(ids, **taking(VaseCache(model.config, policy="streaming", sinks=4, **{**SMALL, "recency": 16}))).logits
    model.set_attn_implementation("eager")
    rows: list[int] = []
    mask = torch.full((90, 90), torch.finfo(torch.float32).min)
    for token in range(90):
        if len(rows) == 32:
            rows = rows[:4] + rows[-20:]
        rows.append(token)
        mask[token, rows] = 0
    with torch.inference_mode():
        expected = model(ids, attention_mask=mask[None, None]).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_shared_rows_need_a_prompt_in_pieces():
    model = tiny_model("Gemma3n", **architectures.MODELS["Gemma3n"])
    cache = VaseCache(model.config, **SMALL)
    with pytest.raises(ValueError, match=r"40 tokens came at once.*prefill_chunk_size=8"), torch.inference_mode():
        model(padded_prompts([40])["input_ids"], **taking(cache))


def test_flash_attention_refuses_sinks():
    model = tiny_model("GptOss", "vase_fa2", **architectures.MODELS["GptOss"])
    with pytest.raises((ValueError, ImportError), match="attention sinks|flash-attn library"), torch.inference_mode():
        model(padded_prompts([6])["input_ids"], **taking(VaseCache(model.config, **SMALL)))


def test_latent_rows_take_no_policy_with_queries():
    model = tiny_model("DeepseekV3", **architectures.MODELS["DeepseekV3"])
    with pytest.raises(ValueError, match="caches compressed keys .*take a policy that looks at rows alone"), torch.inference_mode():
        model(padded_prompts([6])["input_ids"], **taking(VaseCache(model.config, policy="vase", **SMALL, window=8)))


def test_a_failed_forward_leaves_nothing_behind():
    """Keys that were handed over and never met their queries do not stop another model."""
    model = tiny_model("Llama")
    cache = VaseCache(model.config, **SMALL)
    cache.update(torch.zeros(1, 2, 4, 16), torch.zeros(1, 2, 4, 16), 0)
    with torch.inference_mode():
        assert model(padded_prompts([6])["input_ids"]).logits.isfinite().all()
