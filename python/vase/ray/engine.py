"""A replica: one server, which it starts, watches and ends."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import ray
from ray import serve

from vase.ray.failure import Failure
from vase.ray.prometheus import value_of
from vase.ray.server_process import ServerProcess
from vase.ray.settings import Settings

_ASK = aiohttp.ClientTimeout(total=10)
# What is at work or waits, by the server's own count.
_LOAD = {"vase-serve": ("vase_slots_busy", "vase_queue_length"),
         "llama-server": ("llamacpp:requests_processing", "llamacpp:requests_deferred")}


class Engine:
    """The deployment that has the models. Requests do not come through here: fronts ask the server itself, at the address that
    `record_replica_metadata` tells them, while they hold a place that the router has given them."""

    async def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rank = serve.get_replica_context().rank.rank
        self._session = aiohttp.ClientSession(timeout=_ASK)
        self._server = ServerProcess(settings, ray.util.get_node_ip_address())
        while not await self._is_healthy():  # until it is, or has ended; Ray Serve limits how often it tries
            await asyncio.sleep(0.1)

    async def _is_healthy(self) -> bool:
        self._server.check()
        try:
            async with self._session.get(self._server.url + "/health") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def check_health(self) -> None:
        """Called by Ray Serve, which replaces this replica if it raises."""
        if not await self._is_healthy():
            raise Failure(f"{self._server.name} does not answer at {self._server.url}/health")

    def record_replica_metadata(self) -> dict[str, Any]:
        """What fronts are told once the server is there: where it is and the key it asks for; `rank` names it."""
        return {"url": self._server.url, "key": self._server.key, "rank": self._rank, "pid": self._server.pid}

    async def metrics(self, authorization: str) -> tuple[str, int, str]:
        """The server's own page of metrics, asked for as a client did ("": by ourselves): rank, status and text."""
        headers = {"Authorization": authorization or f"Bearer {self._server.key}"}
        async with self._session.get(self._server.url + "/metrics", headers=headers) as response:
            return str(self._rank), response.status, await response.text()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Ray Serve for `autoscaling.ReplicasForLoad`."""
        _, status, text = await self.metrics("")
        if status != 200:
            raise Failure(f"{self._server.name} answers {status} at /metrics")
        return {"load": sum(value_of(name, text) for name in _LOAD[self._settings.engine])}

    async def __del__(self) -> None:
        """Called by Ray Serve when no front holds a place here any more."""
        if hasattr(self, "_server"):
            await asyncio.to_thread(self._server.stop)
        await self._session.close()
