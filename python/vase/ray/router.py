"""Ray Serve's request router for servers that put prompts aside."""

from __future__ import annotations

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from vase.ray.affinity import by_affinity


class PrefixRouter(RequestRouter):
    """Sends a conversation to the replica that has read its beginning, and others to whoever has least to do.

    Asked by `handle.choose_replica(key=..., avoid=...)`: `key` names the conversation ("": none), `avoid` holds the ids of replicas
    that this request has tried. `initialize_state` takes `slots`, of each replica, and `overload`: requests for each slot of a replica
    from which on its conversations go elsewhere, if a slot is free there.
    """

    def initialize_state(self, slots: int, overload: float) -> None:
        self._slots = slots
        self._full = slots * overload

    async def choose_replicas(self, candidate_replicas: list[RunningReplica],
                              pending_request: PendingRequest | None = None) -> list[list[RunningReplica]]:
        """Ranks of replicas; Ray Serve takes the first one that has room."""
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True  # if none of them has room
        key, avoid = pending_request.kwargs["key"], pending_request.kwargs["avoid"]
        untried = [replica for replica in candidate_replicas if replica.replica_id.unique_id not in avoid]
        replicas = untried or candidate_replicas
        if not key:
            return [replicas]
        order = by_affinity(key, [(_name(replica), replica) for replica in replicas])
        home, *others = order
        free = [replica for replica in others if self._load(replica) < self._slots]
        if self._load(home) >= self._full and free:
            return [free, order]
        return [[replica] for replica in order]

    def _load(self, replica: RunningReplica) -> int:
        """Requests that a replica has, as far as this router knows; it learns it with each request, and when one ends."""
        return self.replica_queue_len_cache.get(replica.replica_id) or 0


def _name(replica: RunningReplica) -> str:
    """The replica's rank: who takes a dead one's place takes its conversations, and no other."""
    return str(replica.replica_metadata["rank"])
