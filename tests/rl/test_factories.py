"""What the actors of the pools hold: the configured engine, reward model and functions."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.reward import RewardConfig
from r1ray.errors import ConfigError, ModelError
from r1ray.generation.engine import SamplingParams
from r1ray.rl.factories import make_reward_worker, make_rollout_worker
from r1ray.rl.rollout import RolloutRequest
from r1ray.types import Completion, Problem, Rollout, ScoredRollout
from tests.tiny import make_tiny_prm, make_tiny_tokenizer

PROBLEM = Problem(id="eggs", question="Mia has 9 eggs. Mia gets 7 more. How many now?", answer="16")
TEXT = "1. 9 + 7 = 16\n2. so it is\nAnswer: 16"


@pytest.fixture(scope="module")
def prms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Two process reward models of one kind with other weights."""
    folder = tmp_path_factory.mktemp("prms")
    yield make_tiny_prm(folder / "a", seed=0, steps=45), make_tiny_prm(folder / "b", seed=1)


def job(policy: Path, **reward: object) -> PPOJobConfig:
    return PPOJobConfig(
        policy=PolicyConfig(path=str(policy)),
        reward=RewardConfig(**reward),  # type: ignore[arg-type]
        resources=ResourcesConfig(threads=1),
    )


def rollout() -> Rollout:
    ids = [*make_tiny_tokenizer()(TEXT).input_ids, 2]
    completion = Completion(token_ids=ids, logprobs=[-1.0] * len(ids), finish_reason="stop")
    return Rollout(problem=PROBLEM, prompt_ids=[1, 40, 41], completion=completion, policy_version=1)


def score(config: PPOJobConfig) -> ScoredRollout:
    return make_reward_worker(config, threads=1).score([rollout()])[0][0]


def test_other_weights_of_the_reward_model_give_other_token_rewards(tiny_policy: Path, prms: tuple[Path, Path]) -> None:
    plain = score(job(tiny_policy))
    trained, other = (score(job(tiny_policy, process_path=str(path))) for path in prms)
    assert score(job(tiny_policy, process_path=str(prms[0]))) == trained
    assert "process" not in plain.components
    # Steps, outcome and what the rules say are the same; what the steps earn on top of it is the models' own.
    assert trained.steps == other.steps == plain.steps
    assert trained.outcome_reward == other.outcome_reward == plain.outcome_reward
    assert trained.components["process"] != other.components["process"]
    assert all(a != b for a, b in zip(trained.step_scores, other.step_scores, strict=True))
    # The trained one likes equals signs: its first step has one, its second has none.
    earned = [with_model - rules for with_model, rules in zip(trained.step_scores, plain.step_scores, strict=True)]
    assert earned[0] > earned[1]


def test_the_users_functions_are_loaded_with_their_weights(tiny_policy: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def two(rollout):\n    return 2.0\n")
    entry = f"{tmp_path / 'mine.py'}:two"
    one, half = (score(job(tiny_policy, functions=(f"{entry}@{weight}",))) for weight in (1.0, 0.5))
    assert one.components["two"] == half.components["two"] == 2.0
    assert one.outcome_reward - half.outcome_reward == pytest.approx(1.0)


def test_a_reward_worker_without_its_model_or_function_is_not_built(tiny_policy: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        make_reward_worker(job(tiny_policy, process_path="nowhere"), threads=1)
    with pytest.raises(ConfigError, match=r"nowhere\.py"):
        make_reward_worker(job(tiny_policy, functions=("nowhere.py:f",)), threads=1)


def test_a_rollout_worker_answers_with_the_policy_as_version_0(tiny_policy: Path) -> None:
    config = job(tiny_policy)
    worker = make_rollout_worker(replace(config, problems=replace(config.problems, system="")), threads=1)
    request = RolloutRequest(samples=2, params=SamplingParams(max_new_tokens=4), version=0, seed=0, step=0)
    rollouts = worker.generate([PROBLEM], request)
    assert [(r.problem.id, r.sample, r.policy_version) for r in rollouts] == [("eggs", 0, 0), ("eggs", 1, 0)]
