"""The loop's workers on a pool: fair shares, whole groups, and the version that rollouts were started with."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from r1ray.config.jobs import PPOJobConfig
from r1ray.errors import StaleWeights
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.rl.loop import ScoredBatch
from r1ray.rl.pools import PoolEngine, PoolRewards, PoolRollouts, deal, shares
from r1ray.rl.rollout import RolloutRequest
from r1ray.rl.weights import FlatWeights
from r1ray.types import Completion, Problem, Rollout, ScoredRollout

PROBLEMS = [Problem(id=f"p{n}", question=f"{n}?", answer="1") for n in range(5)]


class Engine:
    """A rollout worker that knows no more than its version."""

    def __init__(self) -> None:
        self.version = 0

    def load_weights(self, weights: FlatWeights) -> int:
        self.version = weights.version
        return self.version

    def generate(self, problems: Sequence[Problem], request: RolloutRequest) -> list[Rollout]:
        if request.version != self.version:
            raise StaleWeights(f"{self.version}, not {request.version}")
        return [attempt(problem, request.version, g) for problem in problems for g in range(request.samples)]

    def complete(self, prompts: Sequence[Prompt], params: SamplingParams, version: int) -> list[list[Completion]]:
        assert version == self.version
        return [[Completion(token_ids=prompt.token_ids, logprobs=[], finish_reason="stop")] for prompt in prompts]


class Scorer:
    """A reward worker: the first sample of each problem is right."""

    def score(self, rollouts: Sequence[Rollout]) -> tuple[list[ScoredRollout], dict[str, int]]:
        return [scored(rollout) for rollout in rollouts], {"truncated": len(rollouts)}


class Member:
    def __init__(self, worker: Any) -> None:
        self.worker = worker

    def run(self, method: str, *args: Any) -> Any:
        return getattr(self.worker, method)(*args)


class Pool:
    """A pool in this process, which works when its results are asked for."""

    def __init__(self, *workers: Any) -> None:
        self.members = [Member(worker) for worker in workers]

    def __len__(self) -> int:
        return len(self.members)

    def start(self, method: str, items: Sequence[Any], *shared: Any, prepare: Callable[[Any], None]) -> "Pending":
        return Pending(lambda: self.map(method, items, *shared, prepare=prepare))

    def map(self, method: str, items: Sequence[Any], *shared: Any, prepare: Any = None) -> list[Any]:
        results = []
        for member, item in zip(self.members, items, strict=False):
            try:
                results.append(member.run(method, item, *shared))
            except StaleWeights:
                prepare(member)
                results.append(member.run(method, item, *shared))
        assert len(results) == len(items)
        return results

    def broadcast(self, method: str, *args: Any) -> None:
        for member in self.members:
            member.run(method, *args)


class Pending:
    def __init__(self, work: Callable[[], list[Any]]) -> None:
        self.result = work


def attempt(problem: Problem, version: int = 1, sample: int = 0) -> Rollout:
    completion = Completion(token_ids=[1] * (sample + 1), logprobs=[0.0] * (sample + 1), finish_reason="stop")
    return Rollout(problem=problem, prompt_ids=[0], completion=completion, policy_version=version, sample=sample)


def scored(rollout: Rollout) -> ScoredRollout:
    right = rollout.sample == 0
    return ScoredRollout(
        rollout=rollout, steps=[], step_scores=[], outcome_reward=float(right), components={}, correct=right
    )


def weights(version: int) -> FlatWeights:
    return FlatWeights.of({"w": torch.zeros(1)}, version)


def pool_rollouts(pool: Any, rank: int = 0) -> PoolRollouts:
    return PoolRollouts(pool, PPOJobConfig(), rank, share=lambda weights: weights)


def test_every_engine_takes_published_weights_and_rollouts_come_in_order() -> None:
    pool = Pool(Engine(), Engine())
    rollouts = pool_rollouts(pool)
    rollouts.load(weights(3))
    assert [member.worker.version for member in pool.members] == [3, 3]
    made = rollouts.start(PROBLEMS, step=0).result()
    assert [(r.problem.id, r.sample) for r in made] == [(p.id, g) for p in PROBLEMS for g in range(4)]
    assert {r.policy_version for r in made} == {3}


def test_an_engine_lost_while_newer_weights_were_published_gets_those_its_rollouts_were_started_with() -> None:
    pool = Pool(Engine(), Engine())
    rollouts = pool_rollouts(pool)
    rollouts.load(weights(1))
    ahead = rollouts.start(PROBLEMS, step=1)
    pool.members[0].worker = Engine()  # lost, and built anew with version 0
    rollouts.version = 2  # published meanwhile, but the call under way is served first
    rollouts._weights = weights(2)
    assert {r.policy_version for r in ahead.result()} == {1}
    assert {r.policy_version for r in rollouts.start(PROBLEMS, step=2).result()} == {2}


def test_an_adapted_step_weight_reaches_the_workers_that_score() -> None:
    class Weighing(Scorer):
        def score(self, rollouts: Sequence[Rollout], step_weight: float = 0.3) -> Any:
            return [replace(scored(rollout), outcome_reward=step_weight) for rollout in rollouts], {}

    rewards = PoolRewards(Pool(Weighing(), Weighing()), 0, 1, scatter=lambda parts: parts[0])  # type: ignore[arg-type, index]
    rollouts = [attempt(problem) for problem in PROBLEMS]
    assert {item.outcome_reward for item in rewards.score(rollouts, 0.7).share} == {0.7}
    assert {item.outcome_reward for item in rewards.score(rollouts).share} == {0.3}


def test_an_engine_without_published_weights_stays_as_it_is() -> None:
    pool = Pool(Engine())
    assert {r.policy_version for r in pool_rollouts(pool).start(PROBLEMS, step=0).result()} == {0}


def test_other_ranks_only_keep_in_step() -> None:
    rollouts = pool_rollouts(None, rank=1)
    rollouts.load(None)
    assert rollouts.start(PROBLEMS, step=0).result() == []
    part = ScoredBatch(share=[scored(attempt(PROBLEMS[0]))], success={"p0": 1.0})
    rewards = PoolRewards(None, 1, 2, scatter=lambda parts: part)  # type: ignore[arg-type]
    assert rewards.score([]) is part


def test_rank_0_deals_out_whole_groups_and_keeps_the_figures() -> None:
    dealt: list[ScoredBatch] = []

    def scatter(parts: Sequence[ScoredBatch] | None) -> ScoredBatch:
        assert parts is not None
        dealt.extend(parts)
        return parts[0]

    rollouts = [attempt(problem, sample=g) for problem in PROBLEMS for g in range(2)]
    rewards = PoolRewards(Pool(Scorer(), Scorer()), 0, 2, scatter)  # type: ignore[arg-type]
    mine = rewards.score(rollouts)
    assert mine is dealt[0] and len(dealt) == 2
    ids = [{item.rollout.problem.id for item in batch.share} for batch in dealt]
    assert not ids[0] & ids[1] and ids[0] | ids[1] == {problem.id for problem in PROBLEMS}
    assert sum(len(batch.share) for batch in dealt) == len(rollouts)
    assert dealt[0].success == dealt[1].success == dict.fromkeys((p.id for p in PROBLEMS), 0.5)
    assert mine.metrics["reward/count_truncated"].value == 10  # both workers' counts
    assert dealt[1].metrics == {}


def test_the_pool_answers_evaluations_in_order_with_its_newest_weights() -> None:
    rollouts = pool_rollouts(Pool(Engine(), Engine()))
    engine = PoolEngine(rollouts)
    engine.load_weights({"w": torch.zeros(1)}, version=7)
    assert engine.policy_version == 7
    prompts = [Prompt(token_ids=[n]) for n in range(5)]
    answers = engine.generate(prompts, SamplingParams(max_new_tokens=1))
    assert [group[0].token_ids for group in answers] == [[0], [1], [2], [3], [4]]


@given(count=st.integers(0, 50), parts=st.integers(1, 9))
def test_dealing_keeps_every_item_in_order_in_at_most_that_many_parts(count: int, parts: int) -> None:
    dealt = deal(list(range(count)), parts)
    assert [item for part in dealt for item in part] == list(range(count))
    assert len(dealt) <= parts and all(dealt)


@given(groups=st.lists(st.integers(1, 4), min_size=1, max_size=12), ranks=st.integers(1, 5))
def test_shares_are_whole_groups_in_the_order_of_the_batch(groups: list[int], ranks: int) -> None:
    batch = [
        scored(attempt(Problem(id=str(n), question="", answer=""), sample=g))
        for n, size in enumerate(groups)
        for g in range(size)
    ]
    parts = shares(batch, ranks)
    assert len(parts) == ranks
    assert sorted(map(batch.index, [item for part in parts for item in part])) == list(range(len(batch)))
    for part in parts:
        assert part == sorted(part, key=batch.index)
        sizes: dict[str, int] = {}
        for item in part:
            sizes[item.rollout.problem.id] = sizes.get(item.rollout.problem.id, 0) + 1
        assert all(groups[int(name)] == size for name, size in sizes.items())


def test_a_pool_that_stays_stale_is_not_hidden() -> None:
    class Stubborn(Engine):
        def load_weights(self, weights: FlatWeights) -> int:
            return self.version

    rollouts = pool_rollouts(Pool(Stubborn()))
    rollouts.load(weights(1))
    with pytest.raises(StaleWeights):
        rollouts.start(PROBLEMS, step=0).result()
