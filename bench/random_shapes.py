"""Shapes of published models, by architecture; names and metadata are those that llama.cpp's loader asks for."""

from collections.abc import Callable
from functools import partial

import gguf

from random_weights import RandomModel


def qwen3(path: str, layers: int, width: int, heads: int, kv_heads: int, dim: int, hidden: int, vocabulary: int):
    model = RandomModel(path, "qwen3", width, layers, vocabulary)
    model.heads(hidden, heads, kv_heads, dim)
    model.ones("output_norm.weight", width)
    for layer in range(layers):
        block = f"blk.{layer}."
        model.norms(block, attn=width, ffn=width, attn_q=dim, attn_k=dim)
        model.attention(block, width, heads, kv_heads, dim)
        model.feed_forward(block, width, hidden)
    model.close()


def qwen35(path: str, layers: int, width: int, heads: int, kv_heads: int, dim: int, hidden: int, vocabulary: int):
    """Gated delta nets of 16 heads of 128, and every fourth layer attends."""
    recurrent_heads, recurrent_dim, kernel, every = 16, 128, 4, 4
    inner = recurrent_heads * recurrent_dim
    model = RandomModel(path, "qwen35", width, layers, vocabulary)
    model.heads(hidden, heads, kv_heads, dim)
    model.writer.add_rope_dimension_count(dim // 4)
    model.writer.add_rope_dimension_sections([11, 11, 10, 0])
    model.writer.add_full_attention_interval(every)
    add_states(model, kernel, recurrent_dim, recurrent_heads, recurrent_heads, inner)
    model.ones("output_norm.weight", width)
    for layer in range(layers):
        block = f"blk.{layer}."
        model.norms(block, attn=width, post_attention=width)
        model.feed_forward(block, width, hidden)
        if (layer + 1) % every == 0:
            model.attention(block, width, heads, kv_heads, dim, per_query=2)  # a query and its gate
            model.norms(block, attn_q=dim, attn_k=dim)
            continue
        model.matrix(block + "attn_qkv.weight", 3 * inner, width)
        model.matrix(block + "attn_gate.weight", inner, width)
        model.ones(block + "ssm_conv1d.weight", 3 * inner, kernel)
        model.ones(block + "ssm_dt.bias", recurrent_heads)
        model.ones(block + "ssm_a", recurrent_heads)
        model.matrix(block + "ssm_beta.weight", recurrent_heads, width)
        model.matrix(block + "ssm_alpha.weight", recurrent_heads, width)
        model.ones(block + "ssm_norm.weight", recurrent_dim)
        model.matrix(block + "ssm_out.weight", width, inner)
    model.close()


def lfm2(path: str, layers: int, width: int, heads: int, kv_heads: int, hidden: int, vocabulary: int, attend: tuple[int, ...]):
    """Short convolutions, and the layers of `attend`."""
    kernel = 3
    model = RandomModel(path, "lfm2", width, layers, vocabulary)
    model.heads(hidden, heads, [kv_heads if layer in attend else 0 for layer in range(layers)])
    model.writer.add_shortconv_l_cache(kernel)
    model.ones("token_embd_norm.weight", width)
    for layer in range(layers):
        block = f"blk.{layer}."
        model.norms(block, attn=width, ffn=width)
        model.feed_forward(block, width, hidden)
        if layer in attend:
            model.attention(block, width, heads, kv_heads, width // heads)
            model.norms(block, attn_q=width // heads, attn_k=width // heads)
            continue
        model.ones(block + "shortconv.conv.weight", width, kernel)
        model.matrix(block + "shortconv.in_proj.weight", 3 * width, width)
        model.matrix(block + "shortconv.out_proj.weight", width, width)
    model.close()


def granite_hybrid(path: str, layers: int, width: int, heads: int, kv_heads: int, hidden: int, vocabulary: int, attend: tuple[int, ...]):
    """Mamba 2 with states of 128 in heads of 32, and the layers of `attend`, which do not rotate."""
    kernel, state, groups, recurrent_dim = 4, 128, 1, 32
    inner = 2 * width
    recurrent_heads = inner // recurrent_dim
    mixed = inner + 2 * groups * state
    model = RandomModel(path, "granitehybrid", width, layers, vocabulary)
    model.heads(hidden, heads, [kv_heads if layer in attend else 0 for layer in range(layers)])
    model.writer.add_rope_dimension_count(width // heads)
    model.writer.add_rope_scaling_finetuned(False)
    add_states(model, kernel, state, groups, recurrent_heads, inner)
    model.ones("output_norm.weight", width)
    for layer in range(layers):
        block = f"blk.{layer}."
        model.norms(block, attn=width, ffn=width)
        model.feed_forward(block, width, hidden)
        if layer in attend:
            model.attention(block, width, heads, kv_heads, width // heads)
            continue
        model.matrix(block + "ssm_in.weight", inner + mixed + recurrent_heads, width)
        model.ones(block + "ssm_conv1d.weight", mixed, kernel)
        model.ones(block + "ssm_conv1d.bias", mixed)
        model.ones(block + "ssm_dt.bias", recurrent_heads)
        model.ones(block + "ssm_a", recurrent_heads, 1)
        model.ones(block + "ssm_d", recurrent_heads, 1)
        model.ones(block + "ssm_norm.weight", groups, inner // groups)
        model.matrix(block + "ssm_out.weight", width, inner)
    model.close()


def add_states(model: RandomModel, kernel: int, state: int, groups: int, heads: int, inner: int):
    model.writer.add_ssm_conv_kernel(kernel)
    model.writer.add_ssm_state_size(state)
    model.writer.add_ssm_group_count(groups)
    model.writer.add_ssm_time_step_rank(heads)
    model.writer.add_ssm_inner_size(inner)


def latent(
    path: str, layers: int, architecture: str, width: int, heads: int, query_rank: int, nope: int, value: int, hidden: int,
    vocabulary: int, dense: int, experts: int, used: int, expert_hidden: int, indexer: tuple[int, int, int] | None = None,
):  # fmt: skip
    """Multi-head latent attention: one row of 512 + 64 elements for all heads. `indexer`: its heads, their size, and how many rows it picks."""
    rank, rotated = 512, 64
    model = RandomModel(path, architecture, width, layers, vocabulary)
    model.heads(hidden, heads, 1)
    model.writer.add_q_lora_rank(query_rank)
    model.writer.add_kv_lora_rank(rank)
    model.writer.add_key_length(rank + rotated)
    model.writer.add_value_length(rank)
    model.writer.add_key_length_mla(nope + rotated)
    model.writer.add_value_length_mla(value)
    model.writer.add_rope_dimension_count(rotated)
    model.writer.add_leading_dense_block_count(dense)
    model.writer.add_expert_count(experts)
    model.writer.add_expert_used_count(used)
    model.writer.add_expert_shared_count(1)
    model.writer.add_expert_feed_forward_length(expert_hidden)
    model.writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    if indexer:
        model.writer.add_indexer_head_count(indexer[0])
        model.writer.add_indexer_key_length(indexer[1])
        model.writer.add_indexer_top_k(indexer[2])
    model.ones("output_norm.weight", width)
    for layer in range(layers):
        block = f"blk.{layer}."
        model.norms(block, attn=width, ffn=width, attn_q_a=query_rank, attn_kv_a=rank)
        model.matrix(block + "attn_q_a.weight", query_rank, width)
        model.matrix(block + "attn_q_b.weight", heads * (nope + rotated), query_rank)
        model.matrix(block + "attn_kv_a_mqa.weight", rank + rotated, width)
        model.matrix(block + "attn_k_b.weight", heads, rank, nope)
        model.matrix(block + "attn_v_b.weight", heads, value, rank)
        model.matrix(block + "attn_output.weight", width, heads * value)
        if indexer:
            model.ones(block + "indexer.k_norm.weight", indexer[1])
            model.ones(block + "indexer.k_norm.bias", indexer[1])
            model.matrix(block + "indexer.proj.weight", indexer[0], width)
            model.matrix(block + "indexer.attn_k.weight", indexer[1], width)
            model.matrix(block + "indexer.attn_q_b.weight", indexer[0] * indexer[1], query_rank)
        if layer < dense:
            model.feed_forward(block, width, hidden)
            continue
        model.ones(block + "ffn_gate_inp.weight", experts, width)
        model.feed_forward(block, width, expert_hidden, "_exps", (experts,))
        model.feed_forward(block, width, expert_hidden, "_shexp")
    model.close()


# Each takes the file and a number of layers; the second is how many layers the published model has.
SHAPES: dict[str, tuple[Callable[[str, int], None], int]] = {
    "qwen3-4b": (partial(qwen3, width=2560, heads=32, kv_heads=8, dim=128, hidden=9728, vocabulary=151936), 36),
    "qwen3-14b": (partial(qwen3, width=5120, heads=40, kv_heads=8, dim=128, hidden=17408, vocabulary=151936), 40),
    "tiny": (partial(qwen3, width=256, heads=4, kv_heads=2, dim=64, hidden=512, vocabulary=512), 2),
    "qwen3.5-0.8b": (partial(qwen35, width=1024, heads=8, kv_heads=2, dim=256, hidden=3584, vocabulary=248320), 24),
    "lfm2-350m": (
        partial(lfm2, width=1024, heads=16, kv_heads=8, hidden=4608, vocabulary=65536, attend=(2, 5, 8, 10, 12, 14)), 16,
    ),
    "granite-4.0-h-350m": (
        partial(granite_hybrid, width=768, heads=12, kv_heads=4, hidden=2048, vocabulary=100352, attend=(10, 13, 17, 27)), 32,
    ),
    "glm-4.7-flash": (
        partial(latent, architecture="deepseek2", width=2048, heads=20, query_rank=768, nope=192, value=256, hidden=10240,
                vocabulary=154880, dense=1, experts=64, used=4, expert_hidden=1536), 47,
    ),
    "deepseek-v3.2": (
        partial(latent, architecture="deepseek32", width=7168, heads=128, query_rank=1536, nope=128, value=128, hidden=18432,
                vocabulary=129280, dense=3, experts=256, used=8, expert_hidden=2048, indexer=(64, 128, 2048)), 61,
    ),
}  # fmt: skip
