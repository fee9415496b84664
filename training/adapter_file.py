"""The adapter as a GGUF LoRA file, as llama.cpp loads it."""

from pathlib import Path

import gguf
import numpy as np
import torch

from smollm import LORA_SCALE, RANKS

# llama.cpp multiplies B A by alpha / rank.
ALPHA = 64.0


def write_adapter(path: Path, tensors: dict[str, torch.Tensor]):
    """Writes trained tensors (named as SmolLM.adapter names them) as Q8_0."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_name("vase reasoner")
    writer.add_description("LoRA adapter for SmolLM2-135M-Instruct, trained on six reasoning tasks")
    writer.add_license("apache-2.0")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for name, tensor in tensors.items():
        block, layer, part = name.rsplit(".", 2)
        values = tensor.detach().float().cpu().numpy()
        if part == "b":
            values = values * (LORA_SCALE * RANKS[layer] / ALPHA)
        kind = gguf.GGMLQuantizationType.Q8_0
        data = gguf.quants.quantize(np.ascontiguousarray(values), kind)
        writer.add_tensor(f"{block}.{layer}.weight.lora_{part}", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_adapter(path: Path) -> dict[str, torch.Tensor]:
    """Reads such a file back into trained tensors, with the rounding of the file."""
    tensors = {}
    for tensor in gguf.GGUFReader(path).tensors:
        block, layer, part = tensor.name.replace(".weight.lora_", ".").rsplit(".", 2)
        values = np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        if part == "b":
            values = values * (ALPHA / (LORA_SCALE * RANKS[layer]))
        tensors[f"{block}.{layer}.{part}"] = torch.from_numpy(values)
    return tensors
