"""The bounded rows of one layer of a transformers model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers.cache_utils import CacheLayerMixin

from vase import _vase
from vase.hf import handover
from vase.hf.attention import NewTokens
from vase.hf.query_ring import QueryRing
from vase.hf.tensors import lasting_tensors
from vase.hf.visibility import Visibility
from vase.rope import Rope

class Room(NamedTuple):
    """How many rows a head may hold."""

    budget: int
    """After an eviction."""
    capacity: int
    """Between two forwards."""
    prompt: int
    """While tokens that came together are read, in one layer after the other; at least ``capacity``."""


EvictDue = Callable[["VaseLayer", Sequence[int]], None]
FindRope = Callable[[torch.nn.Module, "VaseLayer"], Rope | None]


class SequenceRows:
    """Bookkeeping of one sequence in one layer."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows that each head holds."""
        self.tokens = 0
        """Tokens seen, padding not counted."""
        self.evictions = 0
        self.prompt_end = 0
        """Tokens that are the prompt: those before the first that came alone, unless the cache is told otherwise."""
        self.reads_prompt = True
        """No token has come alone yet, but for a first one."""
        self.settled = 0
        """Rows, the first ones, whose positions are written down; those behind them are the newest tokens, in order."""

    def copy(self) -> SequenceRows:
        return SequenceRows.from_values(vars(self))

    @staticmethod
    def from_values(values: dict[str, Any]) -> SequenceRows:
        """One whose ``vars()`` are these."""
        rows = SequenceRows()
        vars(rows).update(values)
        return rows


class VaseLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """Rows of one layer, at most ``room.capacity`` per head and sequence (no bound if ``room`` is None).

    Sequence b holds its rows in keys[b, :, :rows] and values[b, :, :rows], both [batch, KV heads, rows, dim]; padding gets none.
    Which token a row stands for is in positions[b], [KV heads, rows]; what a policy that sums up has found of it so far in sums[b]. When a sequence is full and another token comes,
    ``evict_due(layer, sequences)`` must leave it ``room.budget`` rows. ``find_rope(attention module, layer)``, if it is given, says how the
    model rotates the layer's keys.

    New tokens pass in two steps, as transformers has it: update() marks the keys, and attend(), called by the attention function,
    stores them and attends. What is longer than the room is taken in parts with evictions between them, and another at the end if
    more rows than the capacity are left then.
    """

    is_sliding = False
    is_croppable = False
    expands = False
    # There from lazy_initialization() to reset().
    keys: torch.Tensor
    values: torch.Tensor
    positions: torch.Tensor
    sums: torch.Tensor

    def __init__(self, room: Room | None, window: int, evict_due: EvictDue, find_rope: FindRope | None = None):
        super().__init__()  # type: ignore[no-untyped-call]
        self.room = room
        self.scaling: float | None = None
        self.sequences: list[SequenceRows] = []
        self.queries = QueryRing(window)
        self.rope: Rope | None = None
        self.calibration: torch.Tensor | None = None
        """What was measured of the layer's queries, [query heads, 3, dim / 2] float32, for policies that need it."""
        self._evict_due = evict_due
        self._find_rope = find_rope  # until it has been asked
        self._seen = 0  # columns of tokens, padding included
        self._waiting = False
        self._is_shared = False
        self._newest: Visibility | None = None
        """What the newest tokens look at, for layers that share these rows; None if they took several parts."""

    # ---- what transformers asks ------------------------------------------------------------------

    @lasting_tensors()
    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        batch, heads = key_states.shape[:2]
        if key_states.is_cuda and self.room is not None:
            _vase.device_mask_rows(self.room.capacity)  # says now, not at the first eviction, if there is no CUDA in this build
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = key_states.new_zeros(batch, heads, 0, key_states.shape[-1])
        self.values = value_states.new_zeros(batch, heads, 0, value_states.shape[-1])
        self.positions = torch.zeros(batch, heads, 0, dtype=torch.int32, device=self.device)
        self.sums = torch.zeros(batch, heads, 0, device=self.device)
        self.sequences = [SequenceRows() for _ in range(batch)]
        if self.calibration is not None:
            self.calibration = self.calibration.to(self.device)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self._waiting:
            raise RuntimeError(
                "VaseCache was given keys, but no queries: call model.set_attn_implementation('vase_sdpa') before generating. If that "
                "was done, the model does not hand the cache's keys to transformers' attention interface as they are, and "
                "VaseCache does not work with it"
            )
        if key_states.shape[0] != len(self.sequences):
            raise ValueError(
                f"the cache holds {len(self.sequences)} sequences and {key_states.shape[0]} are to continue; reset() forgets them"
            )
        self._waiting = True
        shown = self._shown(key_states, value_states)
        handover.mark(self, *shown)
        return shown

    def stored(self, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is kept of keys and values that the model hands over."""
        return key, value

    def _shown(self, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What update() returns for new keys and values."""
        return key, value

    def get_seq_length(self) -> int:
        return self._seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, NewTokens(self._seen)

    def get_max_length(self) -> int:
        return -1

    get_max_cache_shape = get_max_length  # its name in earlier versions of transformers 5

    def reset(self) -> None:
        self.keys = self.values = None  # type: ignore[assignment]  # as the base class has it
        self.is_initialized = False
        self.sequences = []
        self.queries.clear()
        self._seen = 0
        self._waiting = False
        self._newest = None

    def crop(self, tokens_to_remove: int) -> None:
        if tokens_to_remove != 0:
            raise RuntimeError("a VaseCache cannot take tokens back: their rows may have displaced others")

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        if not self.is_initialized:
            return
        indices = torch.arange(len(self.sequences))[indices.cpu()]  # also takes masks
        self._take_sequences(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        if self.is_initialized:
            self._take_sequences(torch.arange(len(self.sequences)).repeat_interleave(repeats))

    @lasting_tensors()
    def _take_sequences(self, indices: torch.Tensor) -> None:
        self.sequences = [self.sequences[i].copy() for i in indices.tolist()]
        indices = indices.to(self.device)
        self.keys = self.keys.index_select(0, indices)
        self.values = self.values.index_select(0, indices)
        self.positions = self.positions.index_select(0, indices)
        self.sums = self.sums.index_select(0, indices)
        self.queries.take_sequences(indices)

    # ---- put aside and taken back ----------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that the layer knows of its sequences, plain values and tensors: for set_state(), here or elsewhere."""
        if self._waiting:
            raise RuntimeError("a VaseCache cannot be saved in the middle of a forward")
        known = {"initialized": self.is_initialized, "seen": self._seen, "shared": self._is_shared}
        if not self.is_initialized:
            return known
        rows = max((s.rows for s in self.sequences), default=0)
        tensors = {name: getattr(self, name)[:, :, :rows] for name in ("keys", "values", "positions", "sums")}
        return {
            **known,
            **tensors,
            "reserved": self.keys.shape[2],
            "dtype": self.dtype,
            "device": self.device,
            "sequences": [vars(s) for s in self.sequences],
            "queries": self.queries.ring,
            "scaling": self.scaling,
            "has_met": self._find_rope is None,
            "rope": None if self.rope is None else [self.rope.frequencies, self.rope.stride],
        }

    @lasting_tensors()
    def set_state(self, state: dict[str, Any]) -> None:
        """The layer becomes what state() saw. Its cache's settings are those of that layer's cache."""
        self.reset()
        self._seen, self._is_shared = state["seen"], state["shared"]
        self.is_initialized = state["initialized"]
        if not self.is_initialized:
            return
        self.dtype, self.device = state["dtype"], state["device"]
        for name in ("keys", "values", "positions", "sums"):
            setattr(self, name, state[name])
        self.sequences = [SequenceRows.from_values(values) for values in state["sequences"]]
        self._lengthen(state["reserved"])
        self.queries.ring = state["queries"]
        self.scaling = state["scaling"]
        if state["has_met"]:
            self._find_rope = None
            self.rope = None if state["rope"] is None else Rope(*state["rope"])
        if self.calibration is not None:
            self.calibration = self.calibration.to(self.device)

    # ---- new tokens ------------------------------------------------------------------------------

    def meet(self, attention: torch.nn.Module) -> None:
        """Shows the layer, which holds keys, the model's attention module that they come from."""
        if self._find_rope is not None:
            self.rope = self._find_rope(attention, self)
            self._find_rope = None

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        padding: torch.Tensor | None,
        attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Visibility], torch.Tensor],
        scaling: float | None,
    ) -> torch.Tensor:
        """Stores the new rows and attends to all that are there.

        query: [batch, query heads, new, dim]; key, value: [batch, KV heads, new, dim], those that update() got; padding: bool
        [batch, new], False for padding, or None. attend(query, keys, values, visibility) returns [batch, new, query heads, dim],
        and so does this. scaling: of the logits, None for 1 / sqrt(dim).
        """
        if not self._waiting:
            return self._attend_again(query, attend)
        self._waiting = False
        self.scaling = scaling
        real = None if padding is None else padding.cpu().numpy()
        self._see_prompt(query.shape[2], real)
        outputs = []
        for begin, end in self._parts(query.shape[2], real):
            part = slice(begin, end)
            part_real = None if real is None else real[:, part]
            visibility = Visibility([s.rows for s in self.sequences], end - begin, part_real)
            self._store(query[:, :, part], key[:, :, part], value[:, :, part], part_real)
            outputs.append(attend(query[:, :, part], *self._rows(), visibility))
        self._newest = visibility if len(outputs) == 1 else None
        self._leave_prompt_room()
        self._seen += query.shape[2]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)

    def _attend_again(
        self, query: torch.Tensor, attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Visibility], torch.Tensor]
    ) -> torch.Tensor:
        """Attention of another layer of the model to the same rows (Gemma 3n and 4), whose queries come right behind."""
        self._is_shared = True
        if self._newest is None:
            assert self.room is not None
            raise ValueError(
                f"{query.shape[2]} tokens came at once, and layers of this model share their keys: the rows that the other layers "
                "need were evicted meanwhile. Read the prompt in smaller pieces: "
                f"generate(..., prefill_chunk_size={self.room.capacity - self.room.budget})"
            )
        return attend(query, *self._rows(), self._newest)

    def _rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of all sequences, up to the longest one's newest row."""
        most = max(1, max(s.rows for s in self.sequences))
        return self.keys[:, :, :most], self.values[:, :, :most]

    def _see_prompt(self, new: int, real: np.ndarray | None) -> None:
        """A prompt may come in several forwards (prefill_chunk_size); what is generated comes token by token."""
        for b, s in enumerate(self.sequences):
            s.reads_prompt &= s.tokens == 0 or new > 1
            if s.reads_prompt:
                s.prompt_end = s.tokens + (new if real is None else int(real[b].sum()))

    def _parts(self, new: int, real: np.ndarray | None) -> Iterator[tuple[int, int]]:
        """Ranges of columns that fit into the room there is, after evicting where there is none."""
        if self.room is None:
            yield 0, new
            return
        room = self.room.prompt if new > 1 else self.room.capacity
        if self._is_shared:
            self._make_way(new, real)
        begin = 0
        while begin < new:
            full = [b for b, s in enumerate(self.sequences) if s.rows >= room]
            if real is not None:
                full = [b for b in full if real[b, begin:].any()]
            if full:
                self._evict_due(self, full)
            yield begin, (end := self._end_of_part(begin, new, real, room))
            begin = end

    def _make_way(self, new: int, real: np.ndarray | None) -> None:
        """Evicts before a sequence is full, where new tokens would fit in one part then."""
        assert self.room is not None
        added = [new] * len(self.sequences) if real is None else real.sum(axis=1)
        crowded = [
            b for b, s in enumerate(self.sequences) if s.rows > self.room.budget and s.rows + added[b] > self.room.capacity
        ]
        if crowded:
            self._evict_due(self, crowded)

    def _end_of_part(self, begin: int, new: int, real: np.ndarray | None, room: int) -> int:
        if real is None:
            return min(new, begin + room - max(s.rows for s in self.sequences))
        free = np.array([room - s.rows for s in self.sequences])
        fits = (real[:, begin:].cumsum(axis=1) <= free[:, None]).all(axis=0)
        return begin + int(fits.sum())

    def _leave_prompt_room(self) -> None:
        """Evicts what does not fit between two forwards, and gives back the memory that was lent for reading."""
        if self.room is None or self.room.prompt == self.room.capacity:
            return
        over = [b for b, s in enumerate(self.sequences) if s.rows > self.room.capacity]
        if over:
            self._evict_due(self, over)
            self._newest = None
        self._shrink(self.room.capacity)

    @lasting_tensors()
    def _store(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, real: np.ndarray | None) -> None:
        # Queries first: their places in the ring go by the tokens there were before.
        if self.room is not None:
            self.queries.append(query, self.sequences, real, self.room.capacity)
        self._append(key, value, real)

    def _append(self, key: torch.Tensor, value: torch.Tensor, real: np.ndarray | None) -> None:
        new = key.shape[2]
        added = [new] * len(self.sequences) if real is None else real.sum(axis=1).tolist()
        self._reserve(max(s.rows + n for s, n in zip(self.sequences, added)))
        first = self.sequences[0].rows
        same = real is None and all(s.rows == first for s in self.sequences)
        if real is None and new == 1 and not same:
            batch = torch.arange(len(self.sequences), device=self.device)
            places = torch.tensor([s.rows for s in self.sequences], device=self.device)
        for rows, fresh in (self.keys, key), (self.values, value):
            if same:
                rows[:, :, first : first + new] = fresh
            elif real is None and new == 1:
                rows[batch, :, places] = fresh[:, :, 0]
            else:
                for b, s in enumerate(self.sequences):
                    columns = slice(None) if real is None else torch.from_numpy(real[b].nonzero()[0]).to(rows.device)
                    rows[b, :, s.rows : s.rows + added[b]] = fresh[b, :, columns]
        for s, n in zip(self.sequences, added):
            s.rows += n
            s.tokens += n

    def _reserve(self, rows: int) -> None:
        """Makes room for ``rows`` rows: twice as many as before, up to the capacity, so that short texts take little."""
        have = self.keys.shape[2]
        if rows <= have:
            return
        want = max(rows, 2 * have)
        if self.room is not None:
            want = max(rows, min(want, self.room.capacity))
        self._lengthen(want)

    def _lengthen(self, rows: int) -> None:
        """Reserves ``rows`` rows in all. Must be called within lasting_tensors()."""
        more = rows - self.keys.shape[2]
        self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, more))
        self.values = torch.nn.functional.pad(self.values, (0, 0, 0, more))
        self.positions = torch.nn.functional.pad(self.positions, (0, more))
        self.sums = torch.nn.functional.pad(self.sums, (0, more))

    @lasting_tensors()
    def _shrink(self, rows: int) -> None:
        """Gives back the memory behind ``rows`` rows, which nobody holds."""
        if self.keys.shape[2] <= rows:
            return
        self.keys = self.keys[:, :, :rows].clone()
        self.values = self.values[:, :, :rows].clone()
        self.positions = self.positions[:, :, :rows].clone()
        self.sums = self.sums[:, :, :rows].clone()

    # ---- for evictions ---------------------------------------------------------------------------

    @lasting_tensors()
    def settle_positions(self, sequence: int) -> torch.Tensor:
        """[KV heads, reserved rows] int32, the token position of each row, written down up to the newest; shares memory."""
        s, positions = self.sequences[sequence], self.positions[sequence]
        if s.settled < s.rows:
            newest = torch.arange(s.tokens - (s.rows - s.settled), s.tokens, dtype=torch.int32, device=positions.device)
            positions[:, s.settled : s.rows] = newest
            s.settled = s.rows
        return positions

    @lasting_tensors()
    def drop_behind(self, sequence: int, rows: int, positions: torch.Tensor, sums: torch.Tensor) -> None:
        """Says that an eviction has left ``rows`` rows, the first ones. positions, sums: [KV heads, rows before], what the eviction
        has moved, copies where memory was reserved for more rows than there were."""
        s = self.sequences[sequence]
        if s.rows < self.positions.shape[2]:
            self.positions[sequence, :, :rows] = positions[:, :rows]
            self.sums[sequence, :, :rows] = sums[:, :rows]
        s.rows = s.settled = rows
        s.evictions += 1
