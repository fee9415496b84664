"""The keyword arguments that the package's functions share."""

from __future__ import annotations

from typing import Literal, TypedDict


class PolicyOptions(TypedDict, total=False):
    """Parameters of an eviction besides policy and budget. Counts of rows are per KV head; what is left out has the policy's
    default (docs/algorithm.md). Options that the policy does not look at are refused."""

    recency: int
    """Newest rows, always kept (the policy's own: vase.parameters())."""
    interval: int
    """An eviction is due at budget + interval rows (the policy's own); only a cache looks at it."""
    window: int
    """Newest queries that score the rows (64); only a cache looks at it."""
    sinks: int
    """First tokens of the sequence, always kept (4)."""
    protect: int | Literal["auto"]
    """Rows protected for their value range, sinks included (budget / 4). "auto": all but those whose range is clearly narrow,
    found anew for each layer and head, between budget / 32 and 7/8 of the budget."""
    pooling: int
    """Width of the average pooling of attention weights, odd (5)."""
    projections: int
    """Columns of CUR's Gaussian projection (20)."""
    resample: bool
    """CUR: draw a new projection at each eviction (True)."""
    temperature: float
    """Divides the attention logits (1)."""
    lambda_: float
    """R-KV: attention against redundancy (0.5)."""
    seed: int
    """With sequence, eviction, layer, head and token position decides every draw (0)."""


class LayerOptions(PolicyOptions, total=False):
    """What select() and scores() take besides: where the layer stands."""

    scale: float
    """Scale of the attention logits (1 / sqrt(dim))."""
    prompt: int | tuple[int, int]
    """Rows of token positions 0 .. prompt - 1, or begin .. end - 1, are always kept (0)."""
    sequence: int
    """Names the draw: which sequence (0)."""
    eviction: int
    """Names the draw: how many evictions the sequence has had (0)."""
    layer: int
    """Names the draw: which layer (0)."""
