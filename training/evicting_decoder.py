"""Decoding with bounded caches, each sequence with a policy variant of its own."""

import torch

from decode import Decoder
from policy_variants import INTERVAL, Rows, Variant, choose, score, standardised


class EvictingDecoder(Decoder):
    """Decodes sequences whose caches are bounded, each by a variant."""

    def __init__(self, model, variants, budgets, prompts, device):
        """variants: of each sequence, equal ones next to each other. budgets, prompts: [batch]."""
        batch = len(variants)
        super().__init__(model, batch, int(max(budgets)) + INTERVAL, device)
        shape = self.shape
        self.parts = []  # (variant, first, end)
        for i, variant in enumerate(variants):
            if self.parts and self.parts[-1][0] == variant:
                self.parts[-1][2] = i + 1
            else:
                self.parts.append([variant, i, i + 1])
        self.budgets = torch.tensor(budgets, device=device)
        self.prompts = torch.tensor(prompts, device=device)
        self.count = torch.zeros(batch, dtype=torch.long, device=device)
        rows = (batch, shape.kv_heads, self.keys[0].shape[2])
        self.tokens = [torch.zeros(rows, dtype=torch.int32, device=device) for _ in self.keys]
        self.memory = [torch.zeros(rows, device=device) for _ in self.keys]
        generator = torch.Generator(device).manual_seed(7)
        self.noise = [
            torch.rand(shape.kv_heads, 1 << 15, generator=generator, device=device) for _ in self.keys
        ]
        self.queries = [
            torch.zeros(batch, shape.heads, INTERVAL, shape.head_dim, dtype=model.dtype, device=device)
            for _ in self.keys
        ]  # fmt: skip

    def see_queries(self, layer, q):
        slot = (self.position % INTERVAL).long()
        self.queries[layer].index_copy_(2, slot, q[:, :, None])
        self.tokens[layer][self.everyone, :, self.row] = self.position

    def make_room(self, position: int):
        if position % INTERVAL == 0 and position >= int(self.budgets.min()) + INTERVAL:
            for variant, first, end in self.parts:
                self.evict(variant, slice(first, end), position)
            self.count = torch.minimum(self.count, self.budgets)
        self.row.copy_(self.count)
        self.count += 1

    def evict(self, variant: Variant, part: slice, position: int):
        budgets, prompts = self.budgets[part], self.prompts[part]

        def scores_of(layer, rows):
            memory = self.memory[layer][part]
            return score(variant, rows, memory, self.noise[layer], position, budgets)

        common = 0
        if variant.coherent:
            for layer in range(len(self.keys)):
                rows = self.rows(layer, part, variant, position)
                scores = scores_of(layer, rows)
                common += standardised(scores, rows.candidate).mean(1, keepdim=True)
            common = common.expand(scores.shape).contiguous()
        for layer in range(len(self.keys)):
            rows = self.rows(layer, part, variant, position)
            scores = common if variant.coherent else scores_of(layer, rows)
            self.keep(layer, part, choose(variant, rows, scores, budgets, prompts))

    def rows(self, layer: int, part: slice, variant: Variant, position: int) -> Rows:
        keys, values, tokens = (x[layer][part] for x in (self.keys, self.values, self.tokens))
        at, count = torch.arange(keys.shape[2], device=keys.device), self.count[part][:, None, None]
        valid = at < count
        return Rows(
            keys, values, tokens, self.latest_queries(layer, part, variant, position), valid,
            valid & (at < count - variant.recency),
            valid & (at < count - min(variant.recency, variant.window)),
        )  # fmt: skip

    def keep(self, layer: int, part: slice, stays):
        """Moves the rows that stay [s, h, n] to the front, in their order."""
        order = (~stays).to(torch.uint8).argsort(dim=-1, stable=True)
        for store in (self.keys, self.values, self.tokens, self.memory):
            x = store[layer][part]
            x.copy_(x.gather(2, order if x.dim() == 3 else order[..., None].expand_as(x)))
        # Rows to come remember nothing.
        new = torch.arange(stays.shape[2], device=stays.device) >= self.budgets[part][:, None]
        self.memory[layer][part].masked_fill_(new[:, None], 0)

    def latest_queries(self, layer: int, part: slice, variant: Variant, position: int):
        queries = self.queries[layer][part]
        s, heads, _, d = queries.shape
        slots = torch.arange(position - variant.window, position, device=queries.device) % INTERVAL
        latest = queries[:, :, slots].float()
        kv_heads = self.shape.kv_heads
        return latest.reshape(s, kv_heads, heads // kv_heads * variant.window, d)
