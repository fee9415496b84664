"""A LoRA adapter as the GGUF file that llama.cpp loads."""

from collections.abc import Iterable
from pathlib import Path

import gguf
import numpy as np

Tensor = tuple[str, np.ndarray, gguf.GGMLQuantizationType | None]


def write_lora(path: Path, architecture: str, name: str, alpha: float, tensors: Iterable[Tensor], description: str = ""):
    """`tensors`: llama.cpp's names ("blk.0.attn_q.weight.lora_a", lora_b), values, and their type if they are quantised.
    llama.cpp multiplies B A by alpha / rank."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_name(name)
    if description:
        writer.add_description(description)
    writer.add_license("apache-2.0")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for tensor, values, kind in tensors:
        writer.add_tensor(tensor, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_lora(path: Path) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], float]:
    """(A [rank, in], B [out, rank]) by the matrix that they change, and alpha: W + alpha / rank B A.
    ValueError: the file is no GGUF, or no adapter."""
    reader = gguf.GGUFReader(path)
    alpha = reader.fields.get("adapter.lora.alpha")
    if alpha is None:  # a model, say, which would fill the memory with its values
        raise ValueError(f"{path} has no adapter.lora.alpha, as a LoRA adapter has")
    values = {t.name: np.array(gguf.quants.dequantize(t.data, t.tensor_type), np.float32) for t in reader.tensors}
    pairs = {
        name.removesuffix(".lora_a"): (a, values[name.removesuffix("a") + "b"])
        for name, a in values.items()
        if name.endswith(".lora_a")
    }
    return pairs, float(alpha.contents())
