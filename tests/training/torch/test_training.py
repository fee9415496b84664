"""The training loop: its batches, its loss against transformers' own, and going on after a kill."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import torch
import train_a_bit
from natural import training
from tiny_qwen2 import tiny_model

SCRIPT = Path(train_a_bit.__file__)


def test_batches_hold_every_row_once_and_little_padding():
    rng = random.Random(1)
    lengths = [rng.randrange(50, 3000) for _ in range(300)] + [9000]
    batches = training.batches_of_like_length(lengths, 8192, rng)
    assert sorted(i for batch in batches for i in batch) == list(range(301))
    cells = [max(lengths[i] for i in batch) * len(batch) for batch in batches]
    assert all(c <= 8192 for c, batch in zip(cells, batches) if len(batch) > 1)
    assert sum(cells) < 1.1 * sum(lengths)


def test_ranks_share_a_step_by_tokens():
    lengths = [100, 200, 300, 400, 500, 600]
    step = [[0], [1], [2], [3], [4], [5]]
    shares = [training.share_of(step, lengths, rank, 2) for rank in range(2)]
    assert sorted(shares[0] + shares[1]) == step
    loads = [sum(lengths[i] for batch in share for i in batch) for share in shares]
    assert abs(loads[0] - loads[1]) <= 100


class Trainable:
    """A causal LM as peft has it; here a matrix of each layer is trained itself."""

    def __init__(self, model):
        self.model = model.requires_grad_(False)
        for layer in model.model.layers:
            layer.mlp.up_proj.weight.requires_grad_(True)

    def get_base_model(self):
        return self.model


def test_the_loss_is_transformers_and_of_answers_alone():
    """In chunks of a few positions, over two padded batches, with rows that weigh more; gradients too."""
    rows = [row._replace(weight=20.0 if at % 3 == 1 else 1.0) for at, row in enumerate(train_a_bit.rows(6))]
    ours, theirs = Trainable(tiny_model()), Trainable(tiny_model())
    step = [range(4), range(4, 6)]
    norm = training.norm_of(rows, step)
    loss = sum(training.backward(ours, *training.padded(rows, batch, "cpu"), norm, chunk=7) for batch in step)
    expected, count = torch.zeros(()), 0
    for prompt, answer, weight in rows:
        labels = torch.tensor([[-100] * len(prompt) + answer])
        out = theirs.model(torch.tensor([prompt + answer]), labels=labels)
        expected = expected + out.loss * len(answer) * weight
        count += len(answer) * weight
    expected = expected / count
    expected.backward()
    assert torch.isclose(loss, expected, rtol=1e-5)
    compared = 0
    for one, other in zip(ours.model.parameters(), theirs.model.parameters()):
        if one.requires_grad:
            assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-6)
            compared += 1
    assert compared == 2


def test_it_learns():
    _, first = train_a_bit.train(epochs=1)
    _, last = train_a_bit.train(epochs=40)
    assert last["steps"] == last["of"]
    assert last["loss"] < 0.7 * first["loss"]


def test_the_clock_ends_it():
    _, numbers = train_a_bit.train(epochs=2000, deadline=time.time() + 3)
    assert 0 < numbers["steps"] < numbers["of"]


def test_ranks_whose_clocks_differ_stop_at_the_same_step(tmp_path):
    """One that went on alone would wait for the other's gradients for ever."""
    ranks = torch.multiprocessing.spawn(train_a_bit.rank_of_two, (tmp_path, (20, 60)), nprocs=2, join=False)
    try:
        until = time.time() + 300
        while not ranks.join(timeout=max(0, until - time.time())):
            assert time.time() < until, "the ranks did not end"
    finally:
        for process in ranks.processes:
            process.kill()
    first, second = (torch.load(tmp_path / f"trained.{rank}") for rank in range(2))
    assert 0 < first["numbers"]["steps"] == second["numbers"]["steps"] < first["numbers"]["of"]
    for name, weights in first["weights"].items():
        assert torch.equal(weights, second["weights"][name]), name


def start(folder, *batches):
    path = os.pathsep.join([str(SCRIPT.parent), os.environ["PYTHONPATH"]])
    return subprocess.Popen(
        [sys.executable, SCRIPT, folder, *map(str, batches)], env={**os.environ, "PYTHONPATH": path}
    )


def test_killed_and_started_again_it_ends_with_the_same_weights(tmp_path):
    process = start(tmp_path, 12)
    until = time.time() + 300
    while not (tmp_path / "waits").exists() and process.poll() is None and time.time() < until:
        time.sleep(0.02)
    process.kill()
    process.wait()
    saved = torch.load(tmp_path / "state")["step"]
    assert not (tmp_path / "trained").exists()
    assert start(tmp_path).wait(timeout=300) == 0
    again = torch.load(tmp_path / "trained")
    alone, numbers = train_a_bit.train()
    assert 0 < saved < numbers["steps"]
    assert again["numbers"]["steps"] == numbers["steps"] == numbers["of"]
    assert again["numbers"]["tokens"] < numbers["tokens"]  # what was done was not done again
    for name, weights in alone.state_dict().items():
        assert torch.allclose(weights, again["weights"][name], atol=1e-6), name
    assert not torch.allclose(alone.embedding.weight, train_a_bit.SmallModel().embedding.weight, atol=1e-3)
