"""vase.select, scores and compact on torch tensors in host memory: the same as on numpy arrays, without copies."""

import numpy as np
import pytest
import torch
from random_layer import BUDGET, HEADS, ROWS, random_layer

import vase


def tensors(dtype=torch.float32):
    return [torch.from_numpy(array).to(dtype) for array in random_layer()]


def test_selection_is_that_of_numpy():
    mask = vase.select(*tensors(), budget=BUDGET)
    assert isinstance(mask, torch.Tensor) and mask.dtype == torch.bool
    assert (mask.numpy() == vase.select(*random_layer(), budget=BUDGET)).all()
    scores = vase.scores(*tensors(), budget=BUDGET)
    assert scores.dtype == torch.float32
    assert (scores.numpy() == vase.scores(*random_layer(), budget=BUDGET)).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("policy", ["vase", "vase-cur", "rkv"])
def test_halves_are_read_as_the_same_numbers_in_f32(dtype, policy):
    halves = tensors(dtype)
    wide = [tensor.float() for tensor in halves]
    assert (vase.scores(*halves, policy, budget=BUDGET) == vase.scores(*wide, policy, budget=BUDGET)).all()


def test_layout_of_a_transformers_cache():
    keys, values, queries = tensors()
    cache = torch.stack([keys, values]).transpose(1, 2).contiguous()  # [2, heads, rows, dim]
    mask = vase.select(cache[0].transpose(0, 1), cache[1].transpose(0, 1), queries, budget=BUDGET)
    assert (mask == vase.select(keys, values, queries, budget=BUDGET)).all()
    address = cache.data_ptr()
    vase.compact(cache[0].transpose(0, 1), cache[1].transpose(0, 1), mask, vacate=BUDGET)
    assert cache.data_ptr() == address
    for head in range(HEADS):
        kept = {row.numpy().tobytes() for row in keys[mask[head], head]}
        assert {row.numpy().tobytes() for row in cache[0, head, :BUDGET]} == kept


def test_bfloat16_rows_move():
    keys, values, queries = tensors(torch.bfloat16)
    mask = vase.select(keys, values, queries, budget=BUDGET)
    positions = torch.arange(ROWS, dtype=torch.int32).repeat(HEADS, 1)
    moved = keys.clone()
    assert vase.compact(moved, values.clone(), mask, positions, vacate=BUDGET) == ROWS - BUDGET
    for head in range(HEADS):
        assert (moved[:BUDGET, head] == keys[positions[head, :BUDGET].long(), head]).all()


def test_gradients_do_not_matter():
    keys, values, queries = (tensor.requires_grad_() for tensor in tensors())
    mask = vase.select(keys, values, queries, budget=BUDGET)
    assert (mask.numpy() == vase.select(*random_layer(), budget=BUDGET)).all()


def test_numpy_and_torch_may_mix():
    keys, values, queries = random_layer()
    mask = vase.select(keys, torch.from_numpy(values), queries, budget=BUDGET)
    assert isinstance(mask, np.ndarray)


@pytest.mark.parametrize(
    ("error", "message", "replaced"),
    [
        (TypeError, "keys is float64", {"keys": torch.zeros(ROWS, HEADS, 64, dtype=torch.float64)}),
        (ValueError, "keys has 4 axes", {"keys": torch.zeros(1, ROWS, HEADS, 64)}),
        (ValueError, "keys has a stride of", {"keys": torch.zeros(64, HEADS, ROWS).transpose(0, 2)}),
        (TypeError, "values is a Tensor", {"values": torch.zeros(ROWS, HEADS, 64, device="meta")}),
    ],
)
def test_bad_tensors(error, message, replaced):
    keys, values, queries = tensors()
    with pytest.raises(error, match=message):
        vase.select(**{"keys": keys, "values": values, "queries": queries, **replaced}, budget=BUDGET)


def test_expanded_rows_cannot_be_moved():
    keys, values, queries = tensors()
    mask = torch.ones(HEADS, ROWS, dtype=torch.bool)
    with pytest.raises(ValueError, match="keys has a stride of 0 along axis 1"):
        vase.compact(keys[:, :1].expand(-1, HEADS, -1), values, mask)
