"""Writes the trained hybrid as GGUF, as llama.cpp reads Qwen 3.5.

    python export.py --run run --tokenizer tokenizer.json --out hybrid.gguf

What differs from the file of transformers: norms are stored with their 1 added, the decay as -exp(A_log), a convolution without its
middle dimension, and the value heads of the recurrent layers so that those of one key head stand apart ("tiled", as ggml repeats keys)
instead of side by side.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from model import make_config
from vocabulary import END

ARCHITECTURE = gguf.MODEL_ARCH.QWEN35


def add_metadata(writer: gguf.GGUFWriter, config):
    value_width = config.linear_num_value_heads * config.linear_value_head_dim
    rope = config.rope_parameters
    writer.add_name("tiny hybrid")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(int(config.head_dim * rope["partial_rotary_factor"]))
    writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
    writer.add_ssm_conv_kernel(config.linear_conv_kernel_dim)
    writer.add_ssm_state_size(config.linear_key_head_dim)
    writer.add_ssm_group_count(config.linear_num_key_heads)
    writer.add_ssm_time_step_rank(config.linear_num_value_heads)
    writer.add_ssm_inner_size(value_width)
    writer.add_full_attention_interval(config.layer_types.index("full_attention") + 1)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def add_tokenizer(writer: gguf.GGUFWriter, file: Path):
    tokenizer = Tokenizer.from_file(str(file))
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    kinds = [gguf.TokenType.CONTROL if t == END else gguf.TokenType.NORMAL for t in tokens]
    merges = json.loads(file.read_text())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in merges])
    writer.add_eos_token_id(tokens.index(END))
    writer.add_add_bos_token(False)


def tiled(values: np.ndarray, config, axis: int, head: int) -> np.ndarray:
    """Value heads along an axis from [key head, value head of it] to [value head of it, key head]."""
    keys, each = config.linear_num_key_heads, config.linear_num_value_heads // config.linear_num_key_heads
    shape = values.shape
    split = values.reshape(*shape[:axis], keys, each, head, *shape[axis + 1 :])
    return np.swapaxes(split, axis, axis + 1).reshape(shape)


def converted(name: str, values: np.ndarray, config) -> tuple[str, np.ndarray]:
    """A tensor of transformers as llama.cpp has it, its name still that of transformers."""
    kind = name.rpartition("linear_attn.")[2] if "linear_attn." in name else ""
    keys = 2 * config.linear_num_key_heads * config.linear_key_head_dim
    dim = config.linear_value_head_dim
    if kind in ("in_proj_qkv.weight", "conv1d.weight"):
        values = values.squeeze(1) if kind.startswith("conv1d") else values
        values = np.concatenate([values[:keys], tiled(values[keys:], config, 0, dim)])
    elif kind == "in_proj_z.weight":
        values = tiled(values, config, 0, dim)
    elif kind in ("in_proj_a.weight", "in_proj_b.weight"):
        values = tiled(values, config, 0, 1)
    elif kind == "out_proj.weight":
        values = tiled(values, config, 1, dim)
    elif kind == "A_log":
        values = -np.exp(tiled(values, config, 0, 1))
    elif kind == "dt_bias":
        name, values = name.replace("dt_bias", "dt_proj.bias"), tiled(values, config, 0, 1)
    elif name.endswith("norm.weight") and kind != "norm.weight":
        values = values + 1
    return name, np.ascontiguousarray(values)


def write_model(weights: dict[str, np.ndarray], tokenizer: Path, out: Path):
    config = make_config()
    writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[ARCHITECTURE])
    add_metadata(writer, config)
    add_tokenizer(writer, tokenizer)
    names = gguf.get_tensor_name_map(ARCHITECTURE, config.num_hidden_layers)
    for name, values in weights.items():
        name, values = converted(name, values.astype(np.float32), config)
        # A convolution's weights are read as floats.
        half = values.ndim > 1 and "conv1d" not in name
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), values.astype(np.float16) if half else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="what train.py wrote")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write_model(load_file(args.run / "model.safetensors"), args.tokenizer, args.out)


if __name__ == "__main__":
    main()
