"""The adapter as a GGUF LoRA file, as llama.cpp loads it."""

from pathlib import Path

import gguf
import numpy as np
import torch

from lora_file import read_lora, write_lora
from smollm import LORA_SCALE, RANKS

ALPHA = 64.0  # in the file


def as_q8(tensors: dict[str, torch.Tensor]):
    """Trained tensors by their names in the file."""
    for name, tensor in tensors.items():
        block, layer, part = name.rsplit(".", 2)
        values = tensor.detach().float().cpu().numpy()
        if part == "b":
            values = values * (LORA_SCALE * RANKS[layer] / ALPHA)
        kind = gguf.GGMLQuantizationType.Q8_0
        yield f"{block}.{layer}.weight.lora_{part}", gguf.quants.quantize(np.ascontiguousarray(values), kind), kind


def write_adapter(path: Path, tensors: dict[str, torch.Tensor]):
    """Writes trained tensors (named as SmolLM.adapter names them) as Q8_0."""
    description = "LoRA adapter for SmolLM2-135M-Instruct, trained on six reasoning tasks"
    write_lora(path, "llama", "vase reasoner", ALPHA, as_q8(tensors), description)


def read_adapter(path: Path) -> dict[str, torch.Tensor]:
    """Reads such a file back into trained tensors, with the rounding of the file."""
    tensors = {}
    for name, (a, b) in read_lora(path)[0].items():
        block = name.removesuffix(".weight")
        scale = ALPHA / (LORA_SCALE * RANKS[block.rsplit(".", 1)[1]])
        tensors |= {f"{block}.a": torch.from_numpy(a), f"{block}.b": torch.from_numpy(b * scale)}
    return tensors
