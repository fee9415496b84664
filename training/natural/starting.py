"""An adapter that was trained before, as the peft folder that training goes on from (natural.run --start).

llama.cpp and peft keep the same two matrices, A [rank, in] and B [out, rank], and rows in the same order,
so going from one to the other (and back: export.py) changes names alone.
"""

import tempfile
from pathlib import Path

import gguf
from lora_file import read_lora
from safetensors import safe_open

from .export import NAMES, matrix_name, write_adapter

MODULES = {short: module for module, short in NAMES.items()}


def peft_name(matrix, part):
    """("blk.3.ffn_up.weight", "A") -> base_model.model.model.layers.3.mlp.up_proj.lora_A.weight"""
    _, layer, short, _ = matrix.split(".")
    return f"base_model.model.model.layers.{layer}.{MODULES[short]}.lora_{part}.weight"


def read_adapter(path):
    """A LoRA GGUF file, or a folder that peft wrote, as lora_file.read_lora has it."""
    if not path.is_dir():
        return read_lora(path)
    with tempfile.TemporaryDirectory() as folder:
        write_adapter(path, Path(folder) / "adapter.gguf")
        return read_lora(Path(folder) / "adapter.gguf")


def linear_layers(model):
    """{"blk.0.attn_q.weight": (out, in), ...} of a GGUF file or of a folder as transformers saves it."""
    if model.is_file():
        shapes = {t.name: tuple(map(int, reversed(t.shape))) for t in gguf.GGUFReader(model).tensors}
        return {
            name: shape
            for name, shape in shapes.items()
            if name.startswith("blk.") and name.endswith(".weight") and name.split(".")[2] in MODULES
        }
    layers = {}
    for path in sorted(model.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            for name in file.keys():
                if name.endswith(tuple(f"{module}.weight" for module in NAMES)):
                    shape = tuple(file.get_slice(name).get_shape())
                    layers[matrix_name(name.removesuffix(".weight"))] = shape
    return layers


def check(path, model):
    """ValueError, with what to do, if training of `model` cannot go on from the adapter at `path`."""
    try:
        pairs, _ = read_adapter(path)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} must be a LoRA adapter, a GGUF file or a folder that peft wrote: {error}") from None
    layers = linear_layers(model)
    changed = {name: (len(b), a.shape[1]) for name, (a, b) in pairs.items()}
    for name in sorted(layers.keys() | changed.keys()):
        if layers.get(name) != changed.get(name):
            raise ValueError(
                f"{path} is for another model than {model}, give it the one that it was trained on: "
                f"{name} is {layers.get(name, 'not there')}, its change {changed.get(name, 'not there')}"
            )
    ranks = {len(a) for a, _ in pairs.values()}
    if len(ranks) != 1:
        raise ValueError(f"{path} must have one rank, as natural.run's adapters do, and has {sorted(ranks)}")


def write_folder(path, out):
    """Writes the adapter at `path` (which `check` has let pass) as a peft folder, f16, over what is
    there; returns its rank."""
    import torch
    from safetensors.torch import save_file

    from .model import lora_config

    pairs, alpha = read_adapter(path)
    rank = len(next(iter(pairs.values()))[0])
    tensors = {
        peft_name(matrix, part): torch.from_numpy(values).half()
        for matrix, pair in pairs.items()
        for part, values in zip("AB", pair)
    }
    out.mkdir(exist_ok=True)
    save_file(tensors, out / "adapter_model.safetensors", metadata={"format": "pt"})
    lora_config(rank, alpha).save_pretrained(out)
    return rank
