"""Reads texts with bounded caches: a transformers model, each layer's cache cut by a policy variant.

Where evicting_decoder.py lets the model write, this one reads a given text in pieces of INTERVAL tokens and evicts after each, as
libvase does, so that hundreds of texts take seconds and every variant is asked about the same words.
"""

from dataclasses import dataclass

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from policy_variants import INTERVAL, Rows, Variant, choose, score, turned_back


@dataclass
class Text:
    """A text and what is asked about it."""

    tokens: list[int]
    spans: list[tuple[int, int, str]]  # tokens [first, end) that the model should foresee, and their kind
    prompts: list[tuple[int, int]]  # what the user wrote: [first, end), in order


@dataclass
class Answers:
    """What a model made of one span: the mean loss of its tokens in nats, and whether each was the likeliest."""

    kind: str
    loss: float
    right: bool
    tokens: int


def pinned_range(text: Text, position: int, budget: int):
    """Ranges of token positions that are pinned once `position` tokens were read: the newest prompt (of a longer one
    than half of the budget its newest rows), and the first as well if both fit (docs/algorithm.md)."""
    begun = [(a, b) for a, b in text.prompts if a < position]
    if not begun:
        return []
    share = budget // 2
    first, end = begun[-1]
    end = min(end, position)
    ranges = [(max(first, end - share), end)]
    left = share - (ranges[0][1] - ranges[0][0])
    if len(begun) > 1 and begun[0][1] - begun[0][0] <= left:
        ranges.append(begun[0])
    return ranges


