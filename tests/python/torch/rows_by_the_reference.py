"""Which rows a VaseCache must hold, worked out again with vase.select from the keys, values and queries that its layers were given."""

from contextlib import contextmanager

import numpy as np
import torch

import vase
from vase.hf.layer import VaseLayer


class Head:
    """What one layer and sequence was given so far, and the rows that each KV head has left."""

    def __init__(self):
        self.keys, self.values, self.queries = [], [], []
        self.rows = None  # [KV heads, rows] token positions
        self.evictions = 0


class RowsByTheReference:
    def __init__(self, cache):
        self.cache = cache
        self.heads = {}
        self.scaling = None

    @contextmanager
    def watching(self):
        """Sees what the layers of the cache are given meanwhile."""
        update, attend = VaseLayer.update, VaseLayer.attend
        given = {}

        def taken(layer, key, value, *rest, **more):
            shown = update(layer, key, value, *rest, **more)
            given[layer] = layer.stored(key, value)
            return shown

        def seen(layer, query, key, value, padding, attend_to, scaling):
            if layer in given:  # else it is another layer's look at the same rows
                self._take(self.cache.bounded_layers.index(layer), query, *given.pop(layer), padding, scaling)
            return attend(layer, query, key, value, padding, attend_to, scaling)

        VaseLayer.update, VaseLayer.attend = taken, seen
        try:
            yield
        finally:
            VaseLayer.update, VaseLayer.attend = update, attend

    def _take(self, index, query, key, value, padding, scaling):
        self.scaling = scaling
        for b in range(key.shape[0]):
            columns = slice(None) if padding is None else padding[b].bool()
            head = self.heads.setdefault((index, b), Head())
            alone = query.shape[2] == 1
            new = [part[b].float()[:, columns].transpose(0, 1) for part in (key, value, query)]
            room = self.cache.bounded_layers[index].room
            limit = room.capacity if alone else room.prompt
            if head.rows is None:
                head.rows = np.zeros((key.shape[1], 0), np.int32)
            if getattr(self.cache.bounded_layers[index], "_is_shared", False):
                rows, count = head.rows.shape[1], len(new[0])
                if rows > room.budget and rows + count > room.capacity:
                    self._evict(index, b, head)
            for k, v, q in zip(*new):
                if head.rows.shape[1] >= limit:
                    self._evict(index, b, head)
                position = len(head.keys)
                head.keys.append(k)
                head.values.append(v)
                head.queries.append(q)
                head.rows = np.pad(head.rows, ((0, 0), (0, 1)), constant_values=position)
            if head.rows.shape[1] > room.capacity:
                self._evict(index, b, head)

    def _evict(self, index, b, head):
        p = self.cache.parameters
        layer = self.cache.bounded_layers[index]
        keys, values = torch.stack(head.keys), torch.stack(head.values)  # [tokens, heads, dim]
        rows = torch.from_numpy(head.rows).long()
        at = rows.T[..., None]
        options = {name: value for name, value in self.cache._options.items() if name not in ("interval", "window")}
        if p["uses_rope"] and layer.rope is not None:
            options["rope"] = layer.rope
        if p["needs_queries"]:
            places = sorted(range(max(0, len(head.queries) - p["window"]), len(head.queries)), key=lambda t: t % p["window"])
            options["queries"] = torch.stack([head.queries[t] for t in places], dim=1)  # as a ring has them
            if self.scaling is not None:
                options["scale"] = self.scaling
        mask = vase.select(
            keys.gather(0, at.expand(-1, -1, keys.shape[2])),
            values.gather(0, at.expand(-1, -1, values.shape[2])),
            policy=p["policy"],
            budget=p["budget"],
            positions=torch.from_numpy(head.rows),
            sequence=b,
            eviction=head.evictions,
            layer=index,
            **options,
        )
        head.evictions += 1
        head.rows = head.rows[mask.numpy()].reshape(len(head.rows), -1)

    def check(self):
        """Each head of each layer and sequence holds the rows, and the keys and values, of these tokens."""
        for (index, b), head in self.heads.items():
            layer = self.cache.bounded_layers[index]
            positions = self.cache.positions(index, b)
            assert (np.sort(positions) == np.sort(head.rows)).all(), f"layer {index}, sequence {b}: other rows than vase.select's"
            for held, given in ((layer.keys, head.keys), (layer.values, head.values)):
                given = torch.stack(given)
                for h, tokens in enumerate(positions):
                    assert torch.equal(held[b, h, : len(tokens)].float(), given[tokens, h]), f"layer {index}: another token's row"
