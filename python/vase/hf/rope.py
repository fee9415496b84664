"""How a model rotates its keys, found out from the model itself.

The frequencies are those of the rotary embedding that the model's code defines. What the attention does with them (which elements
make a pair, whether this layer rotates at all) is seen from keys of the same hidden state at several tokens: turned back by the
right rule they are equal. What does not pass this test is not taken.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import torch

from vase.hf.tensors import lasting_tensors
from vase.rope import Rope

CHANGING = ("dynamic", "longrope")
"""Kinds of RoPE whose frequencies change as the text grows."""

TOKENS = (0, 1, 1000)
"""Where keys are compared: nearby for the fast pairs, far apart for the slow ones."""

NEAR = 0.02
"""How far, relative to their norm, equal keys may be apart in bfloat16."""


Stored = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class RopeUnknownError(Exception):
    """Says why a model's rotation could not be found out."""


@lasting_tensors()
def rope_of(attention: torch.nn.Module, like: torch.Tensor, stored: Stored, reads_text_alone: bool) -> Rope | None:
    """How ``attention``, an attention module of a transformers model, rotates its keys; None if it does not.

    like: a tensor of the type and on the device of the layer's keys; so are the frequencies. stored: what the cache keeps of
    what it is handed. reads_text_alone: the model reads no
    pictures, so that a token's position is one number.

    Raises RopeUnknownError if this cannot be found out.
    """
    config = getattr(attention, "config", None)
    if config is None:
        raise RopeUnknownError(f"{type(attention).__name__} has no configuration")
    state = torch.arange(1, config.hidden_size + 1, device=like.device).sin().to(like.dtype)
    states = state.expand(1, len(TOKENS), -1)
    if not _takes(attention, "position_embeddings") and _equal(_keys(attention, states, None, stored)):
        return None
    embedding, layer_type = _rotary_embedding(attention, config, reads_text_alone)
    prefix = f"{layer_type}_" if layer_type else ""
    frequencies = getattr(embedding, f"{prefix}inv_freq", None)
    if frequencies is None:
        raise RopeUnknownError(f"{type(embedding).__name__} has no {prefix}inv_freq")
    frequencies = frequencies.to(like.device, torch.float32)
    tokens = torch.tensor(TOKENS, device=like.device)
    angles = _asked(embedding.to(like.device), states, tokens[None], **({"layer_type": layer_type} if layer_type else {}))
    keys = _keys(attention, states, angles, stored)
    if _equal(keys) or getattr(config, "position_embedding_type", "rope") != "rope":
        return None
    if _rotation_is_optional(attention, states, stored) and not hasattr(config, "position_embedding_type"):
        raise RopeUnknownError(f"{type(attention).__name__} leaves it to the model which layers are rotated")
    for stride in (len(frequencies), 1):
        for way in (1, -1):  # nanochat turns keys the other way
            rope = Rope(way * frequencies, stride)
            if 2 * len(frequencies) <= keys.shape[-1] and _equal(turned_back(keys, tokens, rope)):
                return rope
    raise RopeUnknownError(f"{type(attention).__name__} pairs elements of a key in a way that is not known here")


def turned_back(keys: torch.Tensor, tokens: torch.Tensor, rope: Rope) -> torch.Tensor:
    """Keys before their rotation, in float64. keys: [..., rows, dim]; tokens: [rows], the token of each row."""
    angles = tokens[:, None].double() * rope.frequencies.double()
    first = torch.arange(len(rope.frequencies), device=keys.device) * (2 if rope.stride == 1 else 1)
    second = first + rope.stride
    turned = keys.double()
    a, b = turned[..., first], turned[..., second]
    turned[..., first] = a * angles.cos() + b * angles.sin()
    turned[..., second] = b * angles.cos() - a * angles.sin()
    return turned


def _rotary_embedding(attention: torch.nn.Module, config: Any, reads_text_alone: bool) -> tuple[Any, str | None]:
    """The rotary embedding that goes with ``attention``, and the layer type by which it must be asked, if it has several."""
    code = sys.modules[type(attention).__module__]
    classes = [
        value
        for name, value in vars(code).items()
        if name.endswith("RotaryEmbedding") and "Vision" not in name and isinstance(value, type)
    ]
    if len(classes) != 1:
        raise RopeUnknownError(f"{code.__name__} has {len(classes)} rotary embeddings")
    embedding = _asked(classes[0], config)
    kind = getattr(embedding, "rope_type", "default")
    parameters = getattr(config, "rope_parameters", None) or {}
    layer_type = None
    if isinstance(kind, dict):
        layer_type = config.layer_types[attention.layer_idx]
        kind, parameters = kind.get(layer_type), parameters.get(layer_type) or {}
    if kind in CHANGING:
        raise RopeUnknownError(f"its frequencies change as the text grows (RoPE of type {kind!r})")
    if "mrope_section" in parameters and not reads_text_alone:
        raise RopeUnknownError("tokens of pictures have positions of their own (multimodal RoPE)")
    return embedding, layer_type


class _KeysSeen(Exception):  # noqa: N818  # no error
    def __init__(self, keys: torch.Tensor):
        self.keys = keys


class _KeyCatcher:
    """Takes the place of a cache and ends the attention as soon as it hands over its keys."""

    def __init__(self, stored: Stored):
        self._stored = stored

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> NoReturn:
        raise _KeysSeen(self._stored(key_states, value_states)[0])

    def get_seq_length(self, *args: Any) -> int:
        return 0


def _keys(attention: Any, states: torch.Tensor, angles: Any, stored: Stored) -> torch.Tensor:
    """[1, KV heads, tokens, dim]: what ``attention`` would put into the cache."""
    arguments = {
        "hidden_states": states,
        "position_embeddings": angles,
        "position_ids": torch.tensor([TOKENS], device=states.device),
        "attention_mask": None,
        "shared_kv_states": {},  # Gemma 4's place for keys that several layers read
        # The cache, as newer releases of transformers call it, older ones, and GPT-NeoX.
        "cache": (catcher := _KeyCatcher(stored)),
        "past_key_values": catcher,
        "layer_past": catcher,
    }
    named = [name for name in arguments if _takes(attention, name)]
    if "cache" in named and "past_key_values" in named:
        named.remove("past_key_values")
    try:
        # forward itself: hooks are for what the user runs.
        _asked(attention.forward, **{name: arguments[name] for name in named})
    except _KeysSeen as seen:
        return seen.keys
    raise RopeUnknownError(f"{type(attention).__name__} hands no keys to the cache")


def _takes(attention: Any, name: str) -> bool:
    return name in inspect.signature(attention.forward).parameters


def _rotation_is_optional(attention: torch.nn.Module, states: torch.Tensor, stored: Stored) -> bool:
    try:
        _keys(attention, states, None, stored)
    except RopeUnknownError:
        return False
    return True


def _asked(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls a function of the model, which may be of any make."""
    try:
        return function(*args, **kwargs)
    except _KeysSeen:
        raise
    except Exception as error:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise RopeUnknownError(f"{name} takes other arguments than usual ({error})") from error


def _equal(keys: torch.Tensor) -> bool:
    """Whether a head's rows are all the same. keys: [..., rows, dim]."""
    keys = keys.double()
    return bool((keys - keys[..., :1, :]).norm() <= NEAR * keys.norm())
