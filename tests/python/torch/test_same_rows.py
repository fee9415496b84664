"""VaseCache and the bounded llama.cpp context keep the same rows: the same weights (SmolLM2, its first layers, as f32), f32 caches
on both sides, the same text and seed.

Draws that do not depend on scores are equal for ever. Scores differ by the rounding of two implementations of the model, so where
two rows lie that close together the choice may differ, and such a difference feeds the next one; docs/python.md has the numbers.

    VASE_SAME_ROWS_LAYERS=30 pytest -s ...  # prints them for the whole model
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from vase.hf import VaseCache

gguf = pytest.importorskip("gguf")

PROGRAM = os.environ.get("VASE_BOUNDED_ROWS", "")
CACHE = Path(os.environ.get("VASE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vase")
MODEL = CACHE / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
LAYERS = int(os.environ.get("VASE_SAME_ROWS_LAYERS", "4"))
TOKENS = int(os.environ.get("VASE_SAME_ROWS_TOKENS", "640"))
BUDGET, PROMPT, PIECE = 192, 300, 20  # budget + interval = 256 cells, llama.cpp's padding; the prompt is longer

pytestmark = [
    pytest.mark.skipif(not PROGRAM, reason="built without llama.cpp"),
    pytest.mark.skipif(not MODEL.exists(), reason="no default model: scripts/fetch-model.sh"),
]


def write_f32(source: Path, target: Path, layers: int):
    """The first layers of a GGUF model, dequantised."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = layers if field.name.endswith(".block_count") else field.contents()
        writer.add_key_value(field.name, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        if not tensor.name.startswith("blk.") or int(tensor.name.split(".")[1]) < layers:
            weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            writer.add_tensor(tensor.name, np.ascontiguousarray(weights, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "smollm2-f32.gguf"
    write_f32(MODEL, path, LAYERS)
    return path


@pytest.fixture(scope="module")
def model(model_file):
    model = transformers.AutoModelForCausalLM.from_pretrained(model_file.parent, gguf_file=model_file.name, dtype=torch.float32)
    model.set_attn_implementation("vase_sdpa")
    return model.eval()


def rows_in_llama(model_file, policy):
    """The tokens of the text, and {evictions: [layer][head] ascending positions} after the prompt and after each piece of the text
    that brought an eviction."""
    output = subprocess.run(
        [PROGRAM, str(model_file), policy, *map(str, (BUDGET, TOKENS, PROMPT, PIECE))],
        stdin=(Path(__file__).resolve().parents[3] / "docs/algorithm.md").open(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    tokens, *evictions = (json.loads(line) for line in output.splitlines())
    return tokens, dict(evictions)


def rows_in_transformers(model, policy, tokens):
    cache = VaseCache(model.config, budget=BUDGET, policy=policy)
    rows = {}
    ids = torch.tensor([tokens])
    with torch.inference_mode():
        for part in [ids[:, :PROMPT], *ids[:, PROMPT:].split(PIECE, dim=1)]:
            model(part, past_key_values=cache, logits_to_keep=1)
            evictions = cache.statistics().evictions
            if evictions not in rows:
                rows[evictions] = [np.sort(cache.positions(layer)).tolist() for layer in range(len(cache.bounded_layers))]
    return rows


# CUR projects the dimensions of a key, which llama.cpp stores in another order: its draws cannot be the same.
@pytest.mark.parametrize("policy", ["vase", "snapkv", "rkv", "random"])
def test_same_rows(model_file, model, policy):
    tokens, expected = rows_in_llama(model_file, policy)
    found = rows_in_transformers(model, policy, tokens)
    assert list(found) == list(expected) == list(range(1, 2 + (TOKENS - 257) // 64))
    differing = {
        evictions: sum(
            len(set(ours) - set(theirs))
            for mine, other in zip(found[evictions], expected[evictions])
            for ours, theirs in zip(mine, other)
        )
        for evictions in expected
    }
    total = sum(len(head) for layer in expected[1] for head in layer)
    print(f"{policy}: rows of {total} that differ after each eviction: {differing}")
    if policy == "random":
        assert not any(differing.values())
    assert differing[1] <= 0.002 * total
    assert max(differing.values()) <= 0.02 * total
