"""Attention in full, for what torch's scaled_dot_product_attention does not know."""

from __future__ import annotations

import torch

MOST_LOGITS = 2**27
"""Logits held at once; more queries take turns."""


def full_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Attention with soft-capped logits (Gemma 2, arXiv 2408.00118) and attention sinks (gpt-oss: a learned logit a head that takes
    part in the softmax and adds nothing).

    query: [batch, query heads, new, dim]; key, value: [batch, KV heads, rows, dim]. mask: bool, True where a query sees a row, or
    what is added to the logits, [batch or 1, 1, new, rows]; None: a lone query sees all rows, query i of several the first i + 1.
    scaling: of the logits, None for 1 / sqrt(dim). sinks: [query heads]. Returns [batch, new, query heads, dim].
    """
    batch, heads, new, dim = query.shape
    kv_heads, rows = key.shape[1:3]
    if mask is None and new > 1:
        mask = torch.ones(1, 1, new, rows, dtype=torch.bool, device=query.device).tril()
    scaling = dim**-0.5 if scaling is None else scaling
    groups = query.unflatten(1, (kv_heads, heads // kv_heads))
    at_once = max(1, MOST_LOGITS // (batch * heads * rows))
    outputs = []
    for begin in range(0, new, at_once):
        logits = torch.matmul(groups[:, :, :, begin : begin + at_once], key[:, :, None].transpose(-1, -2)).float() * scaling
        if softcap is not None:
            logits = (logits / softcap).tanh() * softcap
        if mask is not None:
            part = mask[:, :, None, begin : begin + at_once]
            logits = logits.masked_fill(~part, torch.finfo(torch.float32).min) if part.dtype == torch.bool else logits + part
        if sinks is not None:
            extra = sinks.float().view(1, kv_heads, -1, 1, 1).expand(*logits.shape[:-1], 1)
            weights = torch.cat([logits, extra], dim=-1).softmax(-1)[..., :-1]
        else:
            weights = logits.softmax(-1)
        outputs.append(torch.matmul(weights.to(value.dtype), value[:, :, None]))
    output = torch.cat(outputs, dim=3).flatten(1, 2)
    return output.transpose(1, 2).contiguous()
