"""The parts of a PPO step, each with a stopwatch; workers in this process or on Ray."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch.distributed as dist

from r1ray.config.jobs import PPOJobConfig
from r1ray.models.loading import resolve_model
from r1ray.rl.factories import make_reward_worker, make_rollout_worker
from r1ray.rl.learner import Learner
from r1ray.rl.loop import ScoredBatch
from r1ray.rl.networks import build_actor_critic, build_reference
from r1ray.rl.pools import PoolRewards, PoolRollouts
from r1ray.train.zero import ZeroEngine

Seconds = dict[str, float]


class Stopwatch:
    """Seconds by name, summed until they are taken."""

    def __init__(self) -> None:
        self._seconds: Seconds = defaultdict(float)

    def watch(self, target: Any, methods: Mapping[str, str]) -> None:
        """Time every call of `target`'s methods, each under the name that it is mapped to."""
        for method, name in methods.items():
            setattr(target, method, self._timed(getattr(target, method), name))

    def take(self) -> Seconds:
        """What was summed since the last call."""
        taken, self._seconds = dict(self._seconds), defaultdict(float)
        return taken

    def _timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._seconds[name] += time.perf_counter() - start

        return timed


def timed_rollout_worker(config: PPOJobConfig, threads: int) -> Any:
    """The job's rollout worker; `taken()` says how long its engine sampled (`generation`)."""
    return with_watch(make_rollout_worker(config, threads), "complete", "generation")


def timed_reward_worker(config: PPOJobConfig, threads: int) -> Any:
    """The job's reward worker; `taken()` says how long it scored (`reward`)."""
    return with_watch(make_reward_worker(config, threads), "score", "reward")


def with_watch(worker: Any, method: str, name: str) -> Any:
    """The worker, with a method `taken` that gives the seconds spent in `method` since the last call."""
    stopwatch = Stopwatch()
    stopwatch.watch(worker, {method: name})
    worker.taken = stopwatch.take
    return worker


class InProcessPool:
    """What the loop needs of an actor pool, around one worker in this process."""

    def __init__(self, worker: Any) -> None:
        self.worker = worker

    def __len__(self) -> int:
        return 1

    def start(self, method: str, items: Iterable[Any], *shared: Any, **_: Any) -> "Done":
        """Do the work at once."""
        return Done([getattr(self.worker, method)(item, *shared) for item in items])

    def map(self, method: str, items: Iterable[Any], *shared: Any, **_: Any) -> list[Any]:
        """One result an item."""
        return self.start(method, items, *shared).result()

    def broadcast(self, method: str, *args: Any) -> list[Any]:
        """The worker's answer."""
        return [getattr(self.worker, method)(*args)]


class Done:
    """Work that is done already."""

    def __init__(self, results: list[Any]) -> None:
        self._results = results

    def result(self) -> list[Any]:
        """The results."""
        return self._results


class Step:
    """Everything that a PPO step needs: pools of workers, and the only rank of the learner in this process."""

    def __init__(
        self, config: PPOJobConfig, rollouts: Any, rewards: Any, share: Callable[[Any], Any] = lambda weights: weights
    ) -> None:
        """
        Args:
            rollouts: an `ActorPool` or `InProcessPool` of timed rollout workers.
            rewards: the same of timed reward workers.
            share: how weights reach the rollout workers (`ray.put`).
        """
        self.rollout_pool, self.reward_pool = rollouts, rewards
        self.rollouts = PoolRollouts(rollouts, config, 0, share)
        self.rewards = PoolRewards(rewards, 0, 1, _first)
        self._stopwatch = Stopwatch()
        self.engine = make_zero_engine(config)
        self._stopwatch.watch(self.engine, {"forward": "forward", "backward": "backward", "step": "optimizer"})
        start = str(resolve_model(config.policy.path))
        self.learner = Learner(self.engine, build_reference(config, start), config)

    def take(self) -> Seconds:
        """Seconds of `generation`, `reward`, `forward`, `backward` and `optimizer` since the last call; of the slowest
        worker where there are several."""
        seconds = self._stopwatch.take()
        for pool in (self.rollout_pool, self.reward_pool):
            answers = pool.broadcast("taken")
            seconds |= {name: max(answer.get(name, 0.0) for answer in answers) for name in answers[0]}
        return seconds


def make_zero_engine(config: PPOJobConfig) -> ZeroEngine:
    """The job's networks under DeepSpeed ZeRO at the configured stage, in a process group of one."""
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    # DeepSpeed asks for a launcher's variable; other trainers would take it for the sign of a distributed run.
    with patch.dict(os.environ, {"LOCAL_RANK": "0"}):
        return ZeroEngine(
            build_actor_critic(config, str(resolve_model(config.policy.path))),
            config.optim,
            config.zero,
            dtype=config.policy.dtype,
            total_steps=config.ppo.steps * config.ppo.epochs * config.ppo.minibatches,
            head_lr=config.critic.lr,
        )


def _first(batches: Sequence[ScoredBatch] | None) -> ScoredBatch:
    assert batches is not None
    return batches[0]
