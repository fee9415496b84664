"""A transformers cache of fixed size."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from types import NoneType
from typing import Any, NamedTuple, Unpack

import numpy as np
import torch
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache

from vase import _vase, frameworks
from vase.calibration import layers_of
from vase.hf import snapshot
from vase.hf.attention import ATTENTION
from vase.hf.layer import Room, SequenceRows, VaseLayer
from vase.hf.layers import bounded_layers, set_state, shares_rows, state_of
from vase.hf.rope import RopeUnknownError, rope_of
from vase.options import PolicyOptions
from vase.policies import DEFAULT_POLICY, parameters
from vase.rope import Rope, dense_rope


_NAMES_OF_A_SHAPE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
)


class SequenceStatistics(NamedTuple):
    """What happened to one sequence since the cache was made or reset."""

    tokens: int
    """Tokens seen, padding not counted."""
    rows: int
    """Rows that each head of each bounded layer holds."""
    evictions: int
    """Evictions, each over all bounded layers."""


class VaseCache(Cache):
    """A cache whose full-attention layers hold at most ``budget + interval`` rows per KV head and sequence.

    A sequence that is full when another token comes gives up ``interval`` rows in each head, each head its own; a prompt that is
    longer than the room is read in parts with evictions between them, so memory is bounded there too. Sequences of a batch are
    treated as they would be alone. Sliding-window layers and recurrent states are bounded already and stay as transformers has
    them. Which models there are: docs/python.md.

    The model must use one of the attention implementations that this package registers:

        model.set_attn_implementation("vase_sdpa")  # "vase_fa2" with the flash-attn library, "vase_eager" where sdpa cannot be had
        cache = VaseCache(model.config, budget=4096)
        model.generate(**inputs, past_key_values=cache)

    While nothing is evicted the model's output is that of a DynamicCache. Positions (RoPE) always follow the true number of
    tokens. What is evicted is gone: the cache cannot be cropped, so assisted decoding does not work with it.
    """

    def __init__(
        self,
        config: PreTrainedConfig,
        budget: int = 4096,
        policy: str = DEFAULT_POLICY,
        *,
        pin_prompt: float | None = None,
        prompt_part: int | None = None,
        draw_streams: Sequence[int] | None = None,
        rope: Rope | None = None,
        calibration: str | os.PathLike[str] | Sequence[Any] | None = None,
        **options: Unpack[PolicyOptions],
    ):
        """
        Args:
            config: of the model that will use the cache, ``model.config``.
            budget: rows that each head keeps at an eviction.
            policy: a name from vase.policies().
            pin_prompt: share of the budget (0 to 0.9) up to which the prompt's rows are never evicted (default: the
                policy's own); of a longer prompt the newest rows are pinned. The prompt is what comes in forwards of more
                than one token, before the first token that comes alone.
            prompt_part: tokens of a long prompt that are read between two evictions, at least the interval (default: as many as the
                budget). More is faster; memory for so many more rows is lent to one layer at a time.
            draw_streams: the stream of random numbers that each sequence of the batch draws from (default: its index), so that a
                sequence's outcome need not depend on its place in the batch.
            rope: how the model rotates the keys of its full-attention layers, which policies that compare keys need to know (default: found out
                from the model at the first forward; where that fails, a warning says so, and such a policy keeps worse rows).
            calibration: a file of ``vase calibrate``, or what vase.read_calibration() made of it; for policies that need it.
            options: see PolicyOptions.

        Raises:
            ValueError, TypeError: an argument does not fit (the message names it), the model has no full-attention layer, or it
                uses another attention implementation.
        """
        if not isinstance(config, PreTrainedConfig):
            raise TypeError(f"config is a {type(config).__name__}; it must be the model's configuration, model.config")
        decoder = config.get_text_config(decoder=True)
        if decoder._attn_implementation not in ATTENTION:
            raise ValueError(
                f"the model's attention implementation is {decoder._attn_implementation!r}, which hides the queries: call "
                "model.set_attn_implementation('vase_sdpa') before making the cache (VaseCache does not work with models of which "
                "transformers says that their implementation cannot be set)"
            )
        if not isinstance(pin_prompt, (int, float, NoneType)):
            raise TypeError(f"pin_prompt is {pin_prompt!r}; it must be a number")
        if draw_streams is not None and not isinstance(draw_streams, Sequence):
            raise TypeError(f"draw_streams is {draw_streams!r}; it must be a sequence of ints, one for each sequence of the batch")
        if pin_prompt is not None and not 0 <= pin_prompt <= 0.9:
            raise ValueError(f"pin_prompt is {pin_prompt}; it must be in 0 .. 0.9 of the budget")
        if not isinstance(prompt_part, (int, NoneType)) or isinstance(prompt_part, bool):
            raise TypeError(f"prompt_part is {prompt_part!r}; it must be an int")
        dense_rope(rope)  # says what is wrong with it
        self.parameters = parameters(policy, budget=budget, **options)
        self._options = options
        if prompt_part is not None and self.parameters["evicts"] and prompt_part < self.parameters["interval"]:
            raise ValueError(f"prompt_part is {prompt_part}; it must be at least the interval, {self.parameters['interval']}")
        share = self.parameters["pin_prompt"] if pin_prompt is None else pin_prompt
        self._pin_prompt = float(np.float32(share))  # single precision, as in llama.hpp: the same number of rows
        self._rope = rope
        self._rope_is_unknown = False
        self._model = {name: getattr(decoder, name, None) for name in _NAMES_OF_A_SHAPE}
        self._reads_text_alone = decoder is config
        self._trained = getattr(decoder, "max_position_embeddings", None) or 0
        self._said_length = False
        self._draw_streams = None if draw_streams is None else list(draw_streams)

        room = self._room(prompt_part, shares_rows(decoder)) if self.parameters["evicts"] else None
        window = self.parameters["window"] if self.parameters["needs_queries"] else 0
        find_rope = self._find_rope if self.parameters["uses_rope"] else None
        layers = bounded_layers(config, lambda layer, more: layer(room, window, self._evict, find_rope, **more))
        self.bounded_layers: list[VaseLayer] = [layer for layer in layers if isinstance(layer, VaseLayer)]
        if calibration is not None:
            for layer, own in zip(self.bounded_layers, layers_of(calibration, len(self.bounded_layers))):
                layer.calibration = torch.as_tensor(own, dtype=torch.float32)
        elif self.parameters["needs_calibration"]:
            raise ValueError(
                f"calibration is None; policy {policy!r} needs what `vase calibrate -m MODEL -f TEXT -o FILE` measures: calibration=FILE"
            )
        super().__init__(layers=layers)

    # ---- put aside and taken back ----------------------------------------------------------------

    def save(self) -> bytes:
        """All sequences as bytes, which restore() takes: rows, which tokens they are, draws, newest queries, and what layers that are
        not bounded hold. Versioned, with a checksum; small, whatever the length of the text."""
        return snapshot.pack({"settings": self._settings(), "layers": [state_of(layer) for layer in self.layers]})

    def restore(self, data: bytes, device: torch.device | str | None = None) -> None:
        """The cache becomes what save() saw, and goes on as that one would have, to the bit on the same device.

        Args:
            data: of save(), of a cache for the same model with the same settings, here or in another process.
            device: where the tensors go (default: each where it was).

        Raises:
            ValueError: in one line, if the bytes are damaged, or of another model, policy or setting. The cache is as it was then.
        """
        saved = snapshot.unpack(data, None if device is None else torch.device(device))
        own = self._settings()
        for name in own:
            if saved["settings"].get(name) != own[name]:
                raise ValueError(f"the saved VaseCache has {name} {saved['settings'].get(name)!r}, and this one has {own[name]!r}")
        for layer, state in zip(self.layers, saved["layers"]):
            set_state(layer, state)

    def _settings(self) -> dict[str, Any]:
        """What rows and draws depend on beside the text, plain values."""
        layers = [type(layer).__name__ for layer in self.layers]
        calibrations = [layer.calibration for layer in self.bounded_layers if layer.calibration is not None]
        return {
            **self._model,
            "layers": layers,
            **self.parameters,
            "pin_prompt": self._pin_prompt,
            "room": list(self.bounded_layers[0].room or ()),
            "draw_streams": self._draw_streams,
            "calibration": [snapshot.checksum_of(one) for one in calibrations],
        }

    def _room(self, prompt_part: int | None, shares_rows: bool) -> Room:
        budget, interval = self.parameters["budget"], self.parameters["interval"]
        part = max(budget, interval) if prompt_part is None else prompt_part
        # Rows that several layers look at must not go before all have: an eviction must wait for the next forward.
        return Room(budget, budget + interval, budget + (interval if shares_rows else part))

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """New tokens of a layer, as transformers hands them over."""
        if self._draw_streams is not None and len(self._draw_streams) != key_states.shape[0]:
            raise ValueError(
                f"draw_streams names {len(self._draw_streams)} streams, and the batch has {key_states.shape[0]} sequences"
            )
        self._check_length(key_states.shape[-2])
        return super().update(key_states, value_states, layer_idx, *args, **kwargs)

    def _check_length(self, new: int) -> None:
        """Says once that a text is longer than those that the model was trained on, before it is read."""
        if self._said_length:
            return
        tokens = new + max((s.tokens for s in self.bounded_layers[0].sequences), default=0)
        if line := _vase.beyond_training("the text has", tokens, self._trained):
            self._said_length = True
            warnings.warn(line, RuntimeWarning, stacklevel=3)

    def set_prompt_end(self) -> None:
        """Says that what the cache has seen so far is the prompt (matters if pin_prompt > 0), as after a new turn of a chat."""
        for layer in self.bounded_layers:
            for s in layer.sequences:
                s.prompt_end, s.reads_prompt = s.tokens, False

    def statistics(self, sequence: int = 0) -> SequenceStatistics:
        """What happened to ``sequence``, an index into the batch. Raises IndexError if there is no such sequence (yet)."""
        s = self._rows_of(0, sequence)
        return SequenceStatistics(s.tokens, s.rows, s.evictions)

    def positions(self, layer: int, sequence: int = 0) -> np.ndarray:
        """int32 [KV heads, rows]: the token position that each row of a bounded layer stands for, padding not counted. A copy.
        ``layer`` counts bounded layers. Raises IndexError if there is no such layer, or no such sequence (yet)."""
        rows = self._rows_of(layer, sequence).rows
        return self.bounded_layers[layer].settle_positions(sequence)[:, :rows].cpu().numpy().copy()

    def _rows_of(self, layer: int, sequence: int) -> SequenceRows:
        for name, index, count in (
            ("layer", layer, len(self.bounded_layers)),
            ("sequence", sequence, len(self.bounded_layers[0].sequences)),
        ):
            if not 0 <= index < count:
                raise IndexError(f"{name} is {index}; the cache holds {count} {name}s" + (" yet" if count == 0 else ""))
        return self.bounded_layers[layer].sequences[sequence]

    def cache_bytes(self) -> int:
        """Bytes that the keys and values of all layers take now, sliding-window layers included."""
        tensors = [
            getattr(layer, name, None)
            for layer in self.layers
            for name in (("keys",) if getattr(layer, "expands", False) else ("keys", "values"))  # whose values are part of the keys
        ]
        return sum(t.numel() * t.element_size() for t in tensors if t is not None)

    def _find_rope(self, attention: torch.nn.Module, layer: VaseLayer) -> Rope | None:
        """How a layer's keys are rotated, as far as anybody knows."""
        if self._rope is not None:
            return Rope(torch.as_tensor(self._rope.frequencies, dtype=torch.float32, device=layer.device), self._rope.stride)
        try:
            return rope_of(attention, layer.keys, layer.stored, self._reads_text_alone)
        except RopeUnknownError as reason:
            if not self._rope_is_unknown:
                warnings.warn(
                    f"VaseCache cannot find out how the model rotates its keys: {reason}. {self.parameters['policy']} takes them as "
                    "they are and keeps worse rows; if you know the rotation, pass rope=vase.Rope(...)",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self._rope_is_unknown = True
            return None

    # ---- evictions -------------------------------------------------------------------------------

    def _evict(self, layer: VaseLayer, sequences: Sequence[int]) -> None:
        """Evicts ``sequences`` from ``layer``, and in the same go from the layers above it that stand at the same token."""
        items = []
        for b in sequences:
            here = layer.sequences[b].rows, layer.sequences[b].tokens
            for index, other in enumerate(self.bounded_layers):
                if other.is_initialized and (other.sequences[b].rows, other.sequences[b].tokens) == here:
                    items.append((index, other, b))
        for alike in dict.fromkeys(_launched_together(other) for _, other, _ in items):
            together = [item for item in items if _launched_together(item[1]) == alike]
            with frameworks.current_stream(together[0][1].keys) as stream:
                descriptions = [self._item(*item) for item in together]
                p = self.parameters
                _vase.evict(descriptions, p["policy"], p["budget"], dict(self._options), stream)
            for (_, other, b), description in zip(together, descriptions):
                other.drop_behind(b, p["budget"], description["positions"], description["sums"])

    def _item(self, index: int, layer: VaseLayer, sequence: int) -> dict[str, Any]:
        """One layer of one sequence as the extension module takes it."""
        s = layer.sequences[sequence]
        return {
            "keys": layer.keys[sequence, :, : s.rows].transpose(0, 1),
            "values": layer.values[sequence, :, : s.rows].transpose(0, 1),
            "queries": layer.queries.of(sequence, s.tokens),
            "positions": layer.positions[sequence, :, : s.rows].contiguous(),
            "sums": layer.sums[sequence, :, : s.rows].contiguous(),
            "calibration": layer.calibration,
            "rope": dense_rope(layer.rope),
            "n_new": s.rows - s.settled,
            "new_position": s.tokens - (s.rows - s.settled),
            "scale": layer.scaling,
            "prompt": self._pinned(min(s.prompt_end, s.tokens)),
            "sequence": sequence if self._draw_streams is None else self._draw_streams[sequence],
            "eviction": s.evictions,
            "layer": index,
        }

    def _pinned(self, prompt_end: int) -> tuple[int, int]:
        """Token positions that stay, of a prompt of which ``prompt_end`` tokens have been read. The share never crowds out sinks
        and recency window."""
        p = self.parameters
        share = min(int(self._pin_prompt * p["budget"]), p["budget"] - p["recency"] - p["sinks"])
        return (max(0, prompt_end - share), prompt_end) if share > 0 else (0, 0)


def _launched_together(layer: VaseLayer) -> tuple[object, ...]:
    """The same for layers that one call can evict: on one device, of one shape, and rotated by pairs of one layout, or not at
    all."""
    rope, keys, values = layer.rope, layer.keys, layer.values
    shape = keys.dtype, keys.shape[1], keys.shape[3], values.shape[3]
    return layer.device, shape, None if rope is None else (len(rope.frequencies), rope.stride)
