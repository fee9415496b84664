"""The newest queries of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from vase.hf.tensors import lasting_tensors


class Rows(Protocol):
    rows: int
    tokens: int


class QueryRing:
    """The newest ``window`` queries of each sequence, [batch, query heads, window, dim] float32; the query of token t is at place
    t modulo window. A window of 0 keeps none."""

    def __init__(self, window: int):
        self.window = window
        self.ring: torch.Tensor | None = None
        """None until there are any."""

    def clear(self) -> None:
        self.ring = None

    @lasting_tensors()
    def take_sequences(self, indices: torch.Tensor) -> None:
        if self.ring is not None:
            self.ring = self.ring.index_select(0, indices)

    def append(self, query: torch.Tensor, sequences: Sequence[Rows], real: np.ndarray | None, capacity: int) -> None:
        """Must be called within lasting_tensors().

        query: [batch, query heads, new, dim], of tokens that come behind those of ``sequences``; real: bool [batch, new], False
        for padding. Only queries of the last ``window`` tokens before an eviction are ever read, which is when a sequence has
        ``capacity`` rows or more; others are not stored."""
        new = query.shape[2]
        if self.window == 0 or max(s.rows for s in sequences) + new <= capacity - self.window:
            return
        if self.ring is None:
            batch, heads, _, dim = query.shape
            self.ring = torch.zeros(batch, heads, self.window, dim, device=query.device)
        if real is None and all(s.tokens == sequences[0].tokens for s in sequences):
            columns = range(max(0, new - self.window), new)
            self.ring[:, :, self._places(sequences[0].tokens, columns)] = query[:, :, columns.start :].float()
        elif real is None and new == 1:
            each = torch.arange(len(sequences), device=query.device)
            at = torch.tensor([s.tokens % self.window for s in sequences], device=query.device)
            self.ring[each, :, at] = query[:, :, 0].float()
        else:
            for b, s in enumerate(sequences):
                taken = np.arange(new) if real is None else real[b].nonzero()[0]
                newest = taken[-self.window :]
                places = self._places(s.tokens, range(len(taken) - len(newest), len(taken)))
                self.ring[b, :, places] = query[b][:, torch.from_numpy(newest).to(query.device)].float()

    def _places(self, tokens: int, columns: range) -> slice | list[int]:
        places = [(tokens + column) % self.window for column in columns]
        wraps = places and places[-1] - places[0] != len(places) - 1
        return places if wraps or not places else slice(places[0], places[-1] + 1)

    def of(self, sequence: int, tokens: int) -> torch.Tensor | None:
        """[query heads, min(window, tokens), dim] float32, dense; None if there are none."""
        if self.ring is None:
            return None
        return self.ring[sequence, :, : min(self.window, tokens)].contiguous()
