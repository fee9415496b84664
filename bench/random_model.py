#!/usr/bin/env python3
"""Writes a GGUF model of a known shape with random Q8_0 weights, for measuring speed and memory.

    python3 bench/random_model.py qwen3-4b model.gguf      # 4.3 GB, needs the package gguf

Speed does not depend on the weights, so any model of the shape would measure the same. The text it
writes means nothing.
"""

import argparse

import gguf
import numpy as np

# width, layers, query heads, KV heads, head dimension, feed-forward width, vocabulary
SHAPES = {
    "qwen3-4b": (2560, 36, 32, 8, 128, 9728, 151936),
    "qwen3-14b": (5120, 40, 40, 8, 128, 17408, 151936),
    "tiny": (256, 2, 4, 2, 64, 512, 512),
}
BLOCK = 32  # weights of a Q8_0 block: one f16 scale, then as many int8


def random_q8(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Rows of Q8_0 blocks, [rows, bytes], of weights with a spread of about 0.02."""
    blocks = np.empty((rows, columns // BLOCK, 2 + BLOCK), np.uint8)
    blocks[..., :2] = np.frombuffer(np.float16(0.02 / 74).tobytes(), np.uint8)
    # One random row, different in every row by a mask: drawing gigabytes would take minutes.
    row = random.integers(0, 256, (1, columns // BLOCK, BLOCK), dtype=np.uint8)
    masks = random.integers(0, 256, (rows, 1, 1), dtype=np.uint8)
    np.bitwise_xor(row, masks, out=blocks[..., 2:])
    return blocks.reshape(rows, -1)


def write_model(path: str, shape: tuple[int, ...], seed: int = 0):
    width, layers, heads, kv_heads, dim, hidden, vocabulary = shape
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("random weights")
    writer.add_context_length(131072)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"t{i}" for i in range(vocabulary)])
    writer.add_token_types([gguf.TokenType.NORMAL] * vocabulary)
    writer.add_token_merges(["t t"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)

    def matrix(name: str, rows: int, columns: int):
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, random_q8(random, rows, columns), raw_dtype=kind)

    def ones(name: str, size: int):
        writer.add_tensor(name, np.ones(size, np.float32))

    matrix("token_embd.weight", vocabulary, width)
    ones("output_norm.weight", width)
    for layer in range(layers):
        block = f"blk.{layer}."
        for name, size in (("attn", width), ("ffn", width), ("attn_q", dim), ("attn_k", dim)):
            ones(f"{block}{name}_norm.weight", size)
        matrix(block + "attn_q.weight", heads * dim, width)
        matrix(block + "attn_k.weight", kv_heads * dim, width)
        matrix(block + "attn_v.weight", kv_heads * dim, width)
        matrix(block + "attn_output.weight", width, heads * dim)
        matrix(block + "ffn_gate.weight", hidden, width)
        matrix(block + "ffn_up.weight", hidden, width)
        matrix(block + "ffn_down.weight", width, hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("file")
    parser.add_argument("--layers", type=int, help="only so many layers")
    arguments = parser.parse_args()
    shape = list(SHAPES[arguments.shape])
    if arguments.layers:
        shape[1] = arguments.layers
    write_model(arguments.file, tuple(shape))


if __name__ == "__main__":
    main()
