"""A cache that evicts like the real one, from hashes instead of a model: always the same rows."""

import hashlib
import math

SINKS = 4
RECENCY = 64


def noise(*key):
    """A number in (0, 1) that depends on the key alone."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=7).digest()
    return (int.from_bytes(digest, "big") + 1) / (2**56 + 1)


def value_range(layer, head, position):
    outlier = noise("outlier", layer, head, position) < 0.04
    spread = 1.2 + 0.5 * math.sqrt(-2 * math.log(noise("range", layer, head, position)))
    return round(spread * (3.2 if outlier else 1) * (0.3 if position < SINKS else 1), 3)


class HeadCache:
    """One head's rows, advanced token by token to any length."""

    def __init__(self, layer, head, budget, interval, prompt):
        self.layer, self.head = layer, head
        self.budget, self.interval, self.prompt = budget, interval, prompt
        self.tokens = 0
        self.evictions = 0
        self.rows = {}  # position -> reason

    def advance(self, tokens):
        while self.tokens < tokens:
            if self.budget and len(self.rows) == self.budget + self.interval:
                self.evict()
            self.rows[self.tokens] = "recent"
            self.tokens += 1

    def evict(self):
        """Sinks, pinned prompt and recent rows stay; a quarter by range; the others by lot."""
        self.evictions += 1
        candidates = [p for p in self.rows if p < self.tokens - RECENCY]
        kept = {p: "recent" for p in self.rows if p >= self.tokens - RECENCY}
        for p in candidates:
            if p < SINKS:
                kept[p] = "sink"
            elif p < self.prompt:
                kept[p] = "pinned"
        free = [p for p in candidates if p not in kept]
        free.sort(key=lambda p: -value_range(self.layer, self.head, p))
        protect = self.budget // 4
        kept.update({p: "protected" for p in free[:protect]})
        lots = sorted(free[protect:], key=self.lot, reverse=True)
        kept.update({p: "drawn" for p in lots[: self.budget - len(kept)]})
        self.rows = kept

    def lot(self, position):
        """Newer rows weigh more."""
        key = "lot", self.layer, self.head, position, self.evictions
        return math.log(noise(*key)) / (position + 9)

    def reason(self, position):
        return "sink" if position < SINKS else self.rows[position]

    def report(self):
        positions = sorted(self.rows)
        return {
            "layer": self.layer,
            "head": self.head,
            "tokens": self.tokens,
            "evictions": self.evictions,
            "rows": len(positions),
            "positions": positions,
            "ranges": [value_range(self.layer, self.head, p) for p in positions],
            "reasons": [self.reason(p) for p in positions],
        }
