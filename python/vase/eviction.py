"""One eviction of one layer of one sequence, on arrays of the caller."""

from __future__ import annotations

from typing import Any, TypeAlias, Unpack

import numpy as np

from vase import _vase, frameworks
from vase.options import LayerOptions
from vase.policies import DEFAULT_POLICY
from vase.rope import Rope, dense_rope

Array: TypeAlias = Any
"""A numpy array or a torch tensor."""

__all__ = ["Array", "compact", "scores", "select"]


def select(
    keys: Array,
    values: Array,
    queries: Array | None = None,
    policy: str = DEFAULT_POLICY,
    *,
    budget: int,
    positions: Array | None = None,
    sums: Array | None = None,
    calibration: Array | None = None,
    gauss: Array | None = None,
    rope: Rope | None = None,
    **options: Unpack[LayerOptions],
) -> Array:
    """Chooses the rows that each KV head keeps.

    Args:
        keys: [n_rows, n_heads, dim], post-RoPE; float32, float16 or (torch) bfloat16, any strides as long as the elements of a
            row are adjacent. Not copied.
        values: [n_rows, n_heads, value dim], as keys.
        queries: [n_query_heads, n_queries, dim], the newest queries, post-RoPE, in any order (vase-plus@2 asks each eighth);
            n_query_heads is a multiple of n_heads. Copied if they are not dense float32. Needed by the policies that score by
            attention.
        policy: a name from policies().
        budget: rows that each head keeps.
        positions: [n_heads, n_rows] integers, the token position that each row stands for; row i stands for token i if None.
        sums: [n_heads, n_rows] float32, dense: what a policy that sums up (``sums_up`` of vase.parameters()) has found of each row so far, 0
            for a new one. select() adds what it finds, scores() only looks. None: nothing was found so far, and nothing is kept.
        calibration: [n_query_heads, 3, dim / 2], the layer's mean queries from read_calibration(). Needed by the policies that do not see
            queries but know what they usually are (``needs_calibration`` of vase.parameters()).
        gauss: [larger dim, projections] float32, the projection for CUR to use instead of drawing one.
        rope: how the keys were rotated for their positions. Looked at by policies that compare keys as they
            were before (``uses_rope`` of vase.parameters()). None takes them as they are; if they were rotated, such a policy
            then keeps worse rows.
        options: see LayerOptions.

    Returns:
        bool [n_heads, n_rows] on the device of keys, True for the min(n_rows, budget) rows of each head that stay.

    Raises:
        TypeError, ValueError: an argument does not fit; the message names it.
        RuntimeError: keys lie on a CUDA device and the package was built without CUDA.
    """
    out = _empty_rows(keys, "bool")
    rows = _rows(keys, values, queries, positions, sums, calibration, gauss, rope)
    with frameworks.current_stream(keys) as stream:
        _vase.select(out, rows, _checked(policy), budget, dict(options), stream)
    return out[:, : keys.shape[0]]


def scores(
    keys: Array,
    values: Array,
    queries: Array | None = None,
    policy: str = DEFAULT_POLICY,
    *,
    budget: int,
    positions: Array | None = None,
    sums: Array | None = None,
    calibration: Array | None = None,
    gauss: Array | None = None,
    rope: Rope | None = None,
    **options: Unpack[LayerOptions],
) -> Array:
    """The scores from which the policy chooses, before any draw. Arguments and errors are those of select().

    Returns:
        float32 [n_heads, n_rows] on the device of keys. Rows outside the choice (the recency window; sinks, pinned and protected
        rows) are +infinity. For a policy that draws, the others are weights of the draw, not normalised; else ranking scores.
    """
    out = _empty_rows(keys, "float32")
    rows = _rows(keys, values, queries, positions, sums, calibration, gauss, rope)
    with frameworks.current_stream(keys) as stream:
        _vase.scores(out, rows, _checked(policy), budget, dict(options), stream)
    return out[:, : keys.shape[0]]