class EvictingReader:
    """Reads a batch of texts with one variant and one budget. `variant` None: the full cache."""

    def __init__(self, model, texts, variant: Variant | None, budget: int):
        config = model.config
        self.model, self.texts, self.variant = model, texts, variant
        self.device = model.device
        self.layers = config.num_hidden_layers
        self.rope_base = config.rope_parameters["rope_theta"]
        self.budgets = [budget] * self.layers
        if variant is not None and variant.tilt:
            middle = (self.layers - 1) / 2
            self.budgets = [round(budget * (1 + variant.tilt * (middle - i) / middle)) for i in range(self.layers)]
        self.keys, self.values, self.places = ([None] * self.layers for _ in range(3))
        self.queries = [None] * self.layers
        self.query_sum = [0] * self.layers
        self.given_up = [None] * self.layers
        self.position = 0

    def attend(self, module, query, key, value, *_, scaling=None, **__):
        """Attention over the layer's cache and the piece itself; called by transformers for each layer."""
        layer = module.layer_idx
        places = torch.arange(self.position, self.position + key.shape[2], device=self.device, dtype=torch.int32)
        places = places.expand(*key.shape[:2], -1)
        for store, new in ((self.keys, key), (self.values, value), (self.places, places)):
            store[layer] = new if store[layer] is None else torch.cat((store[layer], new), 2)
        keys, values = self.keys[layer], self.values[layer]
        if self.given_up[layer] is not None:
            count, key_sum, value_sum = self.given_up[layer]
            keys = torch.cat(((key_sum / count)[:, :, None].to(keys.dtype), keys), 2)
            values = torch.cat(((value_sum / count)[:, :, None].to(values.dtype), values), 2)
        many, rows = query.shape[2], keys.shape[2]
        mask = torch.ones(many, rows, dtype=torch.bool, device=self.device).tril(rows - many)
        self.queries[layer] = query
        output = torch.nn.functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=mask, scale=scaling, enable_gqa=True
        )
        return output.transpose(1, 2).contiguous(), None

    def evict(self):
        """After a piece: every layer gives up rows until its budget remains."""
        pins, typed = None, None
        for layer in range(self.layers):
            keys, places = self.keys[layer], self.places[layer]
            budget, variant = self.budgets[layer], self.variant
            s, h, n, d = keys.shape
            query = self.queries[layer]
            if variant.expected:
                where = torch.arange(self.position - query.shape[2], self.position, device=self.device)
                flat = turned_back(query, where.expand(*query.shape[:3]), self.rope_base, True)
                self.query_sum[layer] = self.query_sum[layer] + flat.sum(2)
            if n < budget + INTERVAL:
                continue
            if pins is None:
                pins = torch.zeros(s, self.position, dtype=torch.bool, device=self.device)
                typed = pins.clone()
                for i, text in enumerate(self.texts):
                    for first, end in pinned_range(text, self.position, budget):
                        pins[i, first:end] = True
                    for first, end in text.prompts:
                        typed[i, first:end] = True
            at = places.long()
            of = lambda mask: mask[:, None].expand(s, h, -1).gather(2, at)
            everything = torch.ones(s, 1, n, dtype=torch.bool, device=self.device)
            older = torch.arange(n, device=self.device).expand(s, 1, n)
            here = variant
            if variant.stream and layer % variant.stream == 0:
                here = Variant(att=0, recent_only=1, prompt=variant.prompt)
            rows = Rows(
                keys, self.values[layer], places,
                query[:, :, -variant.window :][:, :, variant.every - 1 :: variant.every].float().reshape(s, h, -1, d),
                everything, older < n - variant.recency, older < n - min(variant.recency, variant.window),
                None, self.rope_base, halves=True, pinned=of(pins), of_prompt=of(typed),
                mean_query=(self.query_sum[layer] / self.position).unflatten(1, (h, -1)) if variant.expected else None,
            )  # fmt: skip
            budgets = torch.full((s,), budget, device=self.device)
            scores = score(here, rows, None, None, self.position, budgets)
            stays = choose(here, rows, scores, budgets, torch.zeros_like(budgets), None)
            if variant.means:
                gone = (~stays)[..., None]
                sums = [n - budget, (keys * gone).float().sum(2), (self.values[layer] * gone).float().sum(2)]
                before = self.given_up[layer] or [0, 0, 0]
                self.given_up[layer] = [a + b for a, b in zip(before, sums)]
            order = (~stays).to(torch.uint8).argsort(dim=-1, stable=True)[..., :budget]
            for store in (self.keys, self.values):
                store[layer] = store[layer].gather(2, order[..., None].expand(-1, -1, -1, d))
            self.places[layer] = places.gather(2, order)

    @torch.inference_mode()
    def read(self) -> list[list[Answers]]:
        """What the model makes of the spans of each text."""
        longest = max(len(t.tokens) for t in self.texts)
        longest += -longest % INTERVAL
        tokens = torch.zeros(len(self.texts), longest + 1, dtype=torch.long)
        wanted = torch.zeros(len(self.texts), longest + 1, dtype=torch.bool)
        for i, text in enumerate(self.texts):
            tokens[i, : len(text.tokens)] = torch.tensor(text.tokens)
            for first, end, _ in text.spans:
                wanted[i, first:end] = True
        tokens, wanted = tokens.to(self.device), wanted.to(self.device)
        loss = torch.zeros(wanted.shape, device=self.device)
        likeliest = torch.zeros(wanted.shape, dtype=torch.bool, device=self.device)
        ALL_ATTENTION_FUNCTIONS.register("evicting", self.attend)
        self.model.config._attn_implementation = "evicting"
        for begin in range(0, longest, INTERVAL):
            end = begin + INTERVAL
            self.position = begin
            hidden = self.model.model(
                input_ids=tokens[:, begin:end],
                attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=self.device),  # ours, in attend
                position_ids=torch.arange(begin, end, device=self.device)[None],
                use_cache=False,
            ).last_hidden_state
            asked = wanted[:, begin + 1 : end + 1]
            if asked.any():
                logits = self.model.lm_head(hidden[asked]).float()
                truth = tokens[:, begin + 1 : end + 1][asked]
                loss[:, begin + 1 : end + 1][asked] = torch.nn.functional.cross_entropy(logits, truth, reduction="none")
                likeliest[:, begin + 1 : end + 1][asked] = logits.argmax(-1) == truth
            self.position = end
            if self.variant is not None:
                self.evict()
        loss, likeliest = loss.cpu(), likeliest.cpu()
        return [
            [
                Answers(kind, loss[i, a:b].mean().item(), bool(likeliest[i, a:b].all()), b - a)
                for a, b, kind in text.spans
            ]
            for i, text in enumerate(self.texts)
        ]
