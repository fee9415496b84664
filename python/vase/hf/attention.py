"""The attention implementations through which queries reach the cache.

Two hooks of transformers meet here. The mask function, called once a forward, would build a mask over all positions of the text;
for a VaseCache it hands on only which of the new tokens are padding. The attention function, called once a layer, gets the new
queries, keys and values; a VaseLayer has marked its keys, and takes over from there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

from vase.hf import handover
from vase.hf.full_attention import full_attention
from vase.hf.visibility import Visibility


NOT_CAUSAL = torch.empty(0, dtype=torch.bool)
"""Stands for a mask that cannot be had with a VaseCache. Some models make masks that none of their layers uses, so what is refused is
its use."""


class NewTokens(int):
    """The offset that a VaseLayer gives for masks: it asks for a mask over the new tokens alone."""


def padding_of_new_tokens(
    *,
    q_length: int,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] = causal_mask_function,
    attention_mask: torch.Tensor | None = None,
    **kwargs: Any,
) -> torch.Tensor | None:
    """With a VaseCache: bool [batch, new tokens], False for padding; None if there is none; or NOT_CAUSAL. With another cache: sdpa's
    mask."""
    if not isinstance(kv_offset, NewTokens):
        return sdpa_mask(
            q_length=q_length, kv_offset=kv_offset, mask_function=mask_function, attention_mask=attention_mask, **kwargs
        )
    if mask_function is not causal_mask_function:
        return NOT_CAUSAL
    if attention_mask is None:
        return None
    new = attention_mask[:, -q_length:]
    return None if bool(new.all()) else new


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    attend: Callable[..., torch.Tensor],
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """transformers' attention interface. query: [batch, query heads, new tokens, dim]; returns [batch, new tokens, query heads,
    dim]."""
    layer = handover.layer_of(module, key, value)
    if layer is None:
        return attend_masked(module, query, key, value, attention_mask, **kwargs), None
    if attention_mask is NOT_CAUSAL:
        raise ValueError(f"VaseCache works with causal attention; {type(module).__name__} asks for another mask")
    if attention_mask is not None and attention_mask.ndim != 2:
        raise ValueError(
            f"attention_mask has {attention_mask.ndim} axes; VaseCache takes [batch, tokens] masks alone (some models, like Doge, "
            "make masks of their own over the whole text: their rows cannot be evicted)"
        )
    if kwargs.get("position_bias") is not None:
        raise ValueError(
            f"{type(module).__name__} adds a bias that goes by a row's place in the text, which says nothing about the rows "
            "that VaseCache has kept"
        )
    layer.meet(module)
    return layer.attend(query, key, value, attention_mask, partial(attend, module, kwargs), kwargs.get("scaling")), None


def attend_masked(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    **kwargs: Any,
) -> torch.Tensor:
    """torch's scaled_dot_product_attention; where it cannot do what the model asks for (soft caps, attention sinks), in full."""
    if kwargs.get("softcap") is None and kwargs.get("s_aux") is None:
        output, _ = sdpa_attention_forward(module, query, key, value, mask, **kwargs)
        return output
    return full_attention(query, key, value, mask, kwargs.get("scaling"), kwargs.get("softcap"), kwargs.get("s_aux"))


def attend_sdpa(
    module: torch.nn.Module,
    kwargs: dict[str, Any],
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    visibility: Visibility,
) -> torch.Tensor:
    return attend_masked(module, query, keys, values, visibility.mask(query.device), **kwargs)


def attend_flash(
    module: torch.nn.Module,
    kwargs: dict[str, Any],
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    visibility: Visibility,
) -> torch.Tensor:
    """The flash-attn library on the rows where they lie. It aligns the causal mask with the end of each sequence, so padding
    must be on the left."""
    try:
        from flash_attn import flash_attn_with_kvcache  # type: ignore[import-not-found]
    except ImportError as error:
        raise ImportError(
            f"the attention implementation 'vase_fa2' needs the flash-attn library ({error}): install it, or call "
            "model.set_attn_implementation('vase_sdpa')"
        ) from error
    if kwargs.get("s_aux") is not None:
        raise ValueError(
            f"{type(module).__name__} has attention sinks, which flash-attn 2 does not know: call "
            "model.set_attn_implementation('vase_eager')"
        )
    if not visibility.padding_is_left():
        raise ValueError("attention_mask has padding behind tokens; vase_fa2 takes padding on the left alone (or use vase_sdpa)")
    output: torch.Tensor = flash_attn_with_kvcache(
        query.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        cache_seqlens=visibility.rows(query.device),
        softmax_scale=kwargs.get("scaling"),
        causal=True,
        softcap=kwargs.get("softcap") or 0.0,
    )
    return output


ATTENTION: dict[str, Callable[..., torch.Tensor]] = {
    "vase_sdpa": attend_sdpa,
    # The same under a name that transformers lets models have that it keeps from sdpa.
    "vase_eager": attend_sdpa,
    # No "flash" in it: transformers looks for kernels of its own behind such names.
    "vase_fa2": attend_flash,
}


def register() -> None:
    """Makes the implementations known to transformers."""
    for name, attend in ATTENTION.items():
        AttentionInterface.register(name, partial(attention, attend=attend))
        AttentionMaskInterface.register(name, padding_of_new_tokens)
