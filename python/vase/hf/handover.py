"""How a layer of the cache finds its attention again.

transformers hands new keys and values to the cache, and right after that the model hands what the cache returned to its attention
function. Between the two the key tensor carries a mark. Models that do something else with keys or values on the way cannot be
followed: what they attend to is not what the cache holds.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from vase.hf.layer import VaseLayer

_MARK = "_vase_handover"


class _Handover:
    """The layer that ``keys`` and ``values`` were taken by. Keeps neither of them."""

    def __init__(self, layer: VaseLayer, keys: torch.Tensor, values: torch.Tensor):
        self.layer = layer
        self.keys = weakref.ref(keys)
        self.values = weakref.ref(values)


class _Open(threading.local):
    handover: _Handover | None = None


_open = _Open()
"""What no attention function has seen yet."""


def mark(layer: VaseLayer, keys: torch.Tensor, values: torch.Tensor) -> None:
    """Says that ``layer`` waits for the queries that go with these new keys and values."""
    _open.handover = _Handover(layer, keys, values)
    setattr(keys, _MARK, _open.handover)


def layer_of(module: torch.nn.Module, key: torch.Tensor, value: torch.Tensor) -> VaseLayer | None:
    """The layer that has marked ``key``; None if an attention without a bounded layer is being computed.

    Raises ValueError if the attention module ``module`` has changed what the cache returned.
    """
    handover = getattr(key, _MARK, None)
    left_open, _open.handover = _open.handover, None
    if handover is None:
        # Keys that nobody holds any more are those of a forward that has failed.
        if left_open is None or left_open.keys() is None:
            return None
        if left_open.layer.expands:
            return left_open.layer
        raise ValueError(
            f"{type(module).__name__} works on keys after the cache has returned them; VaseCache cannot tell which rows those are, so it "
            "does not work with this model"
        )
    if handover.values() is not value:
        raise ValueError(
            f"{type(module).__name__} works on values after the cache has returned them (as differential attention does); VaseCache "
            "cannot tell which rows those are, so it does not work with this model"
        )
    layer: VaseLayer = handover.layer
    return layer
