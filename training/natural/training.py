"""LoRA training on chains: batches of like length, loss on the answers alone, the head in chunks."""

import math
import random
import time
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F


class Row(NamedTuple):
    """What is read and what is to be written behind it, as token ids."""

    prompt: list
    answer: list
    weight: float = 1.0  # of each token of the answer


def batches_of_like_length(lengths, tokens, rng):
    """Lists of row numbers, each list at most `tokens` cells when padded to its longest row (a longer
    row is alone), in random order."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + rng.random() * 64)
    batches, batch, longest = [], [], 0
    for index in order:
        if batch and max(longest, lengths[index]) * (len(batch) + 1) > tokens:
            batches.append(batch)
            batch, longest = [], 0
        batch.append(index)
        longest = max(longest, lengths[index])
    batches += [batch] if batch else []
    rng.shuffle(batches)
    return batches


def steps_of(lengths, epochs, tokens, step_tokens, seed):
    """The whole training as a list of steps, each a list of batches with `step_tokens` tokens or
    more. The same on every rank, and after a restart."""
    rng = random.Random(seed)
    steps, step, count = [], [], 0
    for _ in range(epochs):
        for batch in batches_of_like_length(lengths, tokens, rng):
            step.append(batch)
            count += sum(lengths[i] for i in batch)
            if count >= step_tokens:
                steps.append(step)
                step, count = [], 0
    return steps + ([step] if step else [])


def share_of(step, lengths, rank, world):
    """The batches of a step that a rank takes: by tokens, the longest first to who has least."""
    loads, mine = [0] * world, []
    for batch in sorted(step, key=lambda b: -sum(lengths[i] for i in b)):
        taker = loads.index(min(loads))
        loads[taker] += sum(lengths[i] for i in batch)
        mine += [batch] if taker == rank else []
    return mine


def padded(rows, batch, device):
    """ids, targets and the targets' weights, each [rows, longest], of a batch; a target of -100 counts
    for nothing. Rows are padded on the right, which a causal model cannot see, so no mask is needed."""
    longest = max(len(rows[i].prompt) + len(rows[i].answer) for i in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    targets = torch.full((len(batch), longest), -100)
    weights = torch.zeros(len(batch), longest)
    for at, index in enumerate(batch):
        prompt, answer, weight = rows[index]
        ids[at, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        learned = slice(len(prompt) - 1, len(prompt) + len(answer) - 1)
        targets[at, learned] = torch.tensor(answer)
        weights[at, learned] = weight
    return ids.to(device), targets.to(device), weights.to(device)


def norm_of(rows, batches):
    """What the weighted, summed loss of these batches is divided by: it is a mean then."""
    return sum(rows[i].weight * len(rows[i].answer) for batch in batches for i in batch)


def backward(model, ids, targets, weights, norm, chunk=2048):
    """Adds the gradients of the weighted, summed cross entropy / norm; returns it. `model` is a peft
    model of a causal LM. Logits of 152,000 tokens never stand for more than `chunk` positions."""
    causal = model.get_base_model()
    hidden = causal.model(input_ids=ids, use_cache=False).last_hidden_state
    keep = targets.reshape(-1) != -100
    wanted, weights = targets.reshape(-1)[keep], weights.reshape(-1)[keep]
    hidden = hidden.reshape(-1, hidden.shape[-1])[keep]
    cut = hidden.detach().requires_grad_(True)
    total = 0.0
    for at in range(0, len(wanted), chunk):
        logits = causal.lm_head(cut[at : at + chunk]).float()
        losses = F.cross_entropy(logits, wanted[at : at + chunk], reduction="none")
        loss = (losses * weights[at : at + chunk]).sum() / norm
        loss.backward()
        total = total + loss.detach()
    hidden.backward(cut.grad)
    return total


def train(
    model, rows, *, deadline, epochs=1, rate=2e-4, batch_tokens=8192, step_tokens=32768, seed=1,
    rank=0, world=1, state=None, save_every=20, log=print,
):  # fmt: skip
    """Trains the adapter of `model` on a list of Row until the epochs or the time (wall clock) are
    over. With `state` (a file) it goes on where a run that was killed stopped. Returns {loss (of the
    last steps, weighted), tokens_per_second, tokens, steps, of, seconds}."""
    trained = [p for p in model.parameters() if p.requires_grad]
    device = trained[0].device
    # The layers multiply in the model's own type; steps are too small for bfloat16 and go here.
    parameters = [p.detach().float().clone() for p in trained]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
    lengths = [len(row.prompt) + len(row.answer) for row in rows]
    steps = steps_of(lengths, epochs, batch_tokens, step_tokens, seed)
    first, state = 0, Path(state) if state else None
    if state and state.exists():
        saved = torch.load(state, map_location=device)
        first = saved["step"]
        optimizer.load_state_dict(saved["optimizer"])
        for parameter, value in zip(parameters, saved["parameters"]):
            parameter.copy_(value)
        for parameter, layer in zip(parameters, trained):
            layer.data.copy_(parameter)
    start = saved_at = told = time.time()
    losses, tokens, number = [], 0, first
    for number in range(first, len(steps)):
        # All ranks must stop at the same step (else each waits for the others for ever) and with the
        # same rate, so the first one's clock decides.
        share = max(number / len(steps), (time.time() - start) / max(1e-9, deadline - start))
        if world > 1:
            decided = torch.tensor([share], dtype=torch.float64, device=device)
            dist.broadcast(decided, 0)
            share = decided.item()
        if share >= 1:
            break
        for group in optimizer.param_groups:
            cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share))
            group["lr"] = rate * min(1.0, (number + 1) / 5) * cosine
        step = steps[number]
        norm = norm_of(rows, step)
        loss = torch.zeros((), device=device)
        for batch in share_of(step, lengths, rank, world):
            loss += backward(model, *padded(rows, batch, device), norm)
        for parameter, layer in zip(parameters, trained):  # a rank may have had no batch
            parameter.grad = torch.zeros_like(parameter) if layer.grad is None else layer.grad.float()
            layer.grad = None
        if world > 1:
            flat = torch.cat([p.grad.flatten() for p in parameters] + [loss[None]])
            dist.all_reduce(flat)
            at = 0
            for parameter in parameters:
                parameter.grad.copy_(flat[at : at + parameter.numel()].view_as(parameter))
                at += parameter.numel()
            loss = flat[-1]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        for parameter, layer in zip(parameters, trained):
            layer.data.copy_(parameter)
        losses.append(loss)
        tokens += sum(lengths[i] for batch in step for i in batch)
        if rank == 0 and time.time() - told > 8:
            told = time.time()
            recent = sum(float(x) for x in losses[-5:]) / len(losses[-5:])
            log(f"  step {number + 1}/{len(steps)} loss {recent:.4f} {tokens / (told - start):.0f} tokens/s")
        if rank == 0 and state and time.time() - saved_at > save_every:
            saved_at = time.time()
            part = state.with_suffix(".part")
            values = [parameter.detach().cpu() for parameter in parameters]
            torch.save(
                {"step": number + 1, "optimizer": optimizer.state_dict(), "parameters": values}, part
            )
            part.replace(state)
    seconds = time.time() - start
    return {
        "loss": sum(float(x) for x in losses[-5:]) / max(1, len(losses[-5:])),
        "tokens_per_second": round(tokens / max(1e-9, seconds)),
        "tokens": tokens,
        "steps": first + len(losses),
        "of": len(steps),
        "seconds": round(seconds, 1),
    }
