"""Causal attention within packed documents."""

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

_make_block_mask = torch.compile(create_block_mask)


def document_mask(documents: torch.Tensor):
    """Which token may look at which, for rows of documents [rows, tokens].

    On a GPU a mask of blocks, so that FlexAttention skips those that hold no pair of one document;
    on a CPU, where FlexAttention cannot be trained through, the whole mask written out.
    """
    rows, length = documents.shape
    if documents.device.type == "cpu":
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        return (documents[:, None, :, None] == documents[:, None, None, :]) & causal

    def same_document_before(row, head, query, key):
        return (documents[row, query] == documents[row, key]) & (query >= key)

    return _make_block_mask(
        same_document_before, rows, None, length, length, device=documents.device
    )


def attend(q, k, v, mask):
    """Mixes values; q [rows, heads, tokens, head_dim], k and v with fewer heads."""
    if isinstance(mask, BlockMask):
        return flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
