"""A VaseCache as bytes, and back."""

import os
import subprocess
import sys

import pytest
import torch
from architectures import MODELS, attention_for
from test_hf_cache import calibration_of
from tiny_models import EVICTIONS, generate, padded_prompts, small, taking, tiny_model

from vase.hf import VaseCache


def goes_on_alike(model, cache, other, batch=1, tokens=40):
    """Both read the same further tokens, and say the same to the last bit."""
    ids = torch.randint(3, 256, (batch, tokens), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        for token in ids.split(1, dim=1):
            said = [model(token, **taking(one)).logits for one in (cache, other)]
            assert torch.equal(*said)
    for layer in range(len(cache.bounded_layers)):
        assert (cache.positions(layer) == other.positions(layer)).all()
    assert cache.statistics() == other.statistics()


@pytest.mark.parametrize("policy", ["vase-plus", "vase", "vase-cur", "h2o", "random", "rkv", "full"])
@pytest.mark.parametrize("lengths", [(20,), (60, 33)])
def test_goes_on_to_the_bit(policy, lengths):
    model = tiny_model("Llama")
    options = {"policy": policy, "budget": 24} if policy == "full" else small(policy)
    cache, other = (VaseCache(model.config, **options) for _ in range(2))
    generate(model, padded_prompts(list(lengths)), cache, tokens=25)
    generate(model, padded_prompts([30]), other, tokens=3)
    data = cache.save()
    other.restore(data)
    assert other.save() == data
    goes_on_alike(model, cache, other, batch=len(lengths))


@pytest.mark.parametrize("name", ["Gemma3", "GptOss", "Qwen3_5", "NemotronH", "FalconH1", "DeepseekV3"])
def test_layers_of_all_kinds(name):
    """Windows, states, states beside rows, compressed rows."""
    model, _ = attention_for(name, MODELS[name])
    cache, other = (VaseCache(model.config, policy="vase-plus", **EVICTIONS) for _ in range(2))
    ids = padded_prompts([50])["input_ids"]
    with torch.no_grad():
        model(ids, **taking(cache))
    other.restore(cache.save())
    goes_on_alike(model, cache, other)


def test_another_process_goes_on(tmp_path):
    model = tiny_model("Qwen3")
    cache = VaseCache(model.config, **small("random"), seed=5, draw_streams=[3])
    generate(model, padded_prompts([60]), cache, tokens=10)
    (tmp_path / "cache").write_bytes(cache.save())
    code = """
import sys, torch
from tiny_models import small, taking, tiny_model
from vase.hf import VaseCache
torch.set_num_threads(1)
model = tiny_model("Qwen3")
cache = VaseCache(model.config, **small("random"), seed=5, draw_streams=[3])
cache.restore(open(sys.argv[1], "rb").read())
with torch.no_grad():
    for token in range(5, 25):
        logits = model(torch.tensor([[token]]), **taking(cache)).logits
print(cache.positions(0).tolist(), logits.sum().item().hex())
"""
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "cache"], capture_output=True, text=True, timeout=300, env=paths)
    assert run.returncode == 0, run.stderr
    with torch.no_grad():
        for token in range(5, 25):
            logits = model(torch.tensor([[token]]), **taking(cache)).logits
    assert run.stdout.strip() == f"{cache.positions(0).tolist()} {logits.sum().item().hex()}"


def test_nothing_is_small_and_comes_back():
    config = tiny_model("Llama").config
    cache, other = VaseCache(config, **small("vase")), VaseCache(config, **small("vase"))
    generate(tiny_model("Llama"), padded_prompts([60]), other, tokens=2)
    other.restore(cache.save())
    assert other.get_seq_length() == 0 and len(cache.save()) < 4096


def test_what_does_not_fit_is_refused_in_words(tmp_path):
    model = tiny_model("Llama")
    cache = VaseCache(model.config, **small("vase"))
    generate(model, padded_prompts([60]), cache, tokens=10)
    data, kept = cache.save(), cache.positions(1).copy()
    flipped = bytearray(data)
    flipped[-9] ^= 4
    calibration_of(model.config, tmp_path / "calibration.gguf")

    def refused(into, bytes_, words):
        with pytest.raises(ValueError, match=words) as error:
            into.restore(bytes_)
        assert "\n" not in str(error.value)

    refused(cache, bytes(flipped), "is damaged")
    refused(cache, data[:-8], "is cut off")
    refused(cache, b"GGUF" + data[4:], "not a saved VaseCache")
    refused(cache, data[:8] + b"\x63" + data[9:], "of version 99, and this is version 1")
    for options, words in (
        ({**small("vase"), "budget": 32}, "has budget 24, and this one has 32"),
        (small("random"), "has policy 'vase', and this one has 'random'"),
        ({**small("vase"), "seed": 3}, "has seed 0, and this one has 3"),
        ({**small("vase"), "draw_streams": [2]}, "has draw_streams None"),
        ({**small("triattention"), "calibration": tmp_path / "calibration.gguf"}, "has policy 'vase'"),
    ):
        refused(VaseCache(model.config, **options), data, words)
    refused(VaseCache(tiny_model("Llama", num_hidden_layers=2).config, **small("vase")), data, "num_hidden_layers 3, and this one has 2")
    refused(VaseCache(tiny_model("Qwen3").config, **small("vase")), data, "model_type 'llama', and this one has 'qwen3'")
    assert (cache.positions(1) == kept).all()
