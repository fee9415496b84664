"""Eviction policies in plain PyTorch, to try formulas out: what a variant is, its scores, its choice."""

import math
from dataclasses import dataclass, fields, replace

import torch

INTERVAL = 64  # budgets are multiples of it, so that all sequences evict at the same positions
SINKS = 4
KEEP = 1e30  # a score that is always high enough


@dataclass(frozen=True)
class Variant:
    """What a policy does. Weights are per row; the logarithm of a row's weight is
    att * log(attention) - red * z(similarity) + wide * z(value range) - age * tokens / budget."""

    att: float = 1.0
    red: float = 0.0
    wide: float = 0.0
    age: float = 0.0
    draw: float = 0.0  # 0: keep the highest; else the scale of the Gumbel noise
    protect: float = 0.0  # share of the budget kept for its value range
    outliers: float = 0.0  # or: rows whose range is so many deviations above the median
    prompt: float = 0.0  # share of the budget that may be pinned for the prompt
    recency: int = 64
    window: int = 64  # newest queries that score
    every: int = 1  # but only each so many-th of them
    history: float = 0.0  # decay of the highest attention seen before, per eviction; 0: no memory
    peak: float = 0.0  # 1: the highest attention over queries and heads, not the mean
    pool: int = 5
    rkv: float = 0.0  # 1: R-KV's own score
    cur: float = 0.0  # 1: leverage instead of attention
    key: float = 0.0  # adds so much * z(log of the key's norm)
    value: float = 0.0  # and of the value's
    key_apart: float = 0.0  # z(log of the key's distance from the candidates' mean)
    value_apart: float = 0.0  # and of the value's
    key_lev: float = 0.0  # z(log of the key's ridge leverage)
    value_lev: float = 0.0  # and of the value's
    raw: float = 0.0  # 1: logarithms as they are, not standardised; 2: leverage itself
    joint: float = 0.0  # z(log of the leverage of key and value as one vector)
    ridge: float = 1.0  # of leverage, in parts of the mean variance
    highest: float = 0.0  # 1: the higher of key's and value's leverage, not their sum
    running: float = 0.0  # 1: leverage against all rows there ever were, not against those that stay
    online: float = 0.0  # 1: a row keeps the first score that it got
    derot: float = 0.0  # 1: leverage of keys as they were before their rotation
    wo: float = 0.0  # 1: leverage of values as the output projection sees them
    pool_mean: int = 0  # scores averaged over so many neighbouring rows
    pool_max: int = 0  # the highest score of so many neighbouring rows
    value_red: float = 0.0  # takes away so much * z(mean cosine to the other values)
    coherent: float = 0.0  # 1: one choice for all layers and heads, by the mean of their z scores
    fixed: float = 0.0  # 1: the noise of a token stays the same at each eviction
    recent_only: float = 0.0  # 1: the newest rows
    soft: int = 0  # rows younger than so many get `boost` on top of their score
    boost: float = 0.0
    sample: float = 0.0  # share of the budget for a uniform sample of all rows ever
    gram_all: float = 0.0  # 1: leverage against the newest rows as well
    novel: float = 0.0  # adds so much * log(squared distance of the key to the nearest newer key)
    newer: int = 0  # among the newest so many rows; 0: among all
    novel_low: float = 1.0  # share of the rotation's pairs, the slowest, that novelty looks at
    novel_white: float = 0.0  # 1: distances in the metric of the candidates' inverse Gram matrix
    novel_soft: float = 0.0  # p: 1 / (sum of squared distance to the power of -p), not the nearest
    novel_cap: float = 0.0  # the squared distance counts as at most that
    cap_of: float = 0.0  # in parts of: 0: 1; 1: the median; 2: the mean squared length about the mean
    cap_rank: float = 0.0  # or: at most this quantile of the candidates'
    cap_crowd: float = 0.0  # 1: the cap is the distance of one more newer row, to every row
    value_novel: float = 0.0  # as novel, of values
    gram_novel: float = 0.0  # 1: a row enters the Gram matrices by d / (d + median d), d its novelty
    prompt_boost: float = 0.0  # rows of the prompt that are not pinned get so much on top
    prompt_top: float = 0.0  # 1: of the prompt the highest scores are pinned, not the first rows
    protect_att: float = 0.0  # share of the budget kept for its attention
    overlap: float = 0.0  # 1: that share times how much of it the older half of the queries foretold
    heed: float = 0.0  # share of the budget: att times how much of so many top rows a head's older queries foretold
    expected: float = 0.0  # adds so much * z(product of the turned-back key with the mean query so far)
    tilt: float = 0.0  # budgets from (1 + tilt) of the mean in the first layer to (1 - tilt) in the last
    stream: int = 0  # every so many layers, the newest rows alone
    means: float = 0.0  # 1: one row more, the mean of the rows given up


