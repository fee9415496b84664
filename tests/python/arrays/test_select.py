"""vase.select and vase.scores on numpy arrays."""

import threading

import numpy as np
import pytest
from random_layer import BUDGET, HEADS, QUERY_HEADS, ROWS, random_layer

import vase



def evicts_uncalibrated(policy):
    parameters = vase.parameters(policy, budget=BUDGET)
    return parameters["evicts"] and not parameters["needs_calibration"]


EVICTING = [policy.name for policy in vase.policies() if evicts_uncalibrated(policy.name)]


@pytest.mark.parametrize("policy", EVICTING)
def test_each_head_keeps_the_budget_with_sinks_and_newest_rows(policy):
    mask = vase.select(*random_layer(), policy, budget=BUDGET)
    assert mask.dtype == bool and mask.shape == (HEADS, ROWS)
    assert (mask.sum(axis=1) == BUDGET).all()
    recency = vase.parameters(policy, budget=BUDGET)["recency"]
    assert mask[:, :4].all() and mask[:, -recency:].all()


def test_the_default_policy_needs_no_queries():
    keys, values, queries = random_layer()
    assert vase.DEFAULT_POLICY == "vase-plus" and not vase.parameters(budget=BUDGET)["needs_queries"]
    mask = vase.select(keys, values, budget=BUDGET)
    assert (mask == vase.select(keys, values, queries, vase.DEFAULT_POLICY, budget=BUDGET)).all()


def test_full_keeps_everything():
    assert vase.select(*random_layer(), "full", budget=BUDGET).all()


def test_nothing_to_give_up():
    assert vase.select(*random_layer(), budget=ROWS + 5).all()


def test_same_seed_same_rows_whatever_the_threads():
    layer = random_layer(heads=3)
    before = vase.get_threads()
    try:
        masks = []
        for threads in (1, 2, 5):
            vase.set_threads(threads)
            assert vase.get_threads() == threads
            masks.append(vase.select(*layer, "vase", budget=BUDGET, seed=7))
    finally:
        vase.set_threads(before)
    assert (masks[0] == masks[1]).all() and (masks[0] == masks[2]).all()
    assert (masks[0] != vase.select(*layer, "vase", budget=BUDGET, seed=8)).any()


@pytest.mark.parametrize("name", ["sequence", "eviction", "layer"])
def test_draws_go_by_name(name):
    layer = random_layer()
    assert (vase.select(*layer, "vase", budget=BUDGET) != vase.select(*layer, "vase", budget=BUDGET, **{name: 1})).any()


def test_strides_are_read_in_place():
    keys, values, queries = random_layer()
    expected = vase.select(keys, values, queries, budget=BUDGET)
    by_head = np.ascontiguousarray(keys.transpose(1, 0, 2)).transpose(1, 0, 2)  # [heads][rows][dim] in memory
    wide = np.zeros((ROWS, HEADS, 3 * 64), np.float32)
    wide[:, :, 64:128] = values
    backwards = np.ascontiguousarray(queries[:, ::-1])[:, ::-1]
    assert (vase.select(by_head, wide[:, :, 64:128], backwards, budget=BUDGET) == expected).all()


def test_halves_are_read_as_the_same_numbers_in_f32():
    keys, values, queries = (array.astype(np.float16) for array in random_layer())
    wide = [array.astype(np.float32) for array in (keys, values, queries)]
    for policy in EVICTING:
        expected = vase.scores(*wide, policy, budget=BUDGET)
        assert (vase.scores(keys, values, queries, policy, budget=BUDGET) == expected).all(), policy


def test_positions_stand_for_tokens():
    keys, values, queries = random_layer()
    order = np.stack([np.random.default_rng(h).permutation(ROWS) for h in range(HEADS)])
    shuffled = [np.stack([array[order[h], h] for h in range(HEADS)], axis=1) for array in (keys, values)]
    expected = vase.select(keys, values, queries, budget=BUDGET)
    mask = vase.select(*shuffled, queries, budget=BUDGET, positions=order)
    assert (mask == np.take_along_axis(expected, order, axis=1)).all()


def test_prompt_rows_stay():
    layer = random_layer()
    assert vase.select(*layer, "random", budget=BUDGET, prompt=20)[:, :20].all()
    assert vase.select(*layer, "random", budget=BUDGET, prompt=(30, 50))[:, 30:50].all()
    assert not vase.select(*layer, "random", budget=BUDGET)[:, 4:50].all()


