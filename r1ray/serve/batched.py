"""◆ Models that judge what is asked and answered, in deployments of their own: they scale alone, and calls that come
together are one forward pass."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import ray
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig

from r1ray.config.serve_parts import GuardConfig
from r1ray.serve.errors import unavailable
from r1ray.serve.guard.passages import PassageClassifier
from r1ray.serve.scoring import StepScores

LOST = (
    ray.exceptions.RayActorError,
    ray.exceptions.RaySystemError,
    ray.exceptions.NodeDiedError,
    RayServeException,
    grpc.aio.AioRpcError,
)
"""What a call gets whose replica died, or that found no way to it."""

WITHOUT_LINES = LoggingConfig(enable_access_log=False)
"""Of deployments behind the ingress: a line for each call took a tenth of an engine's event loop under 64 streams."""


class StepScorer:
    """Scores the steps of answers."""

    def __init__(self, path: str, policy_path: str) -> None:
        self._scores = StepScores(path, policy_path)

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.01)
    async def _batch(self, answers: list[tuple[list[int], list[int]]]) -> list[list[dict[str, Any]]]:
        return await asyncio.to_thread(self._scores.score, answers)

    async def score(self, answer: tuple[list[int], list[int]]) -> list[dict[str, Any]]:
        """One answer's steps."""
        found: list[dict[str, Any]] = await self._batch(answer)
        return found


class RemoteScorer:
    """The scorer of steps, seen from the ingress."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle

    async def score(self, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> list[dict[str, Any]]:
        """`text` and `score` of each step."""
        answer = (list(prompt_ids), list(token_ids))
        found: list[dict[str, Any]] = await _answered(lambda: self._handle.score.remote(answer))
        return found


class GuardClassifier:
    """The guard's classifier, where it is a network."""

    def __init__(self, config: GuardConfig) -> None:
        self._classifier = PassageClassifier(config)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def _batch(self, passages: list[str]) -> list[bool]:
        return await asyncio.to_thread(self._classifier.forbids, passages)

    async def forbids(self, passage: str) -> bool:
        """Whether one passage must not be said."""
        found: bool = await self._batch(passage)
        return found


class RemoteClassifier:
    """The guard's classifier, seen from the ingress. Without an answer nothing passes."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle

    async def __call__(self, passage: str) -> bool:
        """Whether the passage must not be said."""
        try:
            found: bool = await _answered(lambda: self._handle.forbids.remote(passage))
        except (ray.exceptions.RayError, RayServeException) as error:
            raise unavailable("The content filter does not answer.") from error
        return found


async def _answered(ask: Callable[[], Awaitable[Any]], attempts: int = 4, pause_s: float = 0.5) -> Any:
    """What a replica says, or the one after it: a verdict depends on nothing but what is judged."""
    for _ in range(attempts - 1):
        try:
            return await ask()
        except LOST:
            await asyncio.sleep(pause_s)
    return await ask()


def batched(body: type[Any], most: int) -> Any:
    """The deployment of a class with batches: one replica, up to `most` while many calls wait."""
    scaled: dict[str, Any] = {"num_replicas": 1}
    if most > 1:
        scaled = {
            "autoscaling_config": AutoscalingConfig(min_replicas=1, max_replicas=most, target_ongoing_requests=16)
        }
    return serve.deployment(
        body, ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=256, logging_config=WITHOUT_LINES, **scaled
    )