STARTS = {
    "att": Variant(),
    "snapkv": Variant(),
    "rkv": Variant(rkv=1),
    "vase": Variant(draw=1, protect=0.25),
    "random": Variant(att=0, draw=1),
    "streaming": Variant(att=0, recent_only=1),
    "cur": Variant(att=0, cur=1),
    # vase-plus as it is (src/policy/vase_plus.cpp), but for its smallest distance
    "plus": Variant(
        att=0, prompt=0.5, derot=1, raw=1, value_apart=1, novel=1 / 3, novel_soft=3, newer=256
    ),
}


def parse_variant(text: str) -> Variant:
    start, *settings = text.split(",")
    known = {f.name: f.type for f in fields(Variant)}
    changes = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in known:
            raise SystemExit(f'"{name}" in "{text}" is no setting; there are {", ".join(known)}')
        changes[name] = int(value) if known[name] is int else float(value)
    if start not in STARTS:
        raise SystemExit(f'"{start}" is no start; there are {", ".join(STARTS)}')
    return replace(STARTS[start], **changes)


def standardised(x, mask):
    """(x - mean) / deviation over the masked rows of the last dimension."""
    count = mask.sum(-1, keepdim=True).clamp(min=1)
    mean = (x * mask).sum(-1, keepdim=True) / count
    deviation = (((x - mean) * mask).pow(2).sum(-1, keepdim=True) / count).sqrt()
    return (x - mean) / (deviation + 1e-9)


def pooled(x, width: int):
    return torch.nn.functional.avg_pool1d(x, width, 1, width // 2, count_include_pad=True)


def turned_back(x, tokens, base: float, halves: bool = False):
    """x [..., n, d] without the rotation of token positions [..., n]. Pairs are neighbours or, with
    `halves`, an element of the first half and one of the second."""
    half = x.shape[-1] // 2
    exponents = torch.arange(half, device=x.device, dtype=torch.float32) / half
    angles = tokens[..., None].float() * base**-exponents
    cos, sin = angles.cos(), angles.sin()
    if halves:
        first, second = x.float().chunk(2, -1)
        return torch.cat((first * cos + second * sin, second * cos - first * sin), -1)
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos + odd * sin, odd * cos - even * sin), -1).flatten(-2)


class Moments:
    """Count, sum and Gram matrix of all rows [s, h, n, d] that were ever added."""

    def __init__(self, s: int, h: int, d: int, device):
        self.count = torch.zeros(s, 1, device=device)
        self.total = torch.zeros(s, h, d, device=device)
        self.gram = torch.zeros(s, h, d, d, device=device)

    def add(self, x, mask):
        """Those rows of x [s, h, n, d] where mask [s, 1, n] is true."""
        x = x * mask[..., None]
        self.count += mask.sum(-1)
        self.total += x.sum(2)
        self.gram += x.transpose(-1, -2) @ x

    def mean(self):
        return self.total / self.count.clamp(min=1)[..., None]

    def centred_gram(self):
        mean = self.mean()
        return self.gram - self.count[..., None, None] * mean[..., None] * mean[..., None, :]


