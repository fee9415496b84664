"""Which layers of a transformers cache are bounded, which are left alone, and which cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedConfig, cache_utils
from transformers.cache_utils import DynamicCache, DynamicLayer

from vase.hf.latent import LatentLayer
from vase.hf.layer import VaseLayer

# What earlier releases of transformers do not have is (): no layer is one.
_STATE: Any = getattr(cache_utils, "LinearAttentionLayer", ())
_STATE_AND_ROWS: Any = getattr(cache_utils, "LinearAttentionAndFullAttentionLayer", ())
_LEFT_ALONE = tuple(
    getattr(cache_utils, name)
    for name in (
        "DynamicSlidingWindowLayer",  # holds its window, in llama 4 its chunk
        "LinearAttentionLayer",  # a state of fixed size
        "LinearAttentionAndSlidingWindowAttentionLayer",
        "DummyLayer",  # of a layer that has no rows of its own
    )
    if hasattr(cache_utils, name)
)
_REASONS = {
    "DynamicIndexedLayer": "an indexer picks rows by their number among all tokens of the text",
}
_OTHERWISE = "it holds more than the keys and values of single tokens"


def bounded_layers(config: PreTrainedConfig, make: Callable[[type[VaseLayer], dict[str, Any]], VaseLayer]) -> list[Any]:
    """The layers of a DynamicCache for ``config``, those that grow with the text replaced by ``make(class, its further arguments)``.

    Raises ValueError if one grows that cannot be bounded, or none grows.
    """
    name = type(config).__name__
    if config.is_encoder_decoder:
        raise ValueError(f"{name} is of a model with an encoder, whose caches are two; VaseCache takes decoders alone")
    decoder = config.get_text_config(decoder=True)
    latent, turned = getattr(decoder, "kv_lora_rank", None), getattr(decoder, "qk_rope_head_dim", None)
    layers: list[Any] = []
    for index, layer in enumerate(DynamicCache(config=config).layers):
        if type(layer) is DynamicLayer:
            layers.append(make(LatentLayer, {"latent": latent, "turned": turned}) if latent and turned else make(VaseLayer, {}))
        elif _STATE_AND_ROWS and type(layer) is _STATE_AND_ROWS:
            layers.append(make(StateAndRows, {"state": vars(layer)}))
        elif type(layer) in _LEFT_ALONE:
            layers.append(layer)
        else:
            kind = type(layer).__name__
            raise ValueError(f"layer {index} of {name} cannot be bounded: it is a {kind}, and {_REASONS.get(kind, _OTHERWISE)}")
    if not any(isinstance(layer, VaseLayer) for layer in layers):
        kinds = ", ".join(sorted({type(layer).__name__ for layer in layers}))
        raise ValueError(f"{name} has no full-attention layers: there is nothing to bound (its layers are: {kinds})")
    return layers


def state_of(layer: Any) -> dict[str, Any]:
    """All that a layer of a VaseCache knows of its sequences, plain values and tensors, for set_state()."""
    return layer.state() if isinstance(layer, VaseLayer) else dict(vars(layer))


def set_state(layer: Any, state: dict[str, Any]) -> None:
    """A layer becomes what state_of() saw of it, or of its like in another cache."""
    if isinstance(layer, VaseLayer):
        layer.set_state(state)
    else:
        vars(layer).update(state)


def shares_rows(decoder: PreTrainedConfig) -> bool:
    """Whether layers of the model look at the rows of others (Gemma 3n and 4)."""
    return bool(getattr(decoder, "num_kv_shared_layers", 0)) or "reuse" in (getattr(decoder, "kv_sharing_modes", None) or ())


if _STATE_AND_ROWS:

    class StateAndRows(_STATE, VaseLayer):  # type: ignore[misc]
        """A layer with attention and a recurrent state side by side (Falcon-H1, Zamba): its rows are bounded, and its state is left
        as transformers has it."""

        is_compileable = False
        is_croppable = False

        def __init__(self, *arguments: Any, state: dict[str, Any]):
            VaseLayer.__init__(self, *arguments)
            rows = vars(self).copy()
            vars(self).update(state)
            vars(self).update(rows)
            self._of_state = sorted(state.keys() - rows.keys())

        def state(self) -> dict[str, Any]:
            return {**VaseLayer.state(self), "others": {name: getattr(self, name) for name in self._of_state}}

        def set_state(self, state: dict[str, Any]) -> None:
            VaseLayer.set_state(self, state)
            vars(self).update(state["others"])

        def lazy_initialization(self, *arguments: Any, **states: Any) -> None:
            # As transformers tells them apart: rows come as two arguments, states by name.
            if arguments:
                VaseLayer.lazy_initialization(self, *arguments)
            else:
                _STATE.lazy_initialization(self, **states)

        def reset(self) -> None:
            _STATE.reset(self)
            VaseLayer.reset(self)

        def crop(self, tokens_to_remove: int) -> None:
            VaseLayer.crop(self, tokens_to_remove)

        def reorder_cache(self, beam_idx: torch.Tensor) -> None:
            _STATE.reorder_cache(self, beam_idx)
            VaseLayer.batch_select_indices(self, beam_idx)
