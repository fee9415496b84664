"""Decoding with bounded caches, each sequence with a policy variant of its own."""

import torch

from decode import Decoder
from policy_variants import INTERVAL, Moments, Rows, Variant, choose, score, standardised


def output_metric(weight, shape):
    """M [kv heads, d, d], |v M|^2 = sum over the group's heads of |W_O v|^2; weight [width, q]."""
    heads = weight.view(weight.shape[0], shape.kv_heads, -1, shape.head_dim)
    metric = torch.einsum("whgd,whge->hde", heads, heads)
    return torch.linalg.cholesky(metric)


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
        self.output = [output_metric(w["attn_output"].float(), shape) for w in self.weights]
        self.seen = {}  # (layer, first sequence) -> Moments of keys and values
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
            stays = choose(variant, rows, scores, budgets, prompts, self.noise[layer])
            self.keep(layer, part, stays)

    def rows(self, layer: int, part: slice, variant: Variant, position: int) -> Rows:
        keys, values, tokens = (x[layer][part] for x in (self.keys, self.values, self.tokens))
        at, count = torch.arange(keys.shape[2], device=keys.device), self.count[part][:, None, None]
        valid = at < count
        rows = Rows(
            keys, values, tokens, self.latest_queries(layer, part, variant, position), valid,
            valid & (at < count - variant.recency),
            valid & (at < count - min(variant.recency, variant.window)),
            self.output[layer], self.shape.rope_base,
        )  # fmt: skip
        if variant.running:
            due = count >= self.budgets[part][:, None, None] + INTERVAL
            before = torch.where(position > count, count - INTERVAL, 0)  # rows seen earlier
            rows.seen_keys, rows.seen_values = self.see_rows(
                layer, part.start, variant, rows, valid & due & (at >= before)
            )
        return rows

    def see_rows(self, layer: int, first: int, variant: Variant, rows: Rows, new):
        s, h, _, d = rows.keys.shape
        if (layer, first) not in self.seen:
            device = rows.keys.device
            self.seen[layer, first] = Moments(s, h, d, device), Moments(s, h, d, device)
        of_keys, of_values = self.seen[layer, first]
        of_keys.add(rows.key_vectors(variant), new)
        of_values.add(rows.value_vectors(variant), new)
        return of_keys, of_values

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