def compact(
    keys: Array, values: Array, keep: Array, positions: Array | None = None, *, sums: Array | None = None, vacate: int = 0
) -> int:
    """Moves kept rows in place so that the rows [vacate, vacate + m) become free, m being the number of rows that each head
    gives up: kept rows among them move into the places of given-up rows elsewhere. At most m rows move per head.

    Args:
        keys, values: as in select(); written to.
        keep: bool [n_heads, n_rows], dense, as select() returns it; all heads keep the same number of rows.
        positions: int32 [n_heads, n_rows], dense, updated with the moves; or None.
        sums: float32 [n_heads, n_rows], dense, likewise.
        vacate: the first row to become free. With ``vacate=budget`` the kept rows end up in front.

    Returns:
        m. On a CUDA device this waits for the mask.

    Raises:
        TypeError, ValueError, RuntimeError: as in select(). Then nothing has moved.
    """
    if not isinstance(vacate, int):
        raise TypeError(f"vacate is {vacate!r}; it must be an int")
    keys, values, keep, positions, sums = (frameworks.plain(array) for array in (keys, values, keep, positions, sums))
    if not frameworks.is_cuda(keys):
        return _vase.compact(keys, values, keep, positions, sums, vacate)
    keep, freed = _device_mask(keys, keep)
    with frameworks.current_stream(keys) as stream:
        return _vase.compact(keys, values, keep, positions, sums, vacate, freed, stream)


def _empty_rows(keys: Array, dtype: str) -> Array:
    """[n_heads, n_rows] on the device of keys; on a CUDA device with as many columns as the library works with there."""
    if not isinstance(keys, np.ndarray) and not frameworks.is_torch(keys):
        raise TypeError(f"keys is a {type(keys).__name__}; it must be a numpy array or a torch tensor")
    if keys.ndim != 3:
        raise ValueError(f"keys has {keys.ndim} axes; it must be [n_rows, n_heads, dim]")
    rows, heads = keys.shape[:2]
    columns = _vase.device_mask_rows(rows) if frameworks.is_cuda(keys) else rows
    return frameworks.empty(keys, (heads, columns), dtype)


def _device_mask(keys: Array, keep: Array) -> tuple[Array, int]:
    """A mask in the layout of _empty_rows, and how many rows each head gives up, for which this waits for the device."""
    rows = _empty_rows(keys, "bool")
    if not frameworks.is_torch(keep) or tuple(keep.shape) != (keys.shape[1], keys.shape[0]) or keep.dtype != rows.dtype:
        raise ValueError(f"keep must be a bool tensor of shape [{keys.shape[1]}, {keys.shape[0]}], as keys has heads and rows")
    rows[:, : keep.shape[1]] = keep
    freed = (~keep).sum(dim=1).tolist()
    for head, count in enumerate(freed):
        if count != freed[0]:
            raise ValueError(
                f"keep gives up {freed[0]} rows of head 0 and {count} of head {head}; all heads give up the same number"
            )
    return rows, freed[0]


def _rows(
    keys: Array,
    values: Array,
    queries: Array | None,
    positions: Array | None,
    sums: Array | None,
    calibration: Array | None,
    gauss: Array | None,
    rope: Rope | None,
) -> dict[str, Any]:
    """A layer as the extension module takes it; the small arrays are converted, the rows never."""
    return {
        "keys": frameworks.plain(keys),
        "values": frameworks.plain(values),
        "queries": frameworks.dense("queries", queries, "float32"),
        "positions": frameworks.dense("positions", positions, "int32"),
        "sums": frameworks.plain(sums),
        "calibration": frameworks.dense("calibration", calibration, "float32"),
        "gauss": frameworks.dense("gauss", gauss, "float32"),
        "rope": dense_rope(rope),
    }


def _checked(policy: str) -> str:
    if not isinstance(policy, str):
        raise TypeError(f"policy is {policy!r}; it must be a name from vase.policies()")
    return policy
