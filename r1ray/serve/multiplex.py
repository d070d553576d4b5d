"""◆ Several models in one process by Ray Serve's multiplexing: each is loaded when it is asked for, and the one that
nobody asked for the longest makes room."""

import asyncio
import contextlib
import logging
import time
import weakref
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ray import serve

from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeConfig, ServeEngineConfig
from r1ray.errors import R1RayError
from r1ray.generation.iteration import EngineEvent, EngineRequest
from r1ray.generation.paged.factory import make_iteration_engine
from r1ray.serve.errors import ApiError
from r1ray.serve.runner import EngineRunner

_log = logging.getLogger("r1ray.serve")


class HeldModel:
    """A model that is loaded."""

    def __init__(self, runner: EngineRunner, drain_s: float) -> None:
        self.runner, self._drain_s = runner, drain_s

    def __del__(self) -> None:
        """How Ray Serve makes room, in a thread of its own: what runs has its time to end. What is cut off then goes on
        when its model is back (`resume.py`)."""
        until = time.monotonic() + self._drain_s
        while self.runner.active and time.monotonic() < until:
            time.sleep(0.02)
        self.runner.stop()


def model_holder(most: int) -> type[Any]:
    """The class of a deployment that holds `most` models at a time."""

    class ModelHolder:
        """Models by name; a request's name travels beside it, so that it comes to who has the model already."""

        def __init__(self, config: ServeEngineConfig, policies: Mapping[str, PolicyConfig], knobs: ServeConfig) -> None:
            self._config, self._policies, self._knobs = config, policies, knobs
            self._held: weakref.WeakValueDictionary[str, HeldModel] = weakref.WeakValueDictionary()

        async def generate(self, request: EngineRequest) -> AsyncGenerator[list[EngineEvent], None]:
            """A request's events, from the model that it was sent to."""
            held = await self.model(serve.get_multiplexed_model_id())
            async with contextlib.aclosing(held.runner.generate(request)) as stream:
                async for events in stream:
                    yield events

        @serve.multiplexed(max_num_models_per_replica=most)  # type: ignore[untyped-decorator]
        async def model(self, name: str) -> HeldModel:
            try:
                engine, _ = await asyncio.to_thread(make_iteration_engine, self._config, self._policies[name])
            except R1RayError as error:
                _log.exception("the model %s cannot be loaded", name)
                message = f"The model {name!r} cannot be loaded."
                raise ApiError(500, message, "server_error", "model_unavailable", "model") from error
            runner = EngineRunner.under(self._knobs, engine)
            held = self._held[name] = HeldModel(runner, self._knobs.drain_s)
            return held

        async def loaded(self) -> list[str]:
            """Which models are here now."""
            return sorted(self._held)

        async def check_health(self) -> None:
            """Raises if an engine has stopped by itself: the replica is then replaced."""
            for held in list(self._held.values()):
                if held.runner.failure is not None:
                    raise RuntimeError(f"an engine has stopped: {held.runner.failure}")

    return ModelHolder
