"""A paged KV cache for a transformers model, and the attention that reads it.

Pages of PAGE cells are handed out as rows grow, so that hundreds of rows of unlike length share the
device's memory. Page 0 belongs to nobody: padding and idle rows write there.
"""

from functools import cache

import torch
import torch.nn.functional as F
from transformers import AttentionInterface

PAGE = 64
NAME = "vase_paged"


class PagedCache:
    """What transformers' layers take for a cache. keys, values: per layer [pages x PAGE, KV heads,
    width]. Before a forward pass set `cells` [tokens] (where each token's key and value go) and, for
    one token a row, `table` and `lengths` (with the new token) as attend() takes them."""

    def __init__(self, config, pages, device, dtype):
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (pages * PAGE, config.num_key_value_heads, width)
        layers = range(config.num_hidden_layers)
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in layers]
        self.values = [torch.zeros(shape, device=device, dtype=dtype) for _ in layers]
        self.pages = pages
        self.attend = trusted_attend(torch.device(device), dtype, shape[1], width)
        self.cells = self.table = self.lengths = None

    @staticmethod
    def page_bytes(config, dtype):
        """Bytes of one page over all layers."""
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        cell = 2 * config.num_key_value_heads * width * torch.finfo(dtype).bits // 8
        return cell * PAGE * config.num_hidden_layers

    def update(self, key, value, layer, *_, **__):
        """Writes the new rows ([batch, heads, tokens, width]) and gives them back."""
        for cache, new in ((self.keys[layer], key), (self.values[layer], value)):
            cache.index_copy_(0, self.cells, new.transpose(1, 2).reshape(-1, *cache.shape[1:]))
        return key, value

    def get_seq_length(self, *_):
        """Positions are always given, so nothing is counted here."""
        return 0


def attend_gathered(query, keys, values, table, lengths, page, scale):
    """attend() of paged_kernel.py in plain PyTorch, for a device without Triton."""
    rows, query_heads, width = query.shape
    heads = keys.shape[1]
    steps = torch.arange(page, device=table.device)
    cells = (table.long()[:, :, None] * page + steps).flatten(1)[:, : int(lengths.max())]
    k, v = keys[cells].transpose(1, 2), values[cells].transpose(1, 2)
    seen = torch.arange(cells.shape[1], device=table.device)[None] < lengths[:, None]
    grouped = query.view(rows, heads, query_heads // heads, width)
    out = F.scaled_dot_product_attention(
        grouped, k, v, attn_mask=seen[:, None, None].expand(-1, 1, grouped.shape[2], -1), scale=scale
    )
    return out.reshape(rows, query_heads, width)


@cache
def trusted_attend(device, dtype, heads, width):
    """The Triton kernel if the device has one and it agrees with attend_gathered; else the latter."""
    if device.type != "cuda":
        return attend_gathered
    from .paged_kernel import attend

    new = lambda *shape: torch.randn(shape, device=device, dtype=dtype)  # noqa: E731
    keys, values, query = new(9 * PAGE, heads, width), new(9 * PAGE, heads, width), new(3, 6 * heads, width)
    table = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 0]], dtype=torch.int32, device=device)
    lengths = torch.tensor([1, 3 * PAGE - 1, PAGE + 1], dtype=torch.int32, device=device)
    args = (query, keys, values, table, lengths, PAGE, width**-0.5)
    apart = (attend(*args).float() - attend_gathered(*args).float()).abs().max().item()
    if apart < 0.03:
        return attend
    print(f"the Triton kernel is {apart} apart from PyTorch: not used", flush=True)
    return attend_gathered


def _attention(module, query, key, value, attention_mask, scaling, paged, **_):
    """Prompts (several tokens a row, padded on the right) look at themselves; one token a row looks
    at its pages."""
    if query.shape[2] > 1:
        out = F.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, enable_gqa=True
        )
        return out.transpose(1, 2), None
    layer = module.layer_idx
    out = paged.attend(
        query[:, :, 0].contiguous(), paged.keys[layer], paged.values[layer], paged.table,
        paged.lengths, PAGE, scaling,
    )  # fmt: skip
    return out[:, None], None


AttentionInterface.register(NAME, _attention)


def hidden_states(model, ids, positions, cache):
    """The last hidden states of ids [rows, tokens] at positions, keys and values going to `cache`."""
    return model.model(
        input_ids=ids,
        position_ids=positions,
        attention_mask={"full_attention": None},
        past_key_values=cache,
        use_cache=True,
        paged=cache,
    ).last_hidden_state


def read_paged(model):
    """Lets a model's attention read a PagedCache."""
    model.config._attn_implementation = NAME
    return model
