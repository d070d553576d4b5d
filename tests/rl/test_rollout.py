"""Rollouts: a function of (weights, seed, step, problem) alone, stamped with the version that made them."""

from pathlib import Path

import pytest
import torch

from r1ray.errors import StaleWeights
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.models.loading import load_tokenizer
from r1ray.reasoning.prompts import prompt_ids
from r1ray.rl.rollout import RolloutRequest, RolloutWorker, draw_seed
from r1ray.rl.weights import FlatWeights
from r1ray.types import Rollout
from tests.rl.helpers import PROBLEMS, job, make_learner, rollout_worker, sample
from tests.tiny import make_tiny_policy


@pytest.fixture
def worker(tiny_policy: Path) -> RolloutWorker:
    return rollout_worker(job(tiny_policy))


def tokens(rollouts: list[Rollout]) -> dict[tuple[str, int], list[int]]:
    return {(r.problem.id, r.sample): r.completion.token_ids for r in rollouts}


def weights_at(path: Path, version: int) -> FlatWeights:
    learner, _ = make_learner(job(path))
    learner.version = version
    published = learner.publish()
    assert published is not None
    return published


def test_rollouts_come_grouped_by_problem_in_order_with_all_that_scoring_needs(
    worker: RolloutWorker, tiny_policy: Path
) -> None:
    rollouts = sample(worker, job(tiny_policy), samples=3)
    assert [(r.problem, r.sample) for r in rollouts] == [(p, g) for p in PROBLEMS for g in range(3)]
    tokenizer = load_tokenizer(tiny_policy)
    for rollout in rollouts:
        assert rollout.prompt_ids == prompt_ids(tokenizer, rollout.problem, "")
        assert len(rollout.completion.logprobs) == len(rollout.completion.token_ids) > 0
        assert rollout.policy_version == 0


def test_what_shares_the_batch_does_not_matter(worker: RolloutWorker, tiny_policy: Path) -> None:
    config = job(tiny_policy)
    together = tokens(sample(worker, config))
    backwards = tokens(sample(worker, config, problems=PROBLEMS[::-1]))
    other = rollout_worker(config)
    apart = {key: ids for p in PROBLEMS for key, ids in tokens(sample(other, config, problems=[p])).items()}
    fewer = tokens(sample(worker, config, samples=2))
    assert together == backwards == apart
    assert fewer == {key: ids for key, ids in together.items() if key[1] < 2}


def test_every_sample_step_and_seed_is_another_draw(worker: RolloutWorker, tiny_policy: Path) -> None:
    config = job(tiny_policy)
    first, second = tokens(sample(worker, config, step=0)), tokens(sample(worker, config, step=1))
    assert len({tuple(ids) for ids in [*first.values(), *second.values()]}) == 2 * len(first)
    seeds = {draw_seed(seed, step, problem) for seed in (0, 1) for step in (0, 1) for problem in ("p0", "p1", "1/p0")}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert draw_seed(3, 5, "p0") == draw_seed(3, 5, "p0")


def test_rollouts_carry_the_version_that_was_loaded(worker: RolloutWorker, tiny_policy: Path) -> None:
    assert worker.load_weights(weights_at(tiny_policy, 7)) == 7
    assert {r.policy_version for r in sample(worker, job(tiny_policy), version=7)} == {7}


@pytest.mark.parametrize("asked", [6, 8])
def test_a_version_that_is_not_held_is_refused(asked: int, worker: RolloutWorker, tiny_policy: Path) -> None:
    worker.load_weights(weights_at(tiny_policy, 7))
    with pytest.raises(StaleWeights, match=f"version {asked} was asked for and this worker holds 7"):
        sample(worker, job(tiny_policy), version=asked)
    with pytest.raises(StaleWeights):
        worker.complete([Prompt(token_ids=[1])], SamplingParams(max_new_tokens=1), asked)


def test_an_older_version_replaces_a_newer_one_after_a_restart_of_the_learner(
    worker: RolloutWorker, tiny_policy: Path
) -> None:
    worker.load_weights(weights_at(tiny_policy, 9))
    assert worker.load_weights(weights_at(tiny_policy, 4)) == 4


def test_a_prompt_before_and_after_a_weight_update_gives_different_logprobs(
    worker: RolloutWorker, tiny_policy: Path, tmp_path: Path
) -> None:
    config = job(tiny_policy)
    prompt, response = [[1, 50, 60]], [[70, 80, 90]]
    before = worker.logprobs(prompt, response)
    sampled = tokens(sample(worker, config))
    worker.load_weights(weights_at(tiny_policy, 1))  # the same weights once more
    assert worker.logprobs(prompt, response) == before
    assert tokens(sample(worker, config, version=1)) == sampled
    other = make_tiny_policy(tmp_path / "other", seed=1, layers=1, hidden=32)
    worker.load_weights(weights_at(other, 2))
    after = worker.logprobs(prompt, response)
    assert (torch.tensor(after) - torch.tensor(before)).abs().min() > 1e-3
    assert after == rollout_worker(job(other)).logprobs(prompt, response)
    assert tokens(sample(worker, config, version=2)) != sampled


def test_greedy_requests_ignore_the_seed(worker: RolloutWorker) -> None:
    def greedy(seed: int) -> dict[tuple[str, int], list[int]]:
        params = SamplingParams(max_new_tokens=8, temperature=0.0)
        request = RolloutRequest(samples=1, params=params, version=0, seed=seed, step=0)
        return tokens(worker.generate(PROBLEMS, request))

    assert greedy(0) == greedy(1)
