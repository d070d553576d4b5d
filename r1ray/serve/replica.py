"""What one engine replica does: it owns an engine and lets requests in. `app.py` makes it a deployment."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeConfig, ServeEngineConfig
from r1ray.generation.iteration import EngineEvent, EngineLoad, EngineRequest
from r1ray.generation.paged.factory import describe_weights, make_iteration_engine, read_weights
from r1ray.serve.runner import EngineRunner


class EngineReplica:
    """One engine, its thread, and the weights that it should have."""

    async def __init__(self, config: ServeEngineConfig, policy: PolicyConfig, serve: ServeConfig) -> None:  # type: ignore[misc]
        self._config, self._policy = config, policy
        engine, _ = await asyncio.to_thread(make_iteration_engine, config, policy)
        self._runner = EngineRunner.under(serve, engine)
        self._weights, self._version = policy.path, 0

    async def generate(self, request: EngineRequest) -> AsyncGenerator[list[EngineEvent], None]:
        """A request's events, several iterations' together where many streams run."""
        stream = self._runner.generate(request)
        try:
            async for events in stream:
                yield events
        finally:
            await stream.aclose()

    async def describe(self) -> dict[str, Any]:
        """What requests need to know of the engine."""
        return {"context_length": self._runner.context_length, "weights": describe_weights(self._config, self._policy)}

    async def load(self) -> EngineLoad:
        """How busy it is."""
        return await self._runner.load()

    async def reconfigure(self, wanted: dict[str, Any]) -> None:
        """Take the weights of another path between two iterations; requests go on meanwhile."""
        path, version = wanted["weights"], int(wanted["version"])
        if (path, version) != (self._weights, self._version):
            policy = replace(self._policy, path=path)
            weights = await asyncio.to_thread(read_weights, self._config, policy)
            await self._runner.load_weights(weights, version)
            self._weights, self._version, self._policy = path, version, policy

    async def check_health(self) -> None:
        """Raises if the engine has stopped: the replica is then replaced."""
        await self._runner.check()

    def record_autoscaling_stats(self) -> dict[str, float]:
        """For the policy in `scaling.py`."""
        recent = sorted(self._runner.first_token_s)
        return {
            "queued_tokens": float(self._runner.queued_tokens),
            "first_token_s": recent[len(recent) // 2] if recent and self._runner.active else 0.0,
            "active": float(self._runner.active),
        }
