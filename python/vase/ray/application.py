"""The application that `serve run vase.ray:app` starts."""

from __future__ import annotations

import os
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig

from vase.ray.engine import Engine
from vase.ray.front import Front
from vase.ray.settings import Settings

# A front has a connection for each request; memory is what they take, not a slot.
_MOST_IN_A_FRONT = 10_000
_HEALTH = {"health_check_period_s": 2, "health_check_timeout_s": 15}
# The server's own drain, and to be heard.
_SHUTDOWN_SECONDS = 60
_HEAD_NODE = "node:__internal_head__"  # a resource that Ray gives to the head node, 1 of it


def app(args: dict[str, Any]) -> Application:
    """The application for these settings (`vase.ray.settings.Settings`). Raises Failure, in one line, if they are wrong."""
    settings = Settings.read(args)
    if key := os.environ.get("VASE_API_KEY"):
        settings = settings.model_copy(update={"api_keys": (*settings.api_keys, key)})
    engines = serve.deployment(Engine).options(
        **number_of_replicas(settings),
        # The server itself refuses what is too much, in its own words; with llama-server, which does not, this is the limit.
        max_ongoing_requests=settings.parallel + settings.queue + (8 if settings.engine == "vase-serve" else 0),
        ray_actor_options={"num_cpus": settings.cpus, "num_gpus": settings.gpus},
        request_router_config=RequestRouterConfig(
            request_router_class="vase.ray.router:PrefixRouter",
            request_router_kwargs={"slots": settings.parallel, "overload": settings.overload},
        ),
        graceful_shutdown_timeout_s=_SHUTDOWN_SECONDS,
        max_constructor_retry_count=3,
        **_HEALTH,
    )
    fronts = serve.deployment(Front).options(
        num_replicas=settings.fronts,
        max_ongoing_requests=_MOST_IN_A_FRONT,
        ray_actor_options={"num_cpus": 0, "resources": {_HEAD_NODE: 0.001} if settings.fronts_on_head else {}},
        graceful_shutdown_timeout_s=_SHUTDOWN_SECONDS,
        **_HEALTH,
    )
    return fronts.bind(engines.bind(settings), settings)


def number_of_replicas(settings: Settings) -> dict[str, Any]:
    """What Ray Serve is told of it: a number, or bounds and a policy."""
    if settings.max_replicas == 0:
        return {"num_replicas": settings.replicas}
    policy = AutoscalingPolicy(
        policy_function="vase.ray.autoscaling:ReplicasForLoad",
        policy_kwargs={"slots": settings.parallel, "target_load": settings.target_load},
    )
    return {"autoscaling_config": AutoscalingConfig(min_replicas=settings.replicas, max_replicas=settings.max_replicas, policy=policy)}
