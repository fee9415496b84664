"""The reader that policies are tried out with: against transformers without it, and what a policy keeps."""

import pytest
import torch

pytest.importorskip("gguf")
pytest.importorskip("tokenizers")
from evicting_reader import EvictingReader, Text, pinned_range  # noqa: E402
from policy_variants import INTERVAL, parse_variant  # noqa: E402
from tiny_qwen2 import tiny_model  # noqa: E402


def texts(count=2, length=700):
    draw = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 200, (count, length), generator=draw)
    return [Text(row.tolist(), [(300, 320, "a"), (length - 9, length, "b")], [(0, 40), (200, 260)]) for row in ids]


def losses(answers):
    return torch.tensor([[a.loss for a in of] for of in answers])


def test_the_full_cache_is_transformers():
    model, given = tiny_model(), texts()
    with torch.no_grad():
        logits = model(torch.tensor([t.tokens for t in given])).logits
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), torch.tensor([t.tokens[1:] for t in given]).flatten(), reduction="none"
    ).view(len(given), -1)
    expected = torch.stack([torch.stack([row[a - 1 : b - 1].mean() for a, b, _ in t.spans]) for row, t in zip(each, given)])
    assert torch.allclose(losses(EvictingReader(model, given, None, 0).read()), expected, atol=1e-4)


def test_a_budget_that_is_never_reached_changes_nothing():
    model, given = tiny_model(), texts()
    full = losses(EvictingReader(model, given, None, 0).read())
    assert torch.equal(losses(EvictingReader(model, given, parse_variant("plus"), 800).read()), full)


@pytest.mark.parametrize("name", ["plus", "plus,value_apart=0.5,att=0.05", "rkv,prompt=0.5", "plus,expected=0.2", "plus,att=0.2,heed=0.125,every=4", "plus,protect_att=0.25,overlap=1", "plus,means=1"])
def test_a_policy_keeps_its_budget_with_sinks_pin_and_the_newest(name):
    model, given, budget = tiny_model(), texts(), 256
    reader = EvictingReader(model, given, parse_variant(name), budget)
    answers = reader.read()
    read = len(given[0].tokens) + -len(given[0].tokens) % INTERVAL
    assert torch.isfinite(losses(answers)).all()
    for places in reader.places:
        assert places.shape[2] == budget + (read - budget) % INTERVAL
        for head in places.flatten(0, 1).tolist():
            assert len(set(head)) == len(head)
            assert {0, 1, 2, 3} <= set(head) and set(range(read - 64, read)) <= set(head)
            assert set(range(0, 40)) | set(range(200, 260)) <= set(head)  # 100 of 128 rows


def test_streaming_keeps_the_newest():
    reader = EvictingReader(tiny_model(), texts(), parse_variant("streaming"), 256)
    reader.read()
    assert set(reader.places[0][0, 0].tolist()) == {0, 1, 2, 3} | set(range(704 - 252, 704))


def test_budgets_tilt_over_the_layers():
    reader = EvictingReader(tiny_model(), texts(), parse_variant("plus,tilt=0.25"), 256)
    reader.read()
    assert [p.shape[2] - (704 - b) % INTERVAL for p, b in zip(reader.places, reader.budgets)] == [320, 192]


@pytest.mark.parametrize(
    "position, budget, expected",
    [(30, 256, [(0, 30)]), (150, 256, [(0, 40)]), (300, 256, [(200, 260), (0, 40)]), (300, 160, [(200, 260)]), (300, 80, [(220, 260)])],
)
def test_the_newest_prompt_is_pinned_and_the_first_if_both_fit(position, budget, expected):
    assert pinned_range(texts(1)[0], position, budget) == expected
