"""One PPO step with a stopwatch at each of its parts, its workers in this process or on Ray."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor

from r1ray.config.jobs import PPOJobConfig
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.factory import make_engine
from r1ray.models.loading import decoder, load_tokenizer, resolve_model
from r1ray.reasoning.functions import UserFunction
from r1ray.reasoning.grading import Grader
from r1ray.rl.figures import batch_metrics, success_rates
from r1ray.rl.learner import Learner
from r1ray.rl.loop import ScoredBatch
from r1ray.rl.networks import build_actor_critic, build_reference
from r1ray.rl.reward import RewardWorker
from r1ray.rl.rollout import RolloutRequest, RolloutWorker
from r1ray.rl.weights import FlatWeights
from r1ray.train.zero import ZeroEngine
from r1ray.types import Completion, Problem, Rollout, ScoredRollout


class Stopwatch:
    """Seconds by name, summed until they are taken."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is inside."""
        start = time.perf_counter()
        yield
        self._seconds[name] += time.perf_counter() - start

    def take(self) -> dict[str, float]:
        """What was summed since the last call."""
        taken, self._seconds = dict(self._seconds), defaultdict(float)
        return taken


class TimedZeroEngine(ZeroEngine):
    """`ZeroEngine` that says how long it computed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.watch = Stopwatch()
        super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with self.watch("forward"):
            return super().forward(*args, **kwargs)

    def backward(self, loss: Tensor) -> None:
        with self.watch("backward"):
            super().backward(loss)

    def step(self) -> dict[str, float]:
        with self.watch("optimizer"):
            return super().step()


class TimedRolloutWorker(RolloutWorker):
    """`RolloutWorker` that says how long its engine sampled."""

    watch = Stopwatch()

    def complete(self, prompts: Sequence[Prompt], params: SamplingParams, version: int) -> list[list[Completion]]:
        with self.watch("generation"):
            return super().complete(prompts, params, version)

    def taken(self) -> dict[str, float]:
        """Seconds since the last call."""
        return self.watch.take()


class TimedRewardWorker(RewardWorker):
    """`RewardWorker` that says how long it scored."""

    watch = Stopwatch()

    def score(self, rollouts: Sequence[Rollout]) -> tuple[list[ScoredRollout], dict[str, int]]:
        with self.watch("reward"):
            return super().score(rollouts)

    def taken(self) -> dict[str, float]:
        """Seconds since the last call."""
        return self.watch.take()


def make_rollout_worker(config: PPOJobConfig) -> TimedRolloutWorker:
    """The job's rollout worker."""
    engine = make_engine(config.engine, config.policy, "cpu")
    return TimedRolloutWorker(engine, load_tokenizer(config.policy.path), config.problems.system)


def make_reward_worker(config: PPOJobConfig, functions: Sequence[UserFunction] = ()) -> TimedRewardWorker:
    """The job's reward worker."""
    return TimedRewardWorker(
        config.reward,
        decoder(load_tokenizer(config.policy.path)),
        Grader(seconds=config.reward.grader_seconds, batch_seconds=config.reward.batch_seconds),
        max_new_tokens=config.sampling.max_new_tokens,
        functions=functions,
    )


def make_learner(config: PPOJobConfig) -> tuple[TimedZeroEngine, Learner]:
    """The job's only learner rank: DeepSpeed ZeRO at the configured stage, in a process group of one."""
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    start = str(resolve_model(config.policy.path))
    # DeepSpeed asks for a launcher's variable; other trainers would take it for the sign of a distributed run.
    with patch.dict(os.environ, {"LOCAL_RANK": "0"}):
        engine = TimedZeroEngine(
            build_actor_critic(config, start),
            config.optim,
            config.zero,
            dtype=config.policy.dtype,
            total_steps=config.ppo.steps,
            head_lr=config.critic.lr,
        )
    return engine, Learner(engine, build_reference(config, start), config)


class LocalRollouts:
    """`Rollouts` by one worker in this process."""

    def __init__(self, worker: RolloutWorker, config: PPOJobConfig) -> None:
        self._worker, self._config, self._version = worker, config, 0

    def load(self, weights: FlatWeights | None) -> None:
        """Hand the weights to the worker."""
        assert weights is not None
        self._version = self._worker.load_weights(weights)

    def start(self, problems: Sequence[Problem], step: int) -> "Done":
        """Sample at once."""
        request = RolloutRequest(
            samples=self._config.ppo.samples_per_prompt,
            params=SamplingParams(
                max_new_tokens=self._config.sampling.max_new_tokens, temperature=self._config.sampling.temperature
            ),
            version=self._version,
            seed=self._config.run.seed,
            step=step,
        )
        return Done(self._worker.generate(problems, request))


class Done:
    """Rollouts that are there already."""

    def __init__(self, rollouts: list[Rollout]) -> None:
        self._rollouts = rollouts

    def result(self) -> list[Rollout]:
        """The rollouts."""
        return self._rollouts


class LocalRewards:
    """`Rewards` by one worker in this process."""

    def __init__(self, worker: RewardWorker) -> None:
        self._worker = worker

    def score(self, rollouts: list[Rollout]) -> ScoredBatch:
        """Score; all of it is this rank's share."""
        scored, counters = self._worker.score(rollouts)
        return ScoredBatch(share=scored, success=success_rates(scored), metrics=batch_metrics(scored, counters))
