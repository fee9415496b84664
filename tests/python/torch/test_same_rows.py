"""VaseCache and the program `vase run` keep the same rows: the same weights (SmolLM2, its first layers, as f32), f32 caches on both
sides, the same tokens and seed.

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
from tiny_models import taking

from vase.hf import VaseCache

gguf = pytest.importorskip("gguf")

PROGRAM = os.environ.get("VASE_PROGRAM", "")
CACHE = Path(os.environ.get("VASE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vase")
MODEL = CACHE / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
TEXT = Path(__file__).parent / "prompt.txt"  # a file of its own, so that its number of tokens stays
LAYERS = int(os.environ.get("VASE_SAME_ROWS_LAYERS", "4"))
BUDGET, SEED, GENERATED = 192, 7, 70  # budget + interval = 256 cells, llama.cpp's padding
# Characters of the text that make the prompt, and the evictions that prompt and answer then bring, the last of them in the answer.
FIRST, SIXTH = (700, 1), (1800, 6)

pytestmark = [
    pytest.mark.skipif(not PROGRAM, reason="built without the program"),
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


def rows_of_the_program(model_file, policy, characters, pin_prompt, path):
    """What `vase run --rows` says: its first line, and [layer][head] ascending positions."""
    options = f"--policy {policy} --budget {BUDGET} --seed {SEED} --pin-prompt {pin_prompt}"
    subprocess.run(
        [PROGRAM, "run", "-m", model_file, "-p", TEXT.read_text()[:characters], "--rows", path, *options.split()]
        + f"-n {GENERATED} --temp 0 --ignore-eos -ctk f32 -ctv f32 -t 1".split(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    run, *layers = map(json.loads, path.read_text().splitlines())
    return run, [layer["heads"] for layer in layers]


def rows_in_transformers(model, policy, tokens, pin_prompt):
    """The same tokens, the prompt in one forward and then one at a time: [layer][head] ascending positions, and the statistics."""
    # The program evicts every `interval` tokens of a prompt, too.
    cache = VaseCache(model.config, budget=BUDGET, policy=policy, seed=SEED, pin_prompt=pin_prompt, prompt_part=256 - BUDGET)
    ids = torch.tensor([tokens])
    prompt = len(tokens) - (GENERATED - 1)  # the last one is printed, but not decoded any more
    with torch.inference_mode():
        for part in [ids[:, :prompt], *ids[:, prompt:].split(1, dim=1)]:
            model(part, **taking(cache), logits_to_keep=1)
    return [np.sort(cache.positions(layer)).tolist() for layer in range(len(cache.bounded_layers))], cache.statistics()


# CUR projects the dimensions of a key, which llama.cpp stores in another order: its draws cannot be the same.
@pytest.mark.parametrize(
    ("policy", "pin_prompt", "characters", "evictions"),
    [(policy, 0, *text) for policy in ("vase", "snapkv", "rkv", "random") for text in (FIRST, SIXTH)] + [("vase", 0.5, *SIXTH)],
)
def test_same_rows(model_file, model, tmp_path, policy, pin_prompt, characters, evictions):
    run, expected = rows_of_the_program(model_file, policy, characters, pin_prompt, tmp_path / "rows.jsonl")
    found, statistics = rows_in_transformers(model, policy, run["tokens"], pin_prompt)
    assert statistics.evictions == run["evictions"] == evictions
    assert len(found) == len(expected) == LAYERS
    heads = [(set(ours), set(theirs)) for mine, other in zip(found, expected) for ours, theirs in zip(mine, other)]
    assert all(len(ours) == len(theirs) == statistics.rows for ours, theirs in heads)
    same_heads = sum(ours == theirs for ours, theirs in heads)
    differing = sum(len(ours - theirs) for ours, theirs in heads)
    total = len(heads) * statistics.rows
    print(
        f"{policy}, pinned {pin_prompt}, {evictions} evictions: {same_heads} of {len(heads)} heads the same, "
        f"{differing} of {total} rows differ"
    )
    if policy == "random":
        assert differing == 0
    assert differing <= (0.002 if evictions == 1 else 0.01) * total
    if LAYERS <= 4:  # with more, differences add up along the layers
        assert same_heads >= 0.75 * len(heads)
