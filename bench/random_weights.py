"""A GGUF file of random Q8_0 matrices, written tensor by tensor."""

import gguf
import numpy as np

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


class RandomModel:
    """The file and what all models have in it; what is an architecture's own, its shape adds by `writer` and the methods here."""

    def __init__(self, path: str, architecture: str, width: int, layers: int, vocabulary: int, seed: int = 0):
        self.random = np.random.default_rng(seed)
        self.layers = layers
        self.writer = gguf.GGUFWriter(path, architecture)
        self.writer.add_name("random weights")
        self.writer.add_context_length(131072)
        self.writer.add_embedding_length(width)
        self.writer.add_block_count(layers)
        self.writer.add_layer_norm_rms_eps(1e-6)
        self.writer.add_rope_freq_base(1e6)
        self.writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
        self.add_vocabulary(vocabulary)
        self.matrix("token_embd.weight", vocabulary, width)

    def add_vocabulary(self, size: int):
        self.writer.add_vocab_size(size)
        self.writer.add_tokenizer_model("gpt2")
        self.writer.add_tokenizer_pre("qwen2")
        self.writer.add_token_list([f"t{i}" for i in range(size)])
        self.writer.add_token_types([gguf.TokenType.NORMAL] * size)
        self.writer.add_token_merges(["t t"])
        self.writer.add_bos_token_id(0)
        self.writer.add_eos_token_id(1)

    def heads(self, hidden: int, queries: int, keys: int | list[int], dim: int | None = None):
        """Sizes that all architectures name alike: of the feed forward, query and KV heads (by layer where they differ), elements of a head."""
        self.writer.add_feed_forward_length(hidden)
        self.writer.add_head_count(queries)
        self.writer.add_head_count_kv(keys)
        if dim is not None:
            self.writer.add_key_length(dim)
            self.writer.add_value_length(dim)

    def matrix(self, name: str, *shape: int):
        """Of shape [..., rows, columns]."""
        values = random_q8(self.random, int(np.prod(shape[:-1])), shape[-1])
        self.writer.add_tensor(name, values.reshape(*shape[:-1], -1), raw_dtype=gguf.GGMLQuantizationType.Q8_0)

    def ones(self, name: str, *shape: int):
        """What is never quantised: norms, convolutions."""
        self.writer.add_tensor(name, np.ones(shape, np.float32))

    def norms(self, block: str, **sizes: int):
        for name, size in sizes.items():
            self.ones(f"{block}{name}_norm.weight", size)

    def attention(self, block: str, width: int, queries: int, keys: int, dim: int, per_query: int = 1):
        """Projections of as many query and KV heads. `per_query`: vectors that a query's row of weights gives."""
        self.matrix(block + "attn_q.weight", queries * dim * per_query, width)
        self.matrix(block + "attn_k.weight", keys * dim, width)
        self.matrix(block + "attn_v.weight", keys * dim, width)
        self.matrix(block + "attn_output.weight", width, queries * dim)

    def feed_forward(self, block: str, width: int, hidden: int, kind: str = "", experts: tuple[int, ...] = ()):
        """Gate, up and down. `kind`: "", "_exps" with their number in `experts`, or "_shexp"."""
        self.matrix(f"{block}ffn_gate{kind}.weight", *experts, hidden, width)
        self.matrix(f"{block}ffn_up{kind}.weight", *experts, hidden, width)
        self.matrix(f"{block}ffn_down{kind}.weight", *experts, width, hidden)

    def close(self):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
