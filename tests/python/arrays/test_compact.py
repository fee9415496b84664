"""vase.compact on numpy arrays."""

import multiprocessing

import numpy as np
from random_layer import BUDGET, HEADS, ROWS, random_layer

import vase


def test_kept_rows_move_to_the_front_and_positions_follow():
    keys, values, queries = random_layer()
    mask = vase.select(keys, values, queries, budget=BUDGET)
    moved_keys, moved_values = keys.copy(), values.copy()
    positions = np.tile(np.arange(ROWS, dtype=np.int32), (HEADS, 1))
    assert vase.compact(moved_keys, moved_values, mask, positions, vacate=BUDGET) == ROWS - BUDGET
    for head in range(HEADS):
        tokens = positions[head, :BUDGET]
        assert sorted(tokens) == list(np.flatnonzero(mask[head]))
        assert (moved_keys[:BUDGET, head] == keys[tokens, head]).all()
        assert (moved_values[:BUDGET, head] == values[tokens, head]).all()


def test_at_most_as_many_rows_move_as_are_given_up():
    keys, values, queries = random_layer()
    mask = vase.select(keys, values, queries, budget=BUDGET)
    moved = keys.copy()
    vase.compact(moved, values.copy(), mask)
    assert ((moved != keys).any(axis=2).sum(axis=0) <= ROWS - BUDGET).all()


def test_views_are_compacted_in_place():
    keys, values, queries = (array.astype(np.float16) for array in random_layer())
    mask = vase.select(keys, values, queries, budget=BUDGET)
    cache = np.zeros((HEADS, ROWS + 10, 128), np.float16)  # keys and values side by side
    cache[:, 5:-5, :64], cache[:, 5:-5, 64:] = keys.transpose(1, 0, 2), values.transpose(1, 0, 2)
    rows = cache[:, 5:-5].transpose(1, 0, 2)
    vase.compact(rows[:, :, :64], rows[:, :, 64:], mask, vacate=BUDGET)
    for head in range(HEADS):
        kept = {row.tobytes() for row in keys[mask[head], head]}
        assert {row.tobytes() for row in cache[head, 5 : 5 + BUDGET, :64]} == kept
    assert (cache[:, :5] == 0).all() and (cache[:, -5:] == 0).all()


def _select_in_child(queue):
    queue.put(vase.select(*random_layer(), budget=BUDGET).sum())


def test_works_after_a_fork():
    expected = vase.select(*random_layer(), budget=BUDGET).sum()  # starts the threads
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_select_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == expected
    child.join(timeout=30)
    assert child.exitcode == 0
