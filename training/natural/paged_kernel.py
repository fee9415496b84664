"""Attention of one new token a row over pages of a cache, as a Triton kernel.

Rows are of any length; only what a row has is read, which is what makes a batch of unlike lengths
fast. TRITON_INTERPRET=1 runs it on a CPU, for the test.
"""

import torch
import triton
import triton.language as tl


@triton.jit
def _attend(
    query, keys, values, table, lengths, out, scale, table_stride,
    GROUP: tl.constexpr, PADDED: tl.constexpr, PAGE: tl.constexpr, WIDTH: tl.constexpr,
    HEADS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    head = tl.program_id(1)
    length = tl.load(lengths + row)
    group = tl.arange(0, PADDED)
    width = tl.arange(0, WIDTH)
    slot = tl.arange(0, PAGE)
    at = (row * HEADS * GROUP + head * GROUP + group)[:, None] * WIDTH + width[None, :]
    q = tl.load(query + at, mask=(group < GROUP)[:, None], other=0.0)
    highest = tl.full([PADDED], float("-inf"), tl.float32)
    total = tl.zeros([PADDED], tl.float32)
    mixed = tl.zeros([PADDED, WIDTH], tl.float32)
    for index in range(0, tl.cdiv(length, PAGE)):
        page = tl.load(table + row * table_stride + index).to(tl.int64)
        cells = ((page * PAGE + slot) * HEADS + head)[:, None] * WIDTH + width[None, :]
        k = tl.load(keys + cells)
        score = tl.dot(q, tl.trans(k)) * scale
        score = tl.where((index * PAGE + slot < length)[None, :], score, float("-inf"))
        new = tl.maximum(highest, tl.max(score, 1))
        part = tl.exp(score - new[:, None])
        before = tl.exp(highest - new)
        v = tl.load(values + cells)
        mixed = mixed * before[:, None] + tl.dot(part.to(v.dtype), v)
        total = total * before + tl.sum(part, 1)
        highest = new
    mixed = mixed / total[:, None]
    tl.store(out + at, mixed.to(out.dtype.element_ty), mask=(group < GROUP)[:, None])


def attend(query, keys, values, table, lengths, page, scale):
    """query [rows, query heads, width] contiguous; keys, values [cells, KV heads, width]; table [rows,
    pages] int32: which page holds a row's cells; lengths [rows] int32, each at least 1. Returns what
    query is like. The width is a power of two, at least 16."""
    rows, query_heads, width = query.shape
    heads = keys.shape[1]
    group = query_heads // heads
    out = torch.empty_like(query)
    _attend[(rows, heads)](
        query, keys, values, table, lengths, out, scale, table.stride(0),
        GROUP=group, PADDED=max(16, triton.next_power_of_2(group)), PAGE=page, WIDTH=width,
        HEADS=heads, num_warps=4, num_stages=3,
    )  # fmt: skip
    return out
