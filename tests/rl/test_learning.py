"""The whole loop in one process learns: rewards rise, whatever the seed, with every algorithm."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1ray.config.optim import OptimConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.run import RunConfig
from r1ray.generation.engine import SamplingParams
from r1ray.metrics.reductions import Metric, reduce_all
from r1ray.models.loading import load_tokenizer
from r1ray.reasoning.functions import UserFunction
from r1ray.reasoning.grading import Grader
from r1ray.rl.loop import ppo_loop
from r1ray.rl.networks import build_actor_critic
from r1ray.rl.reward import RewardWorker
from r1ray.types import Problem, Rollout
from tests.fakes import LocalRewards, LocalRollouts
from tests.rl.helpers import PROBLEMS, job, make_learner, rollout_worker

STEPS = 12
EARLY = [chr(code) for code in range(ord("a"), ord("n"))]


class InTurn:
    """A sampler that deals all problems out in every step."""

    def batch(self, step: int) -> list[Problem]:
        return PROBLEMS

    def observe(self, ids: Sequence[str], success_rates: Sequence[float]) -> None:
        """Nothing depends on it."""


def early_letters(rollout: Rollout) -> float:
    """Share of the completion's characters that are letters from a to m."""
    text = rollout.completion.text
    return sum(character in EARLY for character in text) / max(1, len(text))


def learn(path: Path, seed: int, steps: int = STEPS, **ppo: Any) -> list[dict[str, float]]:
    """Each step's figures."""
    optim = OptimConfig(lr=1e-2, tokens_per_microbatch=2048)
    config = job(path, optim=optim, steps=steps, samples_per_prompt=8, **ppo)
    config = replace(config, run=RunConfig(seed=seed), critic=replace(config.critic, lr=1e-2, trunk_gradient=0.0))
    tokenizer = load_tokenizer(path)
    rewards = RewardConfig(outcome_weight=0.0, step_weight=0.0, format_weight=0.0)
    grader = Grader()  # never starts a process: nothing here looks like an answer
    worker = RewardWorker(
        rewards,
        lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)),
        grader,
        max_new_tokens=config.sampling.max_new_tokens,
        functions=[UserFunction("letters", early_letters)],
    )
    params = SamplingParams(max_new_tokens=config.sampling.max_new_tokens)
    rollouts = LocalRollouts(rollout_worker(config), params, config.ppo.samples_per_prompt, seed)
    figures: list[dict[str, float]] = []

    def report(done: int, metrics: dict[str, Metric]) -> bool:
        figures.append(reduce_all([metrics]))
        return True

    torch.manual_seed(seed)
    learner, _ = make_learner(config, build_actor_critic(config, str(path)))
    assert ppo_loop(InTurn(), rollouts, LocalRewards(worker), learner, report, config.ppo) == steps
    return figures


def rise(figures: list[dict[str, float]]) -> tuple[float, float]:
    """Mean reward of the first and of the last three steps."""
    rewards = [step["reward/letters"] for step in figures]
    return sum(rewards[:3]) / 3, sum(rewards[-3:]) / 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ppo_with_a_critic_raises_the_reward_whatever_the_seed(seed: int, tiny_policy: Path) -> None:
    figures = learn(tiny_policy, seed)
    first, last = rise(figures)
    assert first < 0.2 < 0.5 < last
    assert all(step["ppo/ratio_deviation"] < 1e-4 for step in figures)
    assert all(step["rollout/logprob_gap_max"] < 1e-3 for step in figures)


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm": "rloo", "max_staleness": 1},
        {"algorithm": "reinforce_pp", "epochs": 2, "minibatches": 2, "prompts_per_step": 6},
        {"algorithm": "grpo", "drop_flat_groups": True, "clip_eps_high": 0.28, "std_normalize": False},
    ],
    ids=lambda settings: "-".join(str(value) for value in settings.values()),
)
def test_so_do_the_critic_free_algorithms(settings: dict[str, Any], tiny_policy: Path) -> None:
    figures = learn(tiny_policy, 0, critic="none", **settings)
    first, last = rise(figures)
    assert first < 0.2 < 0.5 < last


def test_a_run_is_a_function_of_its_seed(tiny_policy: Path) -> None:
    def rewards(seed: int) -> list[float]:
        return [step["reward/letters"] for step in learn(tiny_policy, seed, steps=2, critic="none", algorithm="grpo")]

    assert rewards(3) == rewards(3) != rewards(4)
