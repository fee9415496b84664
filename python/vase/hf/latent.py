"""Layers with multi-head latent attention (arXiv 2405.04434).

What the model caches of a token is one compressed row for all heads and, apart, the few elements that RoPE turned. It expands both
to keys and values of each head behind the cache, token by token, and attends to those. So the cache returns what it holds and what
is new, and finds the rows that it has kept again in what the model has made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from vase.hf.layer import VaseLayer
from vase.hf.tensors import lasting_tensors
from vase.hf.visibility import Visibility


class LatentLayer(VaseLayer):
    """Rows of one layer of a model with latent attention. A row of ``keys`` is [turned elements, compressed row], [batch, 1, rows,
    turned + latent]; ``values`` are its compressed part, in the same memory.

    Releases of transformers that cache keys and values of each head get a plain VaseLayer of it.
    """

    def __init__(self, *arguments: Any, latent: int, turned: int):
        """latent, turned: elements of a token's compressed row, and of what RoPE turns."""
        self._values: torch.Tensor | None = None
        self._turned = 0  # of the rows held; 0 while they are plain
        self._dims = latent, turned
        self._new: tuple[torch.Tensor, torch.Tensor] | None = None
        super().__init__(*arguments)

    @property
    def values(self) -> torch.Tensor:  # type: ignore[override]
        return self.keys[..., self._turned :] if self._turned and self.keys is not None else self._values  # type: ignore[return-value]

    @values.setter
    def values(self, values: torch.Tensor) -> None:
        self._values = None if self._turned else values

    @property
    def expands(self) -> bool:
        """The model works on what update() returns before it attends to it."""
        return self._turned > 0

    def stored(self, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (torch.cat([value, key], dim=-1), key) if self.expands else (key, value)

    @lasting_tensors()
    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        if key_states.shape[1] == 1 and (key_states.shape[3], value_states.shape[3]) == self._dims:
            if self.queries.window > 0 or self.calibration is not None:
                raise ValueError(
                    "the policy scores rows by queries, but this model caches compressed keys (multi-head latent attention), which no "
                    "query meets: take a policy that looks at rows alone, as vase-plus does"
                )
            self._turned = value_states.shape[3]
        super().lazy_initialization(*self.stored(key_states, value_states))

    def _shown(self, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.expands:
            return key, value
        self._new = self.stored(key, value)
        held = max(s.rows for s in self.sequences)
        latents, turned = self.values[:, :, :held], self.keys[:, :, :held, : self._turned]
        return torch.cat([latents, key], dim=2), torch.cat([turned, value], dim=2)

    def state(self) -> dict[str, Any]:
        known = super().state()
        if self.expands:
            known["values"] = None  # are part of the keys
        return {**known, "turned": self._turned}

    def set_state(self, state: dict[str, Any]) -> None:
        self._turned, self._new = state["turned"], None
        super().set_state(state)

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        padding: torch.Tensor | None,
        attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Visibility], torch.Tensor],
        scaling: float | None,
    ) -> torch.Tensor:
        """As VaseLayer.attend(), but key and value, [batch, heads, rows that update() returned, dim], are what the model has made of
        those rows."""
        if self._new is None:
            return super().attend(query, key, value, padding, attend, scaling)
        (new_key, new_value), self._new = self._new, None
        expanded = _Expanded(self, key, value, query.shape[2], padding)

        def attend_to_expanded(query: torch.Tensor, _k: torch.Tensor, _v: torch.Tensor, visibility: Visibility) -> torch.Tensor:
            return attend(query, *expanded.rows(), visibility)

        return super().attend(query, new_key, new_value, padding, attend_to_expanded, scaling)


class _Expanded:
    """Where the rows that a layer holds stand in what the model has made of them: first those that the layer held, then the new
    tokens."""

    def __init__(self, layer: LatentLayer, key: torch.Tensor, value: torch.Tensor, new: int, padding: torch.Tensor | None):
        self._layer = layer
        self._key, self._value = key, value
        self._held = key.shape[2] - new
        self._before = [layer.settle_positions(b)[0, : s.rows].clone() for b, s in enumerate(layer.sequences)]
        self._tokens = [s.tokens for s in layer.sequences]
        self._evictions = [s.evictions for s in layer.sequences]
        every = torch.arange(new, device=key.device)
        self._new = [every if padding is None else padding[b].nonzero()[:, 0].to(key.device) for b in range(key.shape[0])]
        self._in_order = padding is None and all(s.rows == self._held for s in layer.sequences)

    def rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, [batch, heads, most rows, dim], of the rows that the layer's sequences hold now."""
        sequences = self._layer.sequences
        most = max(1, max(s.rows for s in sequences))
        if self._in_order and [s.evictions for s in sequences] == self._evictions:
            return self._key[:, :, :most], self._value[:, :, :most]
        columns = torch.stack([torch.nn.functional.pad(c := self._columns(b), (0, most - len(c))) for b in range(len(sequences))])

        def taken(rows: torch.Tensor) -> torch.Tensor:
            return rows.gather(2, columns[:, None, :, None].expand(-1, rows.shape[1], -1, rows.shape[3]))

        return taken(self._key), taken(self._value)

    def _columns(self, b: int) -> torch.Tensor:
        """[rows]: where each row of sequence b stands."""
        s, before = self._layer.sequences[b], self._before[b]
        tokens = self._layer.settle_positions(b)[0, : s.rows].long()
        is_new = tokens >= self._tokens[b]
        columns = torch.zeros_like(tokens)
        columns[is_new] = self._held + self._new[b][tokens[is_new] - self._tokens[b]]
        in_order, order = before.long().sort()
        columns[~is_new] = order[torch.searchsorted(in_order, tokens[~is_new])]
        return columns
