"""Writes base model and adapter as one GGUF file.

    python merge.py --base SmolLM2.gguf --adapter vase-reasoner-lora.gguf --out merged.gguf

Applied at run time, an adapter costs two thin products beside each matrix. On a CPU that is little; on
a GPU, where a small model's time goes into starting kernels, the merged file is the faster one.
"""

import argparse
import os
from pathlib import Path

import gguf
import numpy as np

from lora_file import read_lora

TYPES = {"f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
FILE_TYPES = {"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}


def copy_metadata(reader: gguf.GGUFReader, writer: gguf.GGUFWriter):
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        of_items = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=of_items)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=os.path.expanduser(
        "~/.cache/vase/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--adapter", type=Path, default=Path("models/vase-reasoner-lora.gguf"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--type", choices=TYPES, default="f16", help="of the matrices that the adapter changes; others stay as they are")
    args = parser.parse_args()

    try:
        reader = gguf.GGUFReader(args.base)
        adapter, alpha = read_lora(args.adapter)
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"{args.base} and {args.adapter} must be GGUF files, a model and a LoRA: {error}") from None
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(args.out, architecture)
    copy_metadata(reader, writer)
    writer.add_file_type(FILE_TYPES[args.type])
    merged = 0
    for tensor in reader.tensors:
        if tensor.name not in adapter:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        a, b = adapter[tensor.name]
        values = np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32)
        if values.shape != (len(b), a.shape[1]):
            raise SystemExit(f"{args.adapter} is for another model: {tensor.name} is {values.shape} here, its change {(len(b), a.shape[1])}")
        values += alpha / len(a) * (b @ a)
        merged += 1
        kind = TYPES[args.type]
        writer.add_tensor(tensor.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if merged != len(adapter):
        raise SystemExit(f"only {merged} of {len(adapter)} adapted matrices are in {args.base}")
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.0f} MB, {merged} matrices merged")


if __name__ == "__main__":
    main()