@dataclass
class Rows:
    """Rows of one layer for sequences [s] and KV heads [h]."""

    keys: torch.Tensor  # [s, h, n, d]
    values: torch.Tensor  # [s, h, n, d]
    tokens: torch.Tensor  # [s, h, n] token positions
    queries: torch.Tensor  # [s, h, group * window, d]
    valid: torch.Tensor  # [s, 1, n]
    candidate: torch.Tensor  # [s, 1, n] valid and not in the recency window
    older: torch.Tensor  # [s, 1, n] valid and older than the queries that score
    output: torch.Tensor  # [h, d, d] M, so that |v M| is what the output projection makes of |v|
    rope_base: float
    seen_keys: "Moments | None" = None  # of all rows there ever were
    seen_values: "Moments | None" = None
    halves: bool = False  # how RoPE pairs the elements of a key (turned_back)
    pinned: "torch.Tensor | None" = None  # [s, 1 or h, n] instead of the first rows of the prompt
    of_prompt: "torch.Tensor | None" = None  # [s, h, n] what the user wrote, pinned or not
    mean_query: "torch.Tensor | None" = None  # [s, h, group, d] of all tokens so far, before RoPE

    def attention(self, variant: Variant, part: slice = slice(None)):
        """Attention [s, h, n] of the newest queries, or of a part of them along the window."""
        s, h, n, d = self.keys.shape
        queries = self.queries
        if part != slice(None):
            queries = queries.unflatten(2, (-1, variant.window // variant.every))[:, :, :, part].flatten(2, 3)
        logits = queries @ self.keys.float().transpose(-1, -2) * d**-0.5
        logits = logits.masked_fill(~self.older[:, :, None], -math.inf)
        weights = logits.softmax(-1)
        if variant.peak:
            weights = weights.amax(2)
        else:
            weights = weights.mean(2)
        return pooled(weights, variant.pool) if variant.pool > 1 else weights

    def foretold(self, variant: Variant, count: int):
        """Share [s, h] of the `count` rows that the newer half of the queries attends to most which
        the older half would have named."""
        halves = []
        half = variant.window // variant.every // 2
        for part in (slice(0, half), slice(half, None)):
            weights = self.attention(variant, part).masked_fill(~self.candidate, -1)
            halves.append(ranks(weights) < count)
        return (halves[0] & halves[1]).sum(-1) / count

    def expected(self):
        """Mean over the group's heads of what their mean query makes of each key [s, h, n], both
        before RoPE: TriAttention's idea at no distance, with queries that were gathered on the way."""
        keys = self.centred(turned_back(self.keys, self.tokens, self.rope_base, self.halves))
        return torch.einsum("shgd,shnd->shn", self.mean_query, keys)

    def newest(self, count: int):
        """The newest rows [s, 1, n] of each sequence."""
        rank = self.valid.sum(-1, keepdim=True) - 1 - torch.arange(
            self.valid.shape[-1], device=self.valid.device
        )
        return self.valid & (rank < count)

    def novelty(self, variant: Variant, x):
        """Squared distance of each row of x [s, h, n, d] to the nearest newer one [s, h, n]."""
        n = x.shape[2]
        if variant.novel_low < 1:
            x = x[..., x.shape[-1] - round(variant.novel_low * x.shape[-1]) :]
        if variant.novel_white:
            x = self.whitened(x, variant.novel_white)
        newer = torch.ones(n, n, device=x.device).triu(1).bool() & self.valid[..., None, :]
        if variant.newer:
            newer = newer & self.newest(variant.newer)[..., None, :]
        squares = x.pow(2).sum(-1)
        apart = squares[..., None] + squares[..., None, :] - 2 * x @ x.transpose(-1, -2)
        if variant.novel_soft:
            crowd = (apart.clamp(min=1e-3).pow(-variant.novel_soft) * newer).sum(-1).clamp(min=1e-30)
            return self.capped(variant, x, crowd)
        return apart.masked_fill_(~newer, 1e9).amin(-1).clamp(min=1e-6)

    def capped(self, variant: Variant, x, crowd):
        """1 / crowd [s, h, n], the sum of squared distances to the power of -p, at most the cap's."""
        power = variant.novel_soft
        if not (variant.novel_cap or variant.cap_rank):
            return crowd.reciprocal()
        of_candidates = crowd.masked_fill(~self.candidate, math.nan)
        if variant.cap_rank:
            least = of_candidates.nanquantile(1 - variant.cap_rank, -1, keepdim=True)
        elif variant.cap_of == 1:
            least = of_candidates.nanmedian(-1, keepdim=True).values * variant.novel_cap**-power
        elif variant.cap_of == 2:
            lengths = self.centred(x).pow(2).sum(-1) * self.candidate
            mean = lengths.sum(-1, keepdim=True) / self.candidate.sum(-1, keepdim=True).clamp(min=1)
            least = (variant.novel_cap * mean).clamp(min=1e-3).pow(-power)
        else:
            least = torch.full_like(crowd[..., :1], variant.novel_cap**-power)
        return (crowd + least if variant.cap_crowd else crowd.maximum(least)).reciprocal()

    def whitened(self, x, ridge: float):
        """x [s, h, n, d] such that the candidates' Gram matrix is the unit matrix, but for a ridge."""
        kept = self.centred(x) * self.candidate[..., None]
        gram = kept.transpose(-1, -2) @ kept
        many = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        gram = gram / many + ridge * torch.eye(x.shape[-1], device=x.device)
        half = torch.linalg.solve_triangular(
            torch.linalg.cholesky(gram), self.centred(x).transpose(-1, -2), upper=False
        )
        return half.transpose(-1, -2)

    def centred(self, x):
        """Keys or values less the mean of the candidates' [s, h, n, d]."""
        x, mask = x.float(), self.candidate[..., None]
        count = self.candidate.sum(-1)[..., None, None].clamp(min=1)
        return x - (x * mask).sum(2, keepdim=True) / count

    def key_vectors(self, variant: Variant):
        """The keys [s, h, n, d], without their rotation if the variant says so."""
        if not variant.derot:
            return self.keys.float()
        return turned_back(self.keys, self.tokens, self.rope_base, self.halves)

    def value_vectors(self, variant: Variant):
        return self.values.float() @ self.output if variant.wo else self.values.float()

    def leverage_scores(self, x, ridge: float, seen=None, everything=False, weights=None):
        """x (X'X + r I)^-1 x of the centred rows, r in parts of the mean variance."""
        if seen is None:
            x = self.centred(x)
            kept = x * (self.valid if everything else self.candidate)[..., None]
            if weights is not None:
                kept = kept * weights[..., None].sqrt()
            gram = kept.transpose(-1, -2) @ kept
        else:
            x, gram = x - seen.mean()[:, :, None], seen.centred_gram()
        ridge = ridge * gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None] + 1e-6
        gram = gram + ridge * torch.eye(x.shape[-1], device=x.device)
        half = torch.linalg.solve_triangular(
            torch.linalg.cholesky(gram), x.transpose(-1, -2), upper=False
        )
        return half.pow(2).sum(-2)

    def similarity(self, x):
        """Mean cosine to the other candidates."""
        unit = torch.nn.functional.normalize(x.float(), dim=-1)
        unit = unit * self.candidate[..., None]
        count = self.candidate.sum(-1, keepdim=True).clamp(min=1)
        return ((unit * unit.sum(2, keepdim=True)).sum(-1) - 1) / count

    def ranges(self):
        return (self.values.amax(-1) - self.values.amin(-1)).float()

    def leverage(self):
        d = self.keys.shape[-1]
        g = torch.randn(d, 20, device=self.keys.device) / 20**0.5
        return (self.keys.float() @ g).pow(2).sum(-1) * (self.values.float() @ g).pow(2).sum(-1)


def on_scale(variant: Variant, logarithms, rows: Rows):
    """Logarithms [s, h, n] as they enter the score: standardised, unless the variant is `raw`."""
    return logarithms if variant.raw else standardised(logarithms, rows.candidate)


def log_norm(x):
    return x.float().norm(dim=-1).clamp(min=1e-6).log()


def of_tokens(noise, rows: Rows):
    """What `noise` [h, tokens] has for each row [s, h, n]."""
    return noise.expand(rows.tokens.shape[0], *noise.shape).gather(2, rows.tokens.long())


def gumbel(variant: Variant, rows: Rows, noise):
    """Gumbel noise [s, h, n]; `noise` [h, tokens]: uniform numbers for draws that are fixed."""
    if variant.fixed:
        uniform = of_tokens(noise, rows)
    else:
        uniform = torch.rand(rows.tokens.shape, device=rows.keys.device)
    return -(-uniform.clamp(1e-9, 1 - 1e-7).log()).log()


def score(variant: Variant, rows: Rows, memory, noise, position: int, budgets):
    """Scores [s, h, n] of which the highest stay. `memory` [s, h, n] is read and written."""
    if variant.cur:
        return rows.leverage()
    if variant.recent_only:
        return rows.tokens.float()
    attention = None
    if variant.att or variant.rkv:
        attention = rows.attention(variant)
        if variant.history:
            attention = torch.maximum(attention, memory * variant.history)
            memory.copy_(attention)
    if variant.rkv:
        redundancy = rows.similarity(rows.keys).masked_fill(~rows.candidate, -math.inf).softmax(-1)
        return 0.5 * attention - 0.5 * redundancy
    result = torch.zeros(rows.keys.shape[:3], device=rows.keys.device)
    if variant.att:
        heed = rows.foretold(variant, int(budgets[0] * variant.heed))[..., None] if variant.heed else 1
        result += variant.att * heed * (attention + 1e-9).log()
    if variant.red:
        result -= variant.red * standardised(rows.similarity(rows.keys), rows.candidate)
    if variant.wide:
        ranges = rows.ranges()
        result += variant.wide * (
            (ranges + 1e-6).log() if variant.raw else standardised(ranges, rows.candidate)
        )
    if variant.age:
        result -= variant.age * (position - rows.tokens) / budgets[:, None, None]
    if variant.key:
        result += variant.key * standardised(log_norm(rows.keys), rows.candidate)
    if variant.value:
        log = log_norm(rows.values)
        result += variant.value * on_scale(variant, log, rows)
    apart = {"key_apart": rows.keys, "value_apart": rows.values}
    for name, x in apart.items():
        if weight := getattr(variant, name):
            log = log_norm(rows.centred(x))
            result += weight * on_scale(variant, log, rows)
    if variant.key_lev or variant.value_lev:
        result += leverages(variant, rows)
    if variant.novel:
        result += variant.novel * rows.novelty(variant, rows.key_vectors(variant)).log()
    if variant.value_novel:
        values = rows.value_vectors(variant)
        result += variant.value_novel * rows.novelty(variant, values).log()
    if variant.expected:
        result += variant.expected * standardised(rows.expected(), rows.candidate)
    if variant.soft:
        result += variant.boost * rows.newest(variant.soft)
    if variant.joint:
        both = [x / x.float().std() for x in (rows.keys, rows.values)]
        scores = rows.leverage_scores(torch.cat(both, -1), variant.ridge).clamp(min=1e-9).log()
        result += variant.joint * standardised(scores, rows.candidate)
    if variant.value_red:
        result -= variant.value_red * standardised(rows.similarity(rows.values), rows.candidate)
    if variant.pool_mean:
        result = pooled(result, variant.pool_mean)
    if variant.pool_max:
        result = torch.nn.functional.max_pool1d(result, variant.pool_max, 1, variant.pool_max // 2)
    if variant.online:
        result = torch.where(memory == 0, result, memory)
        memory.copy_(torch.where(rows.candidate, result, 0))
    if variant.draw:
        result += variant.draw * gumbel(variant, rows, noise)
    return result


def leverages(variant: Variant, rows: Rows):
    """What leverage of keys and values adds to the scores [s, h, n]."""
    weighted, weights = [], None
    if variant.gram_novel:
        apart = rows.novelty(variant, rows.key_vectors(variant))
        apart_of = apart.masked_fill(~rows.candidate, math.nan)
        weights = apart / (apart + apart_of.nanmedian(-1, keepdim=True).values)
    for weight, x, seen in (
        (variant.key_lev, rows.key_vectors(variant), rows.seen_keys),
        (variant.value_lev, rows.value_vectors(variant), rows.seen_values),
    ):
        if not weight:
            continue
        everything = bool(variant.gram_all)
        scores = rows.leverage_scores(x, variant.ridge, seen, everything, weights).clamp(min=1e-9)
        if variant.raw < 2:
            scores = scores.log()
        weighted.append(weight * on_scale(variant, scores, rows))
    return torch.stack(weighted).amax(0) if variant.highest else sum(weighted)


def ranks(scores):
    """The place of each score [s, h, n] among those of its head, the highest first."""
    return scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)


def keep_first(mask, count):
    """The first `count` [s] true ones of mask [s, h, n]."""
    return mask & (mask.cumsum(-1) <= count[:, None, None])


def choose(variant: Variant, rows: Rows, scores, budgets, prompts, noise):
    """Which rows stay [s, h, n]: `budgets` [s] of them; all of a sequence that is not due. `noise`
    [h, tokens]: uniform numbers, for samples."""
    due = rows.valid.sum(-1)[:, 0] >= budgets + INTERVAL
    fixed = rows.valid & ~rows.candidate | (rows.candidate & (rows.tokens < SINKS))
    of_prompt = rows.candidate & (
        rows.tokens < prompts[:, None, None] if rows.of_prompt is None else rows.of_prompt
    )
    if rows.pinned is not None:
        fixed |= rows.candidate & rows.pinned if variant.prompt else False
    elif variant.prompt and variant.prompt_top:
        prompt_scores = scores.masked_fill(~of_prompt, -math.inf)
        many = (budgets * variant.prompt).long()[:, None, None]
        fixed |= of_prompt & (ranks(prompt_scores) < many)
    elif variant.prompt:
        fixed |= keep_first(of_prompt, (budgets * variant.prompt).long())
    if variant.prompt_boost:
        scores = scores + variant.prompt_boost * of_prompt
    if variant.sample:
        uniform = of_tokens(noise, rows)
        share = variant.sample * budgets / (rows.tokens.amax((1, 2)) + 1)
        fixed |= rows.valid & (uniform < share[:, None, None])
    if variant.protect or variant.outliers:
        ranges = rows.ranges().masked_fill(~rows.candidate | fixed, -math.inf)
        if variant.protect:
            wide = ranks(ranges) < (budgets * variant.protect - SINKS).long()[:, None, None]
        else:
            median = ranges.masked_fill(ranges < 0, math.nan).nanmedian(-1, keepdim=True).values
            apart = (ranges - median).abs().masked_fill(ranges < 0, math.nan)
            deviation = 1.4826 * apart.nanmedian(-1, keepdim=True).values
            wide = ranges > median + variant.outliers * deviation
        scores = scores + wide * (KEEP / 1e6)
    if variant.protect_att:
        count = int(budgets[0] * variant.protect_att)
        attended = rows.attention(variant).masked_fill(~rows.candidate | fixed, -math.inf)
        share = rows.foretold(variant, count)[..., None] if variant.overlap else 1
        scores = scores + (ranks(attended) < count * share) * (KEEP / 1e6)
    scores = scores.masked_fill(fixed, KEEP).masked_fill(~rows.valid, -math.inf)
    quota = torch.where(due, budgets, rows.valid.sum(-1)[:, 0])
    return (ranks(scores) < quota[:, None, None]) & rows.valid
