"""Tensors on a CUDA device: the same rows as in host memory, in place, on torch's current stream. Skipped without a device; a
package built without CUDA must say how to build with it."""

import pytest
import torch
from random_layer import BUDGET, HEADS, ROWS, random_layer
from tiny_models import generate, padded_prompts, tiny_model

import vase
from vase import _vase
from vase.hf import VaseCache

needs_device = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
needs_cuda = pytest.mark.skipif(not (torch.cuda.is_available() and _vase.has_cuda), reason="no CUDA device, or built without CUDA")

# Rows whose scores lie within rounding of each other may be chosen differently; more than these few are an error.
NEAR_TIES = 2


def tensors(dtype=torch.float32, rows=ROWS):
    return [torch.from_numpy(array).to(dtype) for array in random_layer(rows=rows)]


def on_device(*arrays):
    return [array.cuda() for array in arrays]


def assert_same_rows(found, expected):
    assert found.is_cuda and found.dtype == torch.bool and found.shape == expected.shape
    assert (found.sum(1).cpu() == expected.sum(1)).all()
    assert int((found.cpu() != expected).sum()) <= 2 * NEAR_TIES


@needs_device
@pytest.mark.skipif(_vase.has_cuda, reason="built with CUDA")
def test_without_cuda_the_message_says_how_to_build():
    keys, values, queries = on_device(*tensors())
    for call in (
        lambda: vase.select(keys, values, queries, budget=BUDGET),
        lambda: vase.scores(keys, values, queries, budget=BUDGET),
        lambda: vase.compact(keys, values, torch.ones(HEADS, ROWS, dtype=torch.bool, device="cuda")),
    ):
        with pytest.raises(RuntimeError, match="keys lies on a CUDA device.*VASE_CUDA=ON"):
            call()


def test_the_extension_says_how_to_build_with_cuda():
    if _vase.has_cuda:
        assert _vase.device_mask_rows(1) >= 1
    else:
        with pytest.raises(RuntimeError, match="VASE_CUDA=ON"):
            _vase.device_mask_rows(1)


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("policy", [p.name for p in vase.policies() if not vase.parameters(p.name, budget=BUDGET)["needs_calibration"]])
def test_selection_is_that_of_the_host(policy, dtype):
    host = tensors(dtype)
    expected = vase.select(*host, policy, budget=BUDGET, seed=5)
    assert_same_rows(vase.select(*on_device(*host), policy, budget=BUDGET, seed=5), expected)


@needs_cuda
@pytest.mark.parametrize("policy", ["vase", "vase-plus", "vase-plus@2", "vase-cur", "snapkv", "rkv", "h2o", "keydiff"])
def test_scores_are_those_of_the_host(policy):
    expected = vase.scores(*tensors(), policy, budget=BUDGET)
    found = vase.scores(*on_device(*tensors()), policy, budget=BUDGET).cpu()
    assert (found.isinf() == expected.isinf()).all()
    finite = ~expected.isinf()
    torch.testing.assert_close(found[finite], expected[finite], rtol=2e-3, atol=1e-6)


@needs_cuda
@pytest.mark.parametrize("stride", [1, 32])
def test_rotations_are_undone_as_on_the_host(stride):
    keys, values, _ = tensors()
    keys = 3 * torch.linspace(-1, 1, 64) + keys * torch.linspace(2, 0.1, 64)
    frequencies = 10000.0 ** (-torch.arange(32) / 32)
    options = {"policy": "vase-plus", "budget": BUDGET}
    expected = vase.scores(keys, values, rope=vase.Rope(frequencies, stride), **options)
    found = vase.scores(keys.cuda(), values.cuda(), rope=vase.Rope(frequencies.cuda(), stride), **options).cpu()
    finite = ~expected.isinf()
    torch.testing.assert_close(found[finite], expected[finite], rtol=0, atol=0.02)
    assert not torch.allclose(found[finite], vase.scores(keys, values, **options)[finite], rtol=0, atol=0.2)
    with pytest.raises(ValueError, match="rope.frequencies and keys must lie on the same device"):
        vase.scores(keys.cuda(), values.cuda(), rope=vase.Rope(frequencies, stride), **options)


@needs_cuda
def test_strides_are_read_in_place():
    keys, values, queries = on_device(*tensors())
    cache = torch.stack([keys, values]).transpose(1, 2).contiguous()  # [2, heads, rows, dim]
    expected = vase.select(keys, values, queries, budget=BUDGET)
    assert (vase.select(cache[0].transpose(0, 1), cache[1].transpose(0, 1), queries, budget=BUDGET) == expected).all()


