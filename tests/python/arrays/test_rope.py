"""vase.Rope: vase-plus sees keys as they were before their rotation."""

import numpy as np
import pytest
from random_layer import BUDGET, DIM, HEADS, ROWS, random_layer
from rotation import rotated

import vase

FREQUENCIES = 10000.0 ** (-np.arange(DIM // 2) / (DIM // 2))
FIRST = 5000
NEAR_TIES = 2

layouts = pytest.mark.parametrize(
    ("pairs", "stride"), [(DIM // 2, DIM // 2), (DIM // 2, 1), (DIM // 4, DIM // 4), (DIM // 4, 1)], ids=str
)


def layer_of_a_model(seed=0):
    """Keys as models have them, with a large mean and few strong directions, and values."""
    keys, values, _ = random_layer(seed)
    rng = np.random.default_rng(seed + 1)
    return 3 * rng.standard_normal(DIM) + keys * np.linspace(2, 0.1, DIM), values


def rotated_layer(pairs, stride):
    keys, values = layer_of_a_model()
    frequencies = FREQUENCIES[:: len(FREQUENCIES) // pairs]
    turned = rotated(keys, np.arange(FIRST, FIRST + ROWS), frequencies, stride)
    positions = np.tile(np.arange(FIRST, FIRST + ROWS), (HEADS, 1))
    return keys.astype(np.float32), values, turned.astype(np.float32), positions, vase.Rope(frequencies, stride)


@layouts
def test_rotated_keys_score_as_they_did_before(pairs, stride):
    keys, values, turned, positions, rope = rotated_layer(pairs, stride)
    options = {"policy": "vase-plus", "budget": BUDGET, "positions": positions}
    expected = vase.scores(keys, values, **options)
    np.testing.assert_allclose(vase.scores(turned, values, rope=rope, **options), expected, rtol=0.01)
    assert not np.allclose(vase.scores(turned, values, **options), expected, rtol=0.1)


@layouts
def test_rotated_keys_keep_the_rows_that_they_kept_before(pairs, stride):
    keys, values, turned, positions, rope = rotated_layer(pairs, stride)
    options = {"policy": "vase-plus", "budget": BUDGET, "positions": positions}
    expected = vase.select(keys, values, **options)
    found = vase.select(turned, values, rope=rope, **options)
    assert (found & ~expected).sum(axis=1).max() <= NEAR_TIES
    assert (vase.select(turned, values, **options) != expected).sum() > 4 * HEADS * NEAR_TIES


@pytest.mark.parametrize("policy", [p.name for p in vase.policies() if not vase.parameters(p.name, budget=BUDGET)["uses_rope"]])
def test_other_policies_do_not_look_at_it(policy):
    layer = random_layer()
    rope = vase.Rope(FREQUENCIES, 1)
    expected = vase.scores(*layer, policy, budget=BUDGET)
    assert (vase.scores(*layer, policy, budget=BUDGET, rope=rope) == expected).all()


@pytest.mark.parametrize(
    ("error", "message", "frequencies", "stride"),
    [
        (TypeError, "rope.frequencies is a list; it must be a numpy array or a torch tensor", [1.0, 0.5], 1),
        (TypeError, "rope.frequencies is int64; it must hold floats", np.ones(4, int), 1),
        (ValueError, r"rope.frequencies has the shape \[2, 4\]; it must be \[pairs\]", np.ones((2, 4)), 1),
        (ValueError, r"rope.frequencies has the shape \[0\]", np.ones(0), 1),
        (ValueError, "rope.frequencies go up to nan; they are radians a token", np.array([1, np.nan]), 1),
        (ValueError, "rope.frequencies go up to inf", np.array([1, -np.inf]), 1),
        (ValueError, "rope.frequencies go up to 10000", np.array([1.0, 1e4]), 1),
        (TypeError, "rope.stride is 1.0; it must be an int", FREQUENCIES, 1.0),
        (ValueError, "rope.stride is 2; it must be 1 .neighbours., or at least 32", FREQUENCIES, 2),
        (ValueError, "rope.stride is -1", FREQUENCIES, -1),
        (ValueError, "rope.stride is 1099511627776", FREQUENCIES, 2**40),
    ],
)
def test_bad_rotations(error, message, frequencies, stride):
    with pytest.raises(error, match=message):
        vase.Rope(frequencies, stride)


@pytest.mark.parametrize(
    ("error", "message", "rope"),
    [
        (TypeError, "rope is a tuple; it must be a vase.Rope, or None", (FREQUENCIES, 1)),
        (ValueError, "rope.pairs is 33; keys of 64 elements have 1 .. 32 pairs", vase.Rope(np.ones(33), 1)),
        (ValueError, "rope.stride is 40; it must be 1", vase.Rope(FREQUENCIES, 40)),
    ],
)
@pytest.mark.parametrize("function", [vase.select, vase.scores])
def test_rotations_that_do_not_fit_the_keys(function, error, message, rope):
    with pytest.raises(error, match=message):
        function(*random_layer(), "vase-plus", budget=BUDGET, rope=rope)
