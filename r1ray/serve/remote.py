"""Deployments as an ingress sees them: the engines of a version, and the ledger."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import ray
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from r1ray.generation.iteration import EngineEvent, EngineLoad, EngineRequest
from r1ray.serve.batched import LOST
from r1ray.serve.errors import ApiError, overloaded, unavailable
from r1ray.serve.ledger import Heard, News
from r1ray.serve.observe.pages import Page
from r1ray.serve.resume import EngineLost, resumed
from r1ray.serve.store.base import Bucket

ASLEEP = EngineLoad(
    running=0,
    waiting=0,
    waiting_tokens=0,
    free_tokens=1,
    total_tokens=1,
    cached_tokens=0,
    prompt_tokens=0,
    iterations=0,
)
"""Of engines that are not there."""


class RemoteEngine:
    """The engines of one version, seen from the ingress.

    Args:
        handle: of their deployment.
        description: what `describe` says of them.
        sleeps: whether there may be none while nobody asks: then only requests wake one, not questions for its load.
    """

    def __init__(self, handle: DeploymentHandle[Any], description: Mapping[str, Any], sleeps: bool = False) -> None:
        # Events go from process to process over gRPC; as objects of Ray's they would take some milliseconds longer.
        self._streams = handle.options(stream=True, _by_reference=False)
        self._handle, self._description, self._sleeps, self._running = handle, description, sleeps, 0

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt and its answer."""
        return int(self._description["context_length"])

    async def generate(self, request: EngineRequest) -> AsyncGenerator[list[EngineEvent], None]:
        """Events as they come, from another engine where one dies."""
        self._running += 1
        try:
            async with contextlib.aclosing(resumed(self._once, request)) as stream:
                async for events in stream:
                    yield events
        finally:
            self._running -= 1

    async def load(self) -> EngineLoad | None:
        """Of one of the engines."""
        if self._sleeps and not self._running:
            return ASLEEP
        with contextlib.suppress(Exception):  # figures for an operator are no reason to fail
            load: EngineLoad = await asyncio.wait_for(self._handle.load.remote(), 2.0)
            return load
        return None

    async def check(self) -> None:
        """Raises where no engine answers in time."""
        if self._sleeps and not self._running:
            return
        try:
            await asyncio.wait_for(self._handle.load.remote(), 10.0)
        except Exception as error:
            raise unavailable(f"No engine answers: {type(error).__name__}") from error

    async def _once(self, request: EngineRequest) -> AsyncGenerator[list[EngineEvent], None]:
        response: Any = self._streams.generate.remote(request)
        over = False
        try:
            async for events in response:
                over = events[-1].finish_reason is not None
                yield events
            over = True
        except BackPressureError as error:
            raise overloaded("Too many requests wait.", 2.0) from error
        except LOST as error:
            raise EngineLost(type(error).__name__) from error
        except ray.exceptions.RayTaskError as error:
            over = True
            raise (error.cause if isinstance(error.cause, ApiError) else error) from None
        finally:
            if not over:
                response.cancel()


class RemoteLedger:
    """The ledger seen from an ingress; it is a store as well."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle.options(_by_reference=False)

    async def exchange(self, ingress: str, news: News, page: Page) -> Heard:
        """Tell and hear."""
        return cast(Heard, await self._handle.exchange.remote(ingress, news, page))

    async def set_ratio(self, percent: float) -> Heard:
        """Change the canary's share."""
        return cast(Heard, await self._handle.set_ratio.remote(percent))

    async def page(self) -> bytes:
        """Metrics of all ingresses."""
        return cast(bytes, await self._handle.page.remote())

    async def figures(self) -> dict[str, Any]:
        """For the job's last line."""
        return cast(dict[str, Any], await self._handle.figures.remote())

    async def get(self, key: str) -> bytes | None:
        """Of the store."""
        return cast(bytes | None, await self._handle.get.remote(key))

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Of the store."""
        await self._handle.put.remote(key, value, ttl_s)

    async def add(self, key: str, amount: int, ttl_s: float) -> int:
        """Of the store."""
        return cast(int, await self._handle.add.remote(key, amount, ttl_s))

    async def take(self, key: str, cost: float, bucket: Bucket) -> float:
        """Of the store."""
        return cast(float, await self._handle.take.remote(key, cost, bucket))
