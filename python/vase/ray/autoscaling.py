"""How many replicas the load asks for."""

from __future__ import annotations

import math
from typing import Any

from ray.serve.config import AutoscalingContext


class ReplicasForLoad:
    """Ray Serve's autoscaling policy: so many that answers at work or waiting come to `target_load` for each slot.

    By the servers' own counts (`Engine.record_autoscaling_stats`), averaged by Ray Serve over its look-back period; Ray Serve keeps
    the number within its bounds and waits before it changes it.
    """

    def __init__(self, slots: int, target_load: float) -> None:
        self._load_of_one = slots * target_load

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        loads = (context.aggregated_metrics or {}).get("load", {})
        if not loads:  # none has been heard of yet
            return context.target_num_replicas, {}
        return math.ceil(sum(loads.values()) / self._load_of_one), {}