def test_scores_are_the_attention_of_the_queries():
    """VaSE's weights, from the formula in docs/algorithm.md in double precision."""
    keys, values, queries = random_layer()
    recency, protect = 64, 24
    scores = vase.scores(keys, values, queries, "vase", budget=BUDGET, protect=protect)
    candidates = ROWS - recency
    assert np.isinf(scores[:, candidates:]).all()
    for head in range(HEADS):
        group = queries.astype(np.float64).reshape(HEADS, QUERY_HEADS // HEADS, -1, 64)[head]
        logits = group @ keys[:candidates, head].astype(np.float64).T / 8
        weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        pooled = np.convolve(np.pad(weights.mean(axis=(0, 1)), 2), np.ones(5) / 5, mode="valid")
        ranges = np.ptp(values[:candidates, head], axis=1)
        ranges[:4] = np.inf
        protected = np.argsort(-ranges)[:protect]
        others = np.setdiff1d(np.arange(candidates), protected)
        assert np.isinf(scores[head, protected]).all()
        ratio = scores[head, others] / pooled[others]
        np.testing.assert_allclose(ratio, ratio[0], rtol=2e-5)


def test_protect_auto_finds_the_wide_values():
    """All but the clearly narrow: the test of docs/algorithm.md, written once more."""
    keys, values, queries = random_layer()
    values = np.clip(values, -1, 1)
    values[10:40:2, :, 0] = 50
    candidates = ROWS - 64
    protected = np.isinf(vase.scores(keys, values, queries, "vase", budget=BUDGET, protect="auto"))[:, :candidates]
    for head in range(HEADS):
        ranges = np.ptp(values[:candidates, head], axis=1)
        others = np.sort(ranges[4:])
        median = others[(len(others) - 1) // 2]
        deviation = 1.4826 * np.sort(np.abs(others - median))[(len(others) - 1) // 2]
        expected = ranges > median - 0.5 * deviation
        expected[:4] = True  # the sinks
        assert expected[10:40:2].all()
        np.testing.assert_array_equal(protected[head], expected)


def test_gauss_is_used_for_cur():
    keys, values, _ = random_layer()
    gauss = np.random.default_rng(5).standard_normal((64, 7)).astype(np.float32)
    scores = vase.scores(keys, values, policy="vase-cur", budget=BUDGET, gauss=gauss)
    energy = ((keys @ gauss) ** 2).sum(-1) * ((values @ gauss) ** 2).sum(-1)
    ratio = scores[:, 4:96] / energy.T[:, 4:96]
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-4)


def test_calls_from_several_threads():
    layer = random_layer()
    expected = vase.select(*layer, budget=BUDGET)
    results = []

    def select_often():
        for _ in range(20):
            results.append((vase.select(*layer, budget=BUDGET) == expected).all())

    threads = [threading.Thread(target=select_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80 and all(results)


def test_what_is_found_of_rows_is_added_up_and_moves_with_them():
    keys, values, queries = random_layer()
    options = {"policy": "h2o", "budget": BUDGET, "recency": 32}
    assert vase.parameters("h2o", budget=BUDGET)["sums_up"]
    sums = np.zeros((HEADS, ROWS), dtype=np.float32)
    once = vase.scores(keys, values, queries, sums=sums, **options)
    assert not sums.any()
    mask = vase.select(keys, values, queries, sums=sums, **options)
    finite = np.isfinite(once)
    assert (sums[finite] == once[finite]).all() and (sums >= 0).all()
    twice = vase.scores(keys, values, queries, sums=sums, **options)
    assert (twice[finite] == once[finite] + sums[finite]).all()
    moved, positions = sums.copy(), np.tile(np.arange(ROWS, dtype=np.int32), (HEADS, 1))
    vase.compact(keys.copy(), values.copy(), mask, positions, sums=moved, vacate=BUDGET)
    for head in range(HEADS):
        assert (moved[head, :BUDGET] == sums[head, positions[head, :BUDGET]]).all()


def test_what_was_measured_of_queries_stands_for_them():
    keys, values, _ = random_layer()
    calibration = np.random.default_rng(2).standard_normal((QUERY_HEADS, 3, keys.shape[2] // 2))
    options = {"policy": "triattention", "budget": BUDGET}
    mask = vase.select(keys, values, calibration=calibration, **options)
    assert (mask.sum(axis=1) == BUDGET).all()
    assert (mask != vase.select(keys, values, calibration=-calibration, **options)).any()
    for error, message, wrong in (
        (ValueError, "calibration is None; policy 'triattention' needs what `vase calibrate", None),
        (ValueError, "calibration", calibration[:, :2]),
        (ValueError, "calibration is of 3 query heads", calibration[:3]),
    ):
        with pytest.raises(error, match=message):
            vase.select(keys, values, calibration=wrong, **options)
