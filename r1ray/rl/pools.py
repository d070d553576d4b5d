"""The loop's workers on pools of actors: who generates, who scores, and who answers evaluations. Whatever Ray hands in
is a parameter."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from r1ray.algorithms.packing import balance
from r1ray.cluster.pending import PendingMap, Prepare
from r1ray.cluster.pool import ActorPool
from r1ray.config.jobs import PPOJobConfig
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.rl.figures import batch_metrics, success_rates
from r1ray.rl.loop import ScoredBatch
from r1ray.rl.rollout import RolloutRequest
from r1ray.rl.weights import FlatWeights
from r1ray.types import Completion, Problem, Rollout, ScoredRollout


class PoolRollouts:
    """`Rollouts` on a pool. Rank 0 does the work; the other ranks only keep in step."""

    def __init__(self, pool: ActorPool, config: PPOJobConfig, rank: int, share: Callable[[FlatWeights], Any]) -> None:
        """`share`: puts weights where every engine can read them, and returns a reference to them (`ray.put`)."""
        self.pool, self._config, self._rank, self._share = pool, config, rank, share
        self.version = 0
        self._weights: Any = None

    def load(self, weights: FlatWeights | None) -> None:
        """Put the weights into shared memory once, and have every engine take them."""
        if weights is None:
            return
        self._weights, self.version = self._share(weights), weights.version
        self.pool.broadcast("load_weights", self._weights)

    def start(self, problems: Sequence[Problem], step: int) -> "PoolPending":
        """Deal the problems out to the engines."""
        if self._rank:
            return PoolPending(None)
        sampling = self._config.sampling
        request = RolloutRequest(
            samples=self._config.ppo.samples_per_prompt,
            params=SamplingParams(
                max_new_tokens=sampling.max_new_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
            ),
            version=self.version,
            seed=self._config.run.seed,
            step=step,
        )
        parts = deal(problems, len(self.pool))
        return PoolPending(self.pool.start("generate", parts, request, prepare=self.bring_up()))

    def bring_up(self) -> Prepare:
        """What gives a restarted or stale engine the weights that are newest now: while rollouts of one version are
        under way, the next may be published."""
        weights = self._weights

        def prepare(member: Any) -> None:
            if weights is not None:
                member.run("load_weights", weights)

        return prepare


class PoolPending:
    """Rollouts under way on a pool."""

    def __init__(self, pending: PendingMap | None) -> None:
        self._pending = pending

    def result(self) -> list[Rollout]:
        """Wait for them; empty on ranks other than 0."""
        return [] if self._pending is None else [rollout for part in self._pending.result() for rollout in part]


class PoolRewards:
    """`Rewards` on a pool: rank 0 has the rollouts scored, and every rank gets its share of whole groups."""

    def __init__(
        self, pool: ActorPool, rank: int, ranks: int, scatter: Callable[[Sequence[ScoredBatch] | None], ScoredBatch]
    ) -> None:
        """`scatter`: gives each rank its part of what rank 0 deals out (`WorkerContext.scatter`)."""
        self._pool, self._rank, self._ranks, self._scatter = pool, rank, ranks, scatter

    def score(self, rollouts: list[Rollout], step_weight: float | None = None) -> ScoredBatch:
        """Score on the pool, then deal out by length."""
        if self._rank:
            return self._scatter(None)
        weight = () if step_weight is None else (step_weight,)
        results = self._pool.map("score", deal(rollouts, len(self._pool)), *weight)
        scored = [item for part, _ in results for item in part]
        counters: dict[str, int] = {}
        for _, counted in results:
            for name, count in counted.items():
                counters[name] = counters.get(name, 0) + count
        success, metrics = success_rates(scored), batch_metrics(scored, counters)
        return self._scatter(
            [
                ScoredBatch(share=share, success=success, metrics=metrics if rank == 0 else {})
                for rank, share in enumerate(shares(scored, self._ranks))
            ]
        )


class PoolEngine:
    """The rollout pool as one `GenerationEngine`, for evaluations."""

    def __init__(self, rollouts: PoolRollouts) -> None:
        self._rollouts = rollouts

    @property
    def policy_version(self) -> int:
        """Version of the newest weights."""
        return self._rollouts.version

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[list[Completion]]:
        """Each engine takes a part of the prompts."""
        pool, rollouts = self._rollouts.pool, self._rollouts
        parts = pool.map("complete", deal(prompts, len(pool)), params, rollouts.version, prepare=rollouts.bring_up())
        return [completions for part in parts for completions in part]

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Hand weights to every engine."""
        self._rollouts.load(FlatWeights.of(weights, version))

    def logprobs(self, prompt_ids: Sequence[Sequence[int]], response_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """From the first engine."""
        scores: list[list[float]] = self._rollouts.pool.members[0].run("logprobs", prompt_ids, response_ids)
        return scores


def deal(items: Sequence[Any], parts: int) -> list[list[Any]]:
    """Consecutive parts of near-equal size, none empty."""
    size = math.ceil(len(items) / max(1, parts)) or 1
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def shares(scored: Sequence[ScoredRollout], ranks: int) -> list[list[ScoredRollout]]:
    """Whole groups for each rank, near-equal in tokens."""
    names: dict[str, int] = {}
    group = [names.setdefault(item.rollout.problem.id, len(names)) for item in scored]
    lengths = [len(item.rollout.completion.token_ids) for item in scored]
    return [[scored[i] for i in indices] for indices in balance(lengths, ranks, group=group)]
