"""SmolLM2 in plain PyTorch: read from its GGUF file, with a LoRA adapter on every linear layer.

Weights keep the row order of the GGUF file, in which llama.cpp rotates neighbouring pairs
(x[2i], x[2i+1]), so an adapter trained here fits llama.cpp without any reordering.
"""

from dataclasses import dataclass

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from attention import attend

# Rank of the adapter by layer. Attention gets more: it does the copying and looking up.
RANKS = {
    "attn_q": 64,
    "attn_k": 64,
    "attn_v": 64,
    "attn_output": 64,
    "ffn_gate": 32,
    "ffn_up": 32,
    "ffn_down": 32,
}
LORA_SCALE = 2.0


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    rope_base: float
    norm_epsilon: float


def read_shape(reader: gguf.GGUFReader) -> Shape:
    def field(name):
        return reader.fields["llama." + name].contents()

    heads = field("attention.head_count")
    return Shape(
        layers=field("block_count"),
        width=field("embedding_length"),
        heads=heads,
        kv_heads=field("attention.head_count_kv"),
        head_dim=field("embedding_length") // heads,
        rope_base=field("rope.freq_base"),
        norm_epsilon=field("attention.layer_norm_rms_epsilon"),
    )


def read_weights(reader: gguf.GGUFReader) -> dict[str, np.ndarray]:
    """All tensors of the file as float32, by their GGUF names."""
    return {
        t.name: np.array(gguf.quants.dequantize(t.data, t.tensor_type), dtype=np.float32)
        for t in reader.tensors
    }


def rms_norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def rope_table(positions, shape: Shape):
    """Cosine and sine for each position, both [..., head_dim / 2]."""
    half = shape.head_dim // 2
    exponents = torch.arange(half, device=positions.device, dtype=torch.float32) / half
    angles = positions[..., None].float() * shape.rope_base**-exponents
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotates neighbouring pairs of x [..., head_dim]."""
    pairs = x.float().unflatten(-1, (-1, 2))
    even, odd = pairs[..., 0], pairs[..., 1]
    rotated = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return rotated.flatten(-2).to(x.dtype)


class LoraLinear(nn.Module):
    """A frozen weight W plus the trained LORA_SCALE * B A, multiplied as one matrix."""

    def __init__(self, weight: torch.Tensor, rank: int):
        super().__init__()
        rows, columns = weight.shape
        self.register_buffer("weight", weight)
        self.a = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank))

    def merged(self):
        return self.weight + LORA_SCALE * (self.b @ self.a)

    def forward(self, x):
        return F.linear(x, self.merged().to(x.dtype))


class Layer(nn.Module):
    def __init__(self, weights: dict[str, torch.Tensor], shape: Shape):
        super().__init__()
        self.shape = shape
        self.register_buffer("attn_norm", weights["attn_norm"])
        self.register_buffer("ffn_norm", weights["ffn_norm"])
        for name, rank in RANKS.items():
            setattr(self, name, LoraLinear(weights[name], rank))

    def attention_inputs(self, x, cos, sin, dtype):
        """Rotated queries and keys, and values, each [batch, heads, tokens, head_dim]."""
        normed = rms_norm(x, self.attn_norm, self.shape.norm_epsilon).to(dtype)

        def split(y):
            return y.unflatten(-1, (-1, self.shape.head_dim)).transpose(1, 2)

        q = rotate(split(self.attn_q(normed)), cos, sin)
        k = rotate(split(self.attn_k(normed)), cos, sin)
        return q, k, split(self.attn_v(normed))

    def after_attention(self, x, mixed):
        """Adds the attention's output [batch, heads, tokens, head_dim] and the feed-forward."""
        x = x + self.attn_output(mixed.transpose(1, 2).flatten(-2))
        normed = rms_norm(x, self.ffn_norm, self.shape.norm_epsilon).to(mixed.dtype)
        return x + self.ffn_down(F.silu(self.ffn_gate(normed)) * self.ffn_up(normed))

    def forward(self, x, cos, sin, mask, dtype):
        q, k, v = self.attention_inputs(x, cos, sin, dtype)
        return self.after_attention(x, attend(q, k, v, mask))


class SmolLM(nn.Module):
    """The model up to its last hidden state; the residual stream stays in float32."""

    def __init__(self, reader: gguf.GGUFReader, dtype: torch.dtype, layers: int | None = None):
        super().__init__()
        self.shape = read_shape(reader)
        self.dtype = dtype
        weights = {name: torch.from_numpy(w) for name, w in read_weights(reader).items()}
        self.register_buffer("embedding", weights["token_embd.weight"].to(dtype))
        self.register_buffer("output_norm", weights["output_norm.weight"])
        names = ["attn_norm", "ffn_norm", *RANKS]
        self.layers = nn.ModuleList(
            Layer({n: weights[f"blk.{i}.{n}.weight"] for n in names}, self.shape)
            for i in range(layers or self.shape.layers)
        )

    def forward(self, tokens, positions, mask):
        """Last hidden states; tokens and positions [batch, tokens], mask as document_mask's."""
        x = F.embedding(tokens, self.embedding).float()
        cos, sin = (t[:, None] for t in rope_table(positions, self.shape))
        for layer in self.layers:
            x = layer(x, cos, sin, mask, self.dtype)
        return rms_norm(x, self.output_norm, self.shape.norm_epsilon).to(self.dtype)

    def logits(self, hidden):
        return F.linear(hidden, self.embedding)

    def adapter(self) -> dict[str, nn.Parameter]:
        """The trained tensors by name: "blk.0.attn_q.a" and so on."""
        return {
            f"blk.{i}.{name}.{part}": getattr(getattr(layer, name), part)
            for i, layer in enumerate(self.layers)
            for name in RANKS
            for part in ("a", "b")
        }

    def load_adapter(self, tensors: dict[str, torch.Tensor]):
        with torch.no_grad():
            for name, parameter in self.adapter().items():
                parameter.copy_(tensors[name])
