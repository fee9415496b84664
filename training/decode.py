"""Greedy decoding of many sequences at once, as fast as plain PyTorch and one kernel allow.

All sequences of a batch are at the same position. Prompts are read token by token like the rest,
so one step is all there is; on a GPU it is recorded once as a CUDA graph and replayed.
"""

import time

import torch
import torch.nn.functional as F

from smollm import RANKS, SmolLM, rms_norm, rope_table, rotate

try:
    import triton
    import triton.language as tl
except ImportError:  # no GPU: the plain version below is used
    triton = None

KEYS_AT_ONCE = 128

if triton is not None:

    @triton.jit
    def _attend_kernel(
        q_ptr, k_ptr, v_ptr, out_ptr, length_ptr, alive_ptr, scale, capacity,
        KV_HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        """One sequence and KV head; sequences that have ended are skipped."""
        program = tl.program_id(0)
        if tl.load(alive_ptr + program // KV_HEADS) == 0:
            return
        length = tl.load(length_ptr + program // KV_HEADS)
        rows = tl.arange(0, 16)
        dims = tl.arange(0, DIM)
        in_group = rows[:, None] < GROUP
        q_offsets = (program * GROUP + rows[:, None]) * DIM + dims[None, :]
        q = tl.load(q_ptr + q_offsets, mask=in_group, other=0.0)
        highest = tl.full((16,), -1e30, tl.float32)
        total = tl.zeros((16,), tl.float32)
        mixed = tl.zeros((16, DIM), tl.float32)
        start = program.to(tl.int64) * capacity * DIM
        for first in range(0, length, BLOCK):
            keys = first + tl.arange(0, BLOCK)
            valid = keys < length
            offsets = start + keys[:, None] * DIM + dims[None, :]
            k = tl.load(k_ptr + offsets, mask=valid[:, None], other=0.0)
            v = tl.load(v_ptr + offsets, mask=valid[:, None], other=0.0)
            scores = tl.dot(q, tl.trans(k)) * scale
            scores = tl.where(valid[None, :], scores, -1e30)
            new_highest = tl.maximum(highest, tl.max(scores, 1))
            weights = tl.exp(scores - new_highest[:, None])
            shrink = tl.exp(highest - new_highest)
            total = total * shrink + tl.sum(weights, 1)
            mixed = mixed * shrink[:, None] + tl.dot(weights.to(v.dtype), v)
            highest = new_highest
        result = mixed / total[:, None]
        tl.store(out_ptr + q_offsets, result.to(out_ptr.dtype.element_ty), mask=in_group)


def attend_cached(q, k_cache, v_cache, lengths, alive):
    """q [batch, heads, dim] over the first lengths[batch] rows of [batch, kv heads, rows, dim]."""
    batch, kv_heads, capacity, dim = k_cache.shape
    scale = dim**-0.5
    if q.device.type == "cpu":
        longest = int(lengths.max())
        mask = torch.arange(longest) < lengths[:, None]
        mixed = F.scaled_dot_product_attention(
            q[:, :, None], k_cache[:, :, :longest], v_cache[:, :, :longest],
            attn_mask=mask[:, None, None], enable_gqa=True,
        )  # fmt: skip
        return mixed[:, :, 0]
    out = torch.empty_like(q)
    _attend_kernel[(batch * kv_heads,)](
        q, k_cache, v_cache, out, lengths, alive, scale, capacity,
        KV_HEADS=kv_heads, GROUP=q.shape[1] // kv_heads, DIM=dim, BLOCK=KEYS_AT_ONCE,
    )  # fmt: skip
    return out


class Decoder:
    """Decodes `batch` sequences of at most `capacity` tokens."""

    def __init__(self, model: SmolLM, batch: int, capacity: int, device):
        self.model, self.shape = model, model.shape
        self.weights = [
            {name: getattr(layer, name).merged().to(model.dtype) for name in RANKS}
            for layer in model.layers
        ]
        cache_shape = (batch, self.shape.kv_heads, capacity, self.shape.head_dim)

        def caches():
            return [torch.zeros(cache_shape, dtype=model.dtype, device=device) for _ in model.layers]

        self.keys, self.values = caches(), caches()
        self.everyone = torch.arange(batch, device=device)
        self.row = torch.zeros(batch, dtype=torch.long, device=device)  # where the token goes
        self.token = torch.zeros(batch, dtype=torch.long, device=device)
        self.position = torch.zeros(1, dtype=torch.int32, device=device)
        self.alive = torch.ones(batch, dtype=torch.int32, device=device)
        self.best = torch.zeros(batch, dtype=torch.long, device=device)
        self.graph = None

    def _step(self):
        """Reads self.token at self.position and writes the likeliest next token to self.best."""
        shape, batch = self.shape, self.token.shape[0]
        x = F.embedding(self.token, self.model.embedding).float()
        cos, sin = rope_table(self.position, shape)
        lengths = (self.row + 1).int()
        everything = zip(self.model.layers, self.weights, self.keys, self.values)
        for index, (layer, w, keys, values) in enumerate(everything):
            normed = rms_norm(x, layer.attn_norm, shape.norm_epsilon).to(self.model.dtype)
            q = F.linear(normed, w["attn_q"]).view(batch, shape.heads, shape.head_dim)
            k = F.linear(normed, w["attn_k"]).view(batch, shape.kv_heads, shape.head_dim)
            v = F.linear(normed, w["attn_v"]).view(batch, shape.kv_heads, shape.head_dim)
            keys[self.everyone, :, self.row] = rotate(k, cos, sin)
            values[self.everyone, :, self.row] = v
            q = rotate(q, cos, sin).contiguous()
            self.see_queries(index, q)
            mixed = attend_cached(q, keys, values, lengths, self.alive)
            x = x + F.linear(mixed.flatten(1), w["attn_output"])
            normed = rms_norm(x, layer.ffn_norm, shape.norm_epsilon).to(self.model.dtype)
            inner = F.silu(F.linear(normed, w["ffn_gate"])) * F.linear(normed, w["ffn_up"])
            x = x + F.linear(inner, w["ffn_down"])
        hidden = rms_norm(x, self.model.output_norm, shape.norm_epsilon).to(self.model.dtype)
        self.best.copy_(self.model.logits(hidden).argmax(-1))

    def see_queries(self, layer: int, q):
        """Called with the queries [batch, heads, dim] of each layer."""

    def make_room(self, position: int):
        """Says where the tokens at `position` go."""
        self.row.fill_(position)

    def _record(self):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._step()

    @torch.no_grad()
    def run(self, prompts: list[list[int]], end: int, limit: int, label: str) -> list[list[int]]:
        """Continues every prompt until `end` or `limit` tokens in all; returns what was added."""
        device = self.token.device
        lengths = torch.tensor([len(p) for p in prompts], device=device)
        longest = int(lengths.max())
        table = torch.full((len(prompts), limit), end, dtype=torch.long, device=device)
        for i, prompt in enumerate(prompts):
            table[i, : len(prompt)] = torch.tensor(prompt, device=device)
        self.alive.fill_(1)
        if device.type == "cuda" and self.graph is None:
            self._record()
        begin = time.time()
        for position in range(limit - 1):
            self.position.fill_(position)
            self.make_room(position)
            self.token.copy_(table[:, position])
            if self.graph is None:
                self._step()
            else:
                self.graph.replay()
            given = position + 1 < lengths
            written = torch.where(self.alive.bool(), self.best, end)
            table[:, position + 1] = torch.where(given, table[:, position + 1], written)
            self.alive.mul_((given | (written != end)).int())
            if position % 256 == 255 and position > longest:
                alive = int(self.alive.sum())
                print(f"{label}: position {position}, {alive} of {len(prompts)} still writing,"
                      f" {time.time() - begin:.0f} s", flush=True)
                if alive == 0:
                    break
        rows = table.tolist()
        replies = []
        for prompt, row in zip(prompts, rows):
            reply = row[len(prompt) :]
            replies.append(reply[: reply.index(end)] if end in reply else reply)
        return replies
