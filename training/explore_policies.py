"""Tries out eviction policies that do not exist yet, many at once, on the reasoner.

    vase tasks make --split tune --tier 4k --count 32 --output tune.jsonl
    python explore_policies.py --problems tune.jsonl --variants "rkv vase,prompt=1 att,draw=1,red=2" \\
        --lengths lengths.json --out explore.json

A variant is a word list: a starting point and settings that change it (see `Variant`). Formulas are
written in plain PyTorch, so that one is tried in a line; what wins here is then written in C++ and
measured by `vase eval`. Only problems of the split "tune" should be given to it.
"""

import argparse
import json
import math
import os
import time
from collections import defaultdict
from dataclasses import dataclass, fields, replace
from pathlib import Path

import gguf
import torch

from adapter_file import read_adapter
from decode import Decoder
from evaluate import final_answer
from make_data import END, prompt_text
from smollm import SmolLM
from smollm_tokenizer import load_tokenizer

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
    raw: float = 0.0  # 1: logarithms of leverage as they are; 2: leverage itself; both not standardised
    joint: float = 0.0  # z(log of the leverage of key and value as one vector)
    ridge: float = 0.1  # of leverage, in parts of the mean variance
    value_red: float = 0.0  # takes away so much * z(mean cosine to the other values)
    coherent: float = 0.0  # 1: one choice for all layers and heads, by the mean of their z scores
    fixed: float = 0.0  # 1: the noise of a token stays the same at each eviction
    recent_only: float = 0.0  # 1: the newest rows


STARTS = {
    "att": Variant(),
    "snapkv": Variant(),
    "rkv": Variant(rkv=1),
    "vase": Variant(draw=1, protect=0.25),
    "random": Variant(att=0, draw=1),
    "streaming": Variant(att=0, recent_only=1),
    "cur": Variant(att=0, cur=1),
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

    def attention(self, variant: Variant):
        s, h, n, d = self.keys.shape
        logits = self.queries @ self.keys.float().transpose(-1, -2) * d**-0.5
        logits = logits.masked_fill(~self.older[:, :, None], -math.inf)
        weights = logits.softmax(-1)
        if variant.peak:
            weights = weights.amax(2)
        else:
            weights = weights.mean(2)
        return pooled(weights, variant.pool) if variant.pool > 1 else weights

    def centred(self, x):
        """Keys or values less the mean of the candidates' [s, h, n, d]."""
        x, mask = x.float(), self.candidate[..., None]
        count = self.candidate.sum(-1)[..., None, None].clamp(min=1)
        return x - (x * mask).sum(2, keepdim=True) / count

    def leverage_scores(self, x, ridge: float):
        """x (X'X + r I)^-1 x of the centred rows, r in parts of the mean variance."""
        x = self.centred(x)
        kept = x * self.candidate[..., None]
        gram = kept.transpose(-1, -2) @ kept
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


def log_norm(x):
    return x.float().norm(dim=-1).clamp(min=1e-6).log()


def gumbel(variant: Variant, rows: Rows, noise):
    """Gumbel noise [s, h, n]; `noise` [h, tokens]: uniform numbers for draws that are fixed."""
    if variant.fixed:
        s, h, n = rows.tokens.shape
        uniform = noise.expand(s, *noise.shape).gather(2, rows.tokens.long())
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
        result += variant.att * (attention + 1e-9).log()
    if variant.red:
        result -= variant.red * standardised(rows.similarity(rows.keys), rows.candidate)
    if variant.wide:
        result += variant.wide * standardised(rows.ranges(), rows.candidate)
    if variant.age:
        result -= variant.age * (position - rows.tokens) / budgets[:, None, None]
    if variant.key:
        result += variant.key * standardised(log_norm(rows.keys), rows.candidate)
    if variant.value:
        result += variant.value * standardised(log_norm(rows.values), rows.candidate)
    apart = {"key_apart": rows.keys, "value_apart": rows.values}
    for name, x in apart.items():
        if weight := getattr(variant, name):
            result += weight * standardised(log_norm(rows.centred(x)), rows.candidate)
    leverages = {"key_lev": rows.keys, "value_lev": rows.values}
    for name, x in leverages.items():
        if weight := getattr(variant, name):
            scores = rows.leverage_scores(x, variant.ridge).clamp(min=1e-9)
            if variant.raw < 2:
                scores = scores.log()
            result += weight * (scores if variant.raw else standardised(scores, rows.candidate))
    if variant.joint:
        both = [x / x.float().std() for x in (rows.keys, rows.values)]
        scores = rows.leverage_scores(torch.cat(both, -1), variant.ridge).clamp(min=1e-9).log()
        result += variant.joint * standardised(scores, rows.candidate)
    if variant.value_red:
        result -= variant.value_red * standardised(rows.similarity(rows.values), rows.candidate)
    if variant.draw:
        result += variant.draw * gumbel(variant, rows, noise)
    return result


def ranks(scores):
    """The place of each score [s, h, n] among those of its head, the highest first."""
    return scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)


def keep_first(mask, count):
    """The first `count` [s] true ones of mask [s, h, n]."""
    return mask & (mask.cumsum(-1) <= count[:, None, None])


