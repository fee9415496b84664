"""What does not fit raises an exception that names the argument, and changes nothing."""

import numpy as np
import pytest
from random_layer import BUDGET, HEADS, ROWS, random_layer

import vase
from vase.options import PolicyOptions

KEYS, VALUES, QUERIES = random_layer()


def changed(**replaced):
    """Arguments of select with some replaced."""
    return {"keys": KEYS, "values": VALUES, "queries": QUERIES, "budget": BUDGET, **replaced}


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "quest is a selection, not a policy", changed(policy="quest")),
        (ValueError, "keys has 2 axes", changed(keys=KEYS[0])),
        (TypeError, "keys is a list", changed(keys=[1, 2])),
        (TypeError, "keys is float64", changed(keys=KEYS.astype(float))),
        (ValueError, "keys has a stride of 2 along axis 2", changed(keys=np.repeat(KEYS, 2, axis=2)[:, :, ::2])),
        (ValueError, "keys has 0 entries along axis 0", changed(keys=KEYS[:0], values=VALUES[:0])),
        (ValueError, "values has 159 entries along axis 0", changed(values=VALUES[1:])),
        (ValueError, "values has 1 entries along axis 1", changed(values=VALUES[:, :1])),
        (TypeError, "values is int32", changed(values=VALUES.astype(np.int32))),
        (ValueError, "queries is None", changed(queries=None, policy="vase")),
        (ValueError, "queries has 5 heads", changed(queries=QUERIES[:5])),
        (ValueError, "queries has 32 entries along axis 2", changed(queries=QUERIES[:, :, :32])),
        (ValueError, "queries has 2 axes", changed(queries=QUERIES[0])),
        (TypeError, "queries is int64", changed(queries=QUERIES.astype(np.int64))),
        (TypeError, "positions is a list", changed(positions=[0, 1])),
        (TypeError, "positions is float64", changed(positions=np.zeros((HEADS, ROWS)))),
        (ValueError, "positions has 3 entries along axis 1", changed(positions=np.zeros((HEADS, 3), int))),
        (ValueError, "gauss has 3 entries along axis 0", changed(gauss=np.zeros((3, 20), np.float32))),
        (ValueError, "policy is 'lru'; known are vase", changed(policy="lru")),
        (TypeError, "policy is 3", changed(policy=3)),
        (TypeError, "budget is '96'", changed(budget="96")),
        (ValueError, "budget 5 is too small", changed(budget=5)),
        (ValueError, "budget is 1099511627776", changed(budget=2**40)),
        (TypeError, "recency is 3.5", changed(recency=3.5)),
        (ValueError, "recency is -1", changed(recency=-1)),
        (ValueError, "protect is -2", changed(policy="vase", protect=-2)),
        (TypeError, "protect is 'half'; it must be an int or 'auto'", changed(policy="vase", protect="half")),
        (ValueError, "pooling is 4", changed(policy="vase", pooling=4)),
        (ValueError, "temperature is 0", changed(policy="vase", temperature=0)),
        (TypeError, "temperature is 'hot'", changed(policy="vase", temperature="hot")),
        (ValueError, "lambda is 2", changed(policy="rkv", lambda_=2)),
        (ValueError, "seed is -1", changed(seed=-1)),
        (ValueError, "scale is -1", changed(scale=-1.0)),
        (TypeError, "prompt is 'all'", changed(prompt="all")),
        (ValueError, r"prompt is \(50, 20\); it must not begin behind its end", changed(prompt=(50, 20))),
        (TypeError, "'colour'", changed(colour="red")),
    ],
)
@pytest.mark.parametrize("function", [vase.select, vase.scores])
def test_selection(function, error, message, arguments):
    with pytest.raises(error, match=message.replace("'", ".")):
        function(**arguments)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


MASK = vase.select(KEYS, VALUES, QUERIES, budget=BUDGET)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "keys is read-only", {"keys": read_only(KEYS)}),
        (TypeError, "values is read-only", {"values": read_only(VALUES)}),
        (ValueError, "rows that overlap", {"keys": np.lib.stride_tricks.as_strided(KEYS, strides=(256, 0, 4))}),
        (TypeError, "keep is float32", {"keep": MASK.astype(np.float32)}),
        (ValueError, "keep has 159 entries", {"keep": MASK[:, 1:].copy()}),
        (ValueError, "keep must lie in C order", {"keep": np.asfortranarray(MASK)}),
        (ValueError, "keep gives up", {"keep": np.logical_or(MASK, np.arange(HEADS)[:, None] == 0)}),
        (TypeError, "positions is int64", {"positions": np.zeros((HEADS, ROWS), np.int64)}),
        (ValueError, "vacate_first is 150", {"vacate": 150}),
        (TypeError, "vacate is 1.5", {"vacate": 1.5}),
    ],
)
def test_compact(error, message, arguments):
    given = {"keys": KEYS.copy(), "values": VALUES.copy(), "keep": MASK, **arguments}
    before = given["keys"].copy(), given["values"].copy()
    with pytest.raises(error, match=message):
        vase.compact(**given)
    assert (given["keys"] == before[0]).all() and (given["values"] == before[1]).all()


def test_reading_does_not_need_writable_arrays():
    assert (vase.select(read_only(KEYS), read_only(VALUES), QUERIES, budget=BUDGET) == MASK).all()


def test_threads():
    with pytest.raises(ValueError, match="threads is 0"):
        vase.set_threads(0)


def test_policies_describe_themselves():
    names = [policy.name for policy in vase.policies()]
    assert {"vase", "vase-cur", "snapkv", "rkv", "h2o", "keydiff", "streaming", "random", "full"} <= set(names)
    assert vase.parameters("vase", budget=400)["protect"] == 100
    assert vase.parameters("vase", budget=400, protect="auto")["protect"] == "auto"
    assert vase.parameters("vase-cur", budget=400)["needs_queries"] is False


def test_every_parameter_is_a_documented_option():
    """What vase.h has and the package's option types have not is forgotten."""
    typed = set(PolicyOptions.__annotations__)
    told = vase.parameters(budget=400)
    of_the_policy = {"policy", "budget", "needs_queries", "sums_up", "needs_calibration", "uses_rope", "pin_prompt", "evicts"}
    assert typed == set(told) - of_the_policy
    for policy in [policy.name for policy in vase.policies()]:
        for option in typed:
            default = vase.parameters(policy, budget=400)[option]
            try:
                again = vase.parameters(policy, budget=400, **{option: default})
            except ValueError as error:
                assert f"does not look at {option}: " in str(error)
                assert option not in ("recency", "interval", "sinks", "seed")
            else:
                assert again[option] == default
