"""Writes a peft adapter as the GGUF LoRA that llama.cpp loads.

    python -m natural.export --adapter run/adapter-3 --out models/natural-lora.gguf
"""

import argparse
import json
from pathlib import Path

import numpy as np
from lora_file import write_lora
from safetensors.torch import load_file

# llama.cpp's names of a Qwen2 layer's matrices (gguf-py, tensor_mapping). Rows keep their order.
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def matrix_name(module):
    """model.layers.3.mlp.up_proj -> blk.3.ffn_up.weight"""
    layer, rest = module.split(".layers.", 1)[1].split(".", 1)
    return f"blk.{layer}.{NAMES[rest]}.weight"


def gguf_name(name):
    """base_model.model.model.layers.3.mlp.up_proj.lora_A.weight -> blk.3.ffn_up.weight.lora_a"""
    module, part, _ = name.rsplit(".", 2)
    return f"{matrix_name(module)}.{part.lower()}"


def write_adapter(folder, out, architecture="qwen2", name="vase natural reasoner"):
    """Writes the adapter in a peft folder as f16; peft, too, multiplies B A by alpha / rank."""
    folder = Path(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = sorted(load_file(folder / "adapter_model.safetensors").items())
    halves = ((gguf_name(key), np.ascontiguousarray(tensor.half().numpy()), None) for key, tensor in tensors)
    write_lora(out, architecture, name, float(config["lora_alpha"]), halves)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--adapter", type=Path, required=True, help="folder that peft wrote")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write_adapter(args.adapter, args.out)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