def choose(variant: Variant, rows: Rows, scores, budgets, prompts):
    """Which rows stay [s, h, n]: `budgets` [s] of them; all of a sequence that is not due."""
    due = rows.valid.sum(-1)[:, 0] >= budgets + INTERVAL
    fixed = rows.valid & ~rows.candidate | (rows.candidate & (rows.tokens < SINKS))
    if variant.prompt:
        of_prompt = rows.candidate & (rows.tokens < prompts[:, None, None])
        fixed |= keep_first(of_prompt, (budgets * variant.prompt).long())
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
    scores = scores.masked_fill(fixed, KEEP).masked_fill(~rows.valid, -math.inf)
    quota = torch.where(due, budgets, rows.valid.sum(-1)[:, 0])
    return (ranks(scores) < quota[:, None, None]) & rows.valid


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


def budgets_for(problems, divisor: float, lengths: dict) -> list[int]:
    """As `vase eval`: the mean length of the full cache over the divisor, in whole blocks."""
    groups = [lengths[f"{p['task']}/{p['tier']}"] for p in problems]
    return [max(128, round(g / divisor / INTERVAL) * INTERVAL) for g in groups]


def in_loop(tokens: list[int]) -> bool:
    """The last 3 repetitions of a period of at most 400 tokens are the end of the text."""
    for period in range(1, min(400, len(tokens) // 4)):
        tail = tokens[-3 * period :]
        if tail[:period] == tail[period : 2 * period] == tail[2 * period :]:
            return True
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=os.path.expanduser(
        "~/.cache/vase/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--adapter", type=Path, default=Path("models/vase-reasoner-lora.gguf"))
    parser.add_argument("--problems", type=Path, required=True)
    parser.add_argument("--variants", required=True, help="separated by blanks")
    parser.add_argument("--lengths", type=Path, required=True,
                        help='mean full-cache lengths: {"graph/4k": 4034, ...}')
    parser.add_argument("--divisor", type=float, default=4, help="budget: length over this")
    parser.add_argument("--tier", default="4k")
    parser.add_argument("--per-task", type=int)
    parser.add_argument("--batch", type=int, default=768)
    parser.add_argument("--limit", type=int, help="longest sequence (to try things out)")
    parser.add_argument("--layers", type=int, help="only the first layers (to try things out)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start nothing after them")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = True

    reader = gguf.GGUFReader(args.base)
    tokenizer = load_tokenizer(reader)
    end = tokenizer.token_to_id(END)
    model = SmolLM(reader, torch.bfloat16 if device.type == "cuda" else torch.float32, args.layers)
    model.load_adapter(read_adapter(args.adapter))
    model = model.to(device).requires_grad_(False)
    problems, taken = [], defaultdict(int)
    for line in args.problems.read_text().splitlines():
        problem = json.loads(line)
        taken[problem["task"]] += problem["tier"] == args.tier
        if problem["tier"] == args.tier and taken[problem["task"]] <= (args.per_task or math.inf):
            problems.append(problem)
    prompts = [tokenizer.encode(prompt_text(p["question"])).ids for p in problems]
    budgets = budgets_for(problems, args.divisor, json.loads(args.lengths.read_text()))
    limit = args.limit or int(args.tier[:-1]) * 1024 + 640
    names = args.variants.split()
    per_batch = max(1, args.batch // len(problems))
    results, begin = {}, time.time()
    if args.out.exists():
        results = json.loads(args.out.read_text())
        names = [n for n in names if n not in results]
    for first in range(0, len(names), per_batch):
        if time.time() - begin > args.seconds:
            print(f"stopped after {time.time() - begin:.0f} s; not tried: {names[first:]}")
            break
        part = names[first : first + per_batch]
        many = len(part)
        each = [parse_variant(name) for name in part for _ in problems]
        decoder = EvictingDecoder(
            model, each, budgets * many, [len(p) for p in prompts] * many, device
        )
        torch.manual_seed(1)
        replies = decoder.run(prompts * many, end, limit, " ".join(part))
        for i, name in enumerate(part):
            mine = replies[i * len(problems) : (i + 1) * len(problems)]
            results[name] = summarise(problems, prompts, mine, tokenizer, limit)
            print(row(name, results[name]), flush=True)
        args.out.write_text(json.dumps(results))
        del decoder
    print(f"{time.time() - begin:.0f} s in all")


def summarise(problems, prompts, replies, tokenizer, limit: int) -> dict:
    right, loops, examples = defaultdict(dict), 0, {}
    for problem, prompt, tokens in zip(problems, prompts, replies):
        reply = tokenizer.decode(tokens, skip_special_tokens=False)
        right[problem["task"]][problem["id"]] = final_answer(reply) == problem["answer"]
        if len(right[problem["task"]]) <= 2:
            examples[problem["id"]] = reply
        loops += len(prompt) + len(tokens) >= limit and in_loop(tokens)
    tokens = sum(map(len, replies)) / len(replies)
    return {"right": right, "loops": loops, "tokens": tokens, "examples": examples}


def row(name: str, result: dict) -> str:
    tasks = {t: sum(r.values()) / len(r) for t, r in sorted(result["right"].items())}
    mean = sum(tasks.values()) / len(tasks)
    cells = " ".join(f"{t[:5]} {v:4.0%}" for t, v in tasks.items())
    return f"{mean:6.1%}  {cells}  loops {result['loops']}  {result['tokens']:.0f} tokens  {name}"


if __name__ == "__main__":
    main()
