"""Trains a small model on random rows and writes what came out: train_a_bit.py FOLDER [BATCHES]

After so many batches it writes the file "waits" and waits to be killed; the state is saved at every
step. Run by test_training.py. It needs torch alone, so that it starts quickly.
"""

import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from natural import training

torch.set_num_threads(1)
VOCABULARY = 200


class SmallModel(torch.nn.Module):
    """What the training needs of a peft model of a causal LM; the head is not trained."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.embedding = torch.nn.Embedding(VOCABULARY, 32)
        self.mixer = torch.nn.GRU(32, 32, batch_first=True)
        self.lm_head = torch.nn.Linear(32, VOCABULARY).requires_grad_(False)

    def get_base_model(self):
        return self

    def model(self, input_ids, use_cache):
        assert not use_cache
        return SimpleNamespace(last_hidden_state=self.mixer(self.embedding(input_ids))[0])


def rows(count=24):
    """With something to learn in them: an answer repeats its prompt."""
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(0, VOCABULARY, (4 + i % 9,), generator=generator).tolist() for i in range(count)]
    return [training.Row(prompt, prompt * 2) for prompt in prompts]


def train(**changes):
    """Returns the trained model and the numbers."""
    model = SmallModel()
    options = {
        "deadline": time.time() + 1e6, "epochs": 4, "rate": 1e-2, "batch_tokens": 96, "step_tokens": 100,
        "save_every": -1, "log": lambda _: None,
    }  # fmt: skip
    return model, training.train(model, rows(), **options | changes)


def rank_of_two(rank, folder, deadlines):
    """Trains as one of two ranks until deadlines[rank] or the other one ends it. Time is how often it
    was asked for, so that it does not depend on the machine."""
    clock = itertools.count()
    training.time = SimpleNamespace(time=lambda: next(clock))
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model, numbers = train(epochs=40, deadline=deadlines[rank], rank=rank, world=2)
    torch.save({"weights": model.state_dict(), "numbers": numbers}, folder / f"trained.{rank}")
    dist.destroy_process_group()


def main():
    folder, batches = Path(sys.argv[1]), [int(count) for count in sys.argv[2:]]
    padded, done = training.padded, itertools.count()

    def until_it_waits(*arguments):
        if next(done) in batches:
            (folder / "waits").touch()
            time.sleep(1e6)
        return padded(*arguments)

    training.padded = until_it_waits
    model, numbers = train(state=folder / "state")
    torch.save({"weights": model.state_dict(), "numbers": numbers}, folder / "trained")


if __name__ == "__main__":
    main()