@needs_cuda
def test_positions_stand_for_tokens():
    keys, values, queries = on_device(*tensors())
    order = torch.stack([torch.randperm(ROWS) for _ in range(HEADS)]).cuda()
    shuffled = [torch.stack([array[order[h], h] for h in range(HEADS)], dim=1) for array in (keys, values)]
    expected = vase.select(keys, values, queries, budget=BUDGET)
    found = vase.select(*shuffled, queries, budget=BUDGET, positions=order)
    assert_same_rows(found, expected.gather(1, order).cpu())


@needs_cuda
def test_compaction_in_place():
    keys, values, queries = on_device(*tensors(torch.bfloat16))
    mask = vase.select(keys, values, queries, budget=BUDGET)
    moved_keys, moved_values = keys.clone(), values.clone()
    positions = torch.arange(ROWS, dtype=torch.int32, device="cuda").repeat(HEADS, 1)
    assert vase.compact(moved_keys, moved_values, mask, positions, vacate=BUDGET) == ROWS - BUDGET
    for head in range(HEADS):
        tokens = positions[head, :BUDGET].long()
        assert sorted(tokens.tolist()) == mask[head].nonzero()[:, 0].tolist()
        assert (moved_keys[:BUDGET, head] == keys[tokens, head]).all()
        assert (moved_values[:BUDGET, head] == values[tokens, head]).all()


@needs_cuda
def test_work_waits_for_the_current_stream_alone():
    """The keys arrive on a side stream late; the selection queues behind them there."""
    host = tensors()
    expected = vase.select(*host, budget=BUDGET)
    stream = torch.cuda.Stream()
    late = torch.empty_like(host[0], device="cuda")
    keys, values, queries = on_device(*host)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late.copy_(keys, non_blocking=True)
        mask = vase.select(late, values, queries, budget=BUDGET)
    stream.synchronize()
    assert_same_rows(mask, expected)


@needs_cuda
def test_growing_texts():
    """Rows of many lengths, through several sizes of working memory."""
    for rows in (100, 1024, 1025, 3000, 200):
        host = tensors(rows=rows)
        assert_same_rows(vase.select(*on_device(*host), "rkv", budget=96), vase.select(*host, "rkv", budget=96))


@needs_cuda
@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (ValueError, "values and keys must lie on the same device", lambda k, v, q: (k, v.cpu(), q)),
        (ValueError, "queries and keys must lie on the same device", lambda k, v, q: (k, v, q.cpu())),
        (TypeError, "keys is float64", lambda k, v, q: (k.double(), v, q)),
        (ValueError, "queries has 5 heads", lambda k, v, q: (k, v, q[:5])),
    ],
)
def test_bad_tensors(error, message, change):
    with pytest.raises(error, match=message):
        vase.select(*change(*on_device(*tensors())), budget=BUDGET)


@needs_cuda
def test_uneven_masks_move_nothing():
    keys, values, _ = on_device(*tensors())
    mask = torch.ones(HEADS, ROWS, dtype=torch.bool, device="cuda")
    mask[0, 0] = False
    before = keys.clone()
    with pytest.raises(ValueError, match="keep gives up 1 rows of head 0 and 0 of head 1"):
        vase.compact(keys, values, mask)
    assert (keys == before).all()


@needs_cuda
@pytest.mark.parametrize("policy", ["vase", "vase-plus", "vase-cur", "random"])
def test_generation_keeps_the_rows_that_the_host_keeps(policy):
    """A batch with padding, prompts longer than the room, in f32: the first evictions have no near-ties to disagree about."""
    options = {"budget": 96, "recency": 32, "interval": 32, "policy": policy}
    if vase.parameters(**options)["needs_queries"]:
        options["window"] = 32
    prompts = padded_prompts([100, 180, 60])
    model = tiny_model("Llama")
    host = VaseCache(model.config, **options)
    expected = generate(model, prompts, host, tokens=20)
    model = model.cuda()
    device = VaseCache(model.config, **options)
    found = generate(model, {name: tensor.cuda() for name, tensor in prompts.items()}, device, tokens=20)
    assert (found.cpu() == expected).all()
    for b in range(3):
        assert device.statistics(b) == host.statistics(b)
        for layer in range(3):
            for mine, other in zip(device.positions(layer, b), host.positions(layer, b)):
                assert len(set(mine) - set(other)) <= NEAR_TIES
