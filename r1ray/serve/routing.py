"""◆ Prefix-aware routing as a request router of Ray Serve's: requests go where their prompt's beginning is cached."""

from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from r1ray.generation.iteration import EngineRequest
from r1ray.generation.paged.blocks import PAGE, prefix_hashes
from r1ray.serve.affinity import PrefixMap


class PrefixRouter(RequestRouter):
    """Engines with the prefix first, the idle ones next; an engine that is full or gone is passed over."""

    def initialize_state(self, **options: Any) -> None:
        """Called once by Serve; `options` are those of `PrefixMap`."""
        self._map: PrefixMap[ReplicaID] = PrefixMap(**options)

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Ranks of one engine each, so that the next is asked only where one refuses."""
        by_id = {replica.replica_id: replica for replica in candidate_replicas}
        self._map.keep(self.curr_replicas.keys())
        loads = {one: self.replica_queue_len_cache.get(one) or 0 for one in by_id}
        return [[by_id[one]] for one in self._map.rank(_hashes(pending_request), loads)]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Remember where a prompt went."""
        self._map.sent(_hashes(pending_request), replica_id)


def _hashes(pending: PendingRequest | None) -> list[bytes]:
    request = pending.args[0] if pending is not None and pending.args else None
    return prefix_hashes(list(request.prompt_ids), PAGE) if isinstance(request, EngineRequest) else []
