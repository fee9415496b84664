"""The policies of the library and their parameters."""

from __future__ import annotations

from typing import Any, NamedTuple, Unpack

from vase import _vase
from vase.options import PolicyOptions


DEFAULT_POLICY: str = _vase.default_policy
"""The policy to take where nobody says which: the one that kept reasoning intact best of all when they were compared."""


class Policy(NamedTuple):
    """An eviction policy."""

    name: str
    summary: str
    """What it keeps, in one line."""
    needs_queries: bool
    """Whether it scores rows by the attention of the newest queries."""


def policies() -> list[Policy]:
    """All policies, in the order of ``vase policies``."""
    return [Policy(*entry) for entry in _vase.policies()]


def parameters(policy: str = DEFAULT_POLICY, *, budget: int, **options: Unpack[PolicyOptions]) -> dict[str, Any]:
    """All parameters that hold for ``policy`` at ``budget`` rows, the policy's defaults unless ``options`` says otherwise, and
    whether the policy ``needs_queries``, ``sums_up``, ``needs_calibration``, ``uses_rope`` and ``evicts`` at all.

    Raises ValueError for an unknown policy, values out of range and options that the policy does not look at, TypeError for values of the wrong type.
    """
    return _vase.parameters(policy, budget, dict(options))
